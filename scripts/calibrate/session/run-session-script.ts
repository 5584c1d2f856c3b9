/** One script of connections in both worlds, step by step, until they disagree. */
import { messageOf } from "../../../src/errors.ts";
import { NatsLeaseStore } from "../../../src/nats/lease/lease-store.ts";
import { streamName } from "../../../src/nats/names.ts";
import { waitFor } from "../../shared/wait.ts";
import type { Lane } from "../nats-lane.ts";
import { FakeSessionWorld, type SessionWorld } from "./fake-session-world.ts";
import { NatsSessionWorld } from "./nats-session-world.ts";
import { ASKERS, Cast, type SessionScript, type SessionStep } from "./session-script.ts";

const EVENTS_TIMEOUT_MS = 5000;

/** What the server said to one step, and what the askers had been told by then. */
export interface SessionAnswer {
  readonly step: SessionStep;
  readonly lines: readonly string[];
}

export interface SessionOutcome {
  readonly answers: readonly SessionAnswer[];
  readonly mismatch: { readonly fake: readonly string[]; readonly server: readonly string[] } | null;
  /** The machine was too slow: what was compared up to there agreed. */
  readonly tooSlow: boolean;
}

let runs = 0;

export async function runSessions(lane: Lane, script: SessionScript): Promise<SessionOutcome> {
  runs += 1;
  const clusterId = `cals${process.pid}_${runs}`;
  const { replicas } = lane.place;
  const store = new NatsLeaseStore(lane.monitors.operator, {
    clusterId,
    leaseTtlMs: 10_000,
    replicas,
    interop: "native",
    apiTimeoutMs: EVENTS_TIMEOUT_MS,
  });
  await store.open(new AbortController().signal);
  const fake = new FakeSessionWorld();
  const server = await NatsSessionWorld.open(lane, streamName(clusterId));
  try {
    return await sideBySide(script.steps, fake, server);
  } finally {
    await server.close();
    await store.close();
    await lane.api(`STREAM.DELETE.${streamName(clusterId)}`);
  }
}

async function sideBySide(
  steps: readonly SessionStep[],
  fake: SessionWorld,
  server: NatsSessionWorld,
): Promise<SessionOutcome> {
  const cast = new Cast();
  const answers: SessionAnswer[] = [];
  for (const step of steps.filter((one) => cast.takes(one))) {
    const line = await server.run(step).catch((thrown: unknown) => `threw: ${messageOf(thrown)}`);
    const expected = [await fake.run(step), ...told(fake)];
    await toldEnough(fake, server);
    if (server.starved) return { answers, mismatch: null, tooSlow: true };
    const lines = [line, ...told(server)];
    answers.push({ step, lines });
    if (lines.join("\n") !== expected.join("\n"))
      return { answers, mismatch: { fake: expected, server: lines }, tooSlow: false };
  }
  return { answers, mismatch: null, tooSlow: false };
}

/** Replays what a server said to another fake. The first step at which that fake says something else, or `null`. */
export async function contradicted(
  answers: readonly SessionAnswer[],
  fake: SessionWorld,
): Promise<SessionStep | null> {
  for (const { step, lines } of answers) {
    const expected = [await fake.run(step), ...told(fake)];
    if (lines.join("\n") !== expected.join("\n")) return step;
  }
  return null;
}

function told(world: SessionWorld): readonly string[] {
  return ASKERS.flatMap((asker) => world.seen(asker).map((line) => `${asker} was told: ${line}`));
}

async function toldEnough(fake: SessionWorld, server: SessionWorld): Promise<void> {
  for (const asker of ASKERS) {
    await waitFor(() => server.seen(asker).length >= fake.seen(asker).length, {
      timeoutMs: EVENTS_TIMEOUT_MS,
      intervalMs: 1,
    }).catch(() => {});
  }
}
