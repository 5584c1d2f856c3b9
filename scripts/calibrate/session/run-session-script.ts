/** Runs one session script in both worlds, step by step, until they differ. */
import { messageOf } from "../../../src/errors.ts";
import { NatsLeaseStore } from "../../../src/nats/lease/lease-store.ts";
import { streamName } from "../../../src/nats/names.ts";
import { waitFor } from "../../shared/wait.ts";
import type { Lane } from "../nats-lane.ts";
import { FakeSessionWorld, type SessionWorld } from "./fake-session-world.ts";
import { NatsSessionWorld } from "./nats-session-world.ts";
import { ASKERS, Cast, type SessionScript, type SessionStep } from "./session-script.ts";

const EVENTS_TIMEOUT_MS = 5000;

/** A step, its outcome, and what the askers have received by then. */
export interface SessionAnswer {
  readonly step: SessionStep;
  readonly lines: readonly string[];
}

export interface SessionOutcome {
  readonly answers: readonly SessionAnswer[];
  readonly mismatch: { readonly fake: readonly string[]; readonly server: readonly string[] } | null;
  /** The script ended early because the machine was too slow. Everything until then agreed. */
  readonly tooSlow: boolean;
}

let runs = 0;

export async function runSessionScript(lane: Lane, script: SessionScript): Promise<SessionOutcome> {
  runs += 1;
  const clusterId = `cals${process.pid}_${runs}`;
  const { replicas } = lane.target;
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
    const expected = [await fake.run(step), ...received(fake)];
    await waitForEvents(fake, server);
    if (server.starved) return { answers, mismatch: null, tooSlow: true };
    const lines = [line, ...received(server)];
    answers.push({ step, lines });
    if (lines.join("\n") !== expected.join("\n"))
      return { answers, mismatch: { fake: expected, server: lines }, tooSlow: false };
  }
  return { answers, mismatch: null, tooSlow: false };
}

/** Replays a server's outcomes to another fake. Returns the first step at which that fake differs, or `null`. */
export async function contradicted(
  answers: readonly SessionAnswer[],
  fake: SessionWorld,
): Promise<SessionStep | null> {
  for (const { step, lines } of answers) {
    const expected = [await fake.run(step), ...received(fake)];
    if (lines.join("\n") !== expected.join("\n")) return step;
  }
  return null;
}

function received(world: SessionWorld): readonly string[] {
  return ASKERS.flatMap((asker) => world.seen(asker).map((line) => `${asker} received: ${line}`));
}

async function waitForEvents(fake: SessionWorld, server: SessionWorld): Promise<void> {
  for (const asker of ASKERS) {
    await waitFor(() => server.seen(asker).length >= fake.seen(asker).length, {
      timeoutMs: EVENTS_TIMEOUT_MS,
      intervalMs: 1,
    }).catch(() => {});
  }
}
