/** Applications that misbehave in every way, on elections that take any course: the guarantees hold in every step. */
import { expect, test } from "vitest";
import { HostileApplication } from "../../scripts/simulator/application/hostile-application.ts";
import { SeededRandom } from "../../src/testing/simulation/random.ts";
import { VirtualClock } from "../../src/testing/simulation/time/virtual-clock.ts";
import { VirtualTime } from "../../src/testing/simulation/time/virtual-time.ts";
import { ScriptedElection } from "./scripted-election.ts";

const BUSY_MS = 60_000;

async function play(seed: number): Promise<{ violation: string | null; terms: number }> {
  const random = new SeededRandom(seed);
  const time = new VirtualTime("announced");
  const clock = new VirtualClock(time, { rate: 1 });
  let violation: string | null = null;
  let closed = false;
  const election = new ScriptedElection(time, random, (output) => application.output(output));
  const application: HostileApplication = new HostileApplication({
    clock,
    random,
    drainTimeoutMs: random.pick([0, 500, 5_000]),
    hostility: random.pick([0, 0.3, 0.8]),
    election: (event) => election.dispatch(event),
    block: (forMs, then) => clock.block(Math.min(forMs, BUSY_MS - time.now), then),
    violated: (what) => {
      violation ??= `${what} at ${time.now} ms`;
    },
    closed: () => {
      closed = true;
    },
    ...(process.env["TRACE"] === undefined
      ? {}
      : {
          trace: (event, effects, state) => {
            console.log(
              time.now,
              JSON.stringify(event),
              "=>",
              JSON.stringify(effects),
              "|",
              JSON.stringify({ a: state.active, w: state.waiting, k: state.workers }),
            );
          },
        }),
  });
  for (let at = 0; at < BUSY_MS; at += random.between(1, 4_000)) time.at(at, () => election.stir());
  await time.advance(BUSY_MS);
  application.becomeBenign();
  application.stop();
  await time.advance(20_000);
  if (!closed) violation ??= "it does not stop";
  application.assertSettled();
  return { violation, terms: election.terms };
}

test("no application makes its node break a guarantee", { timeout: 120_000 }, async () => {
  let terms = 0;
  for (
    let seed = Number(process.env["SEED"] ?? 1);
    seed <= Number(process.env["SEEDS"] ?? 1_000);
    seed += 1
  ) {
    const found = await play(seed);
    expect(`seed ${seed}: ${found.violation ?? "fine"}`).toBe(`seed ${seed}: fine`);
    terms += found.terms;
  }
  expect(terms).toBeGreaterThan(1_000);
});
