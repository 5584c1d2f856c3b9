/**
 * A failover in memory, when the first node of the process starts.
 *
 * Most processes take over once, or never: all code of a failover would then run for the first time, and the engine compiles code that
 * runs for the first time, and records no types before it has run for a while. A takeover spent a third of its time on that. The
 * rehearsal runs the takeover from a leader whose connection has closed, on a connection in memory: three times while the own
 * connection is being made, which takes 35 ms of CPU, and then 2 to 3 ms every 20 ms for half a second. A takeover after silence is not
 * rehearsed, because it waits for seconds. The rehearsal sends nothing, calls no hook of the application, and writes no log line.
 */
import { setTimeout as pause } from "node:timers/promises";
import { HOOK_NAMES } from "../application/types.ts";
import type { ResolvedOptions } from "../config/resolve.ts";
import { NatsLeaseStore } from "../nats/lease/lease-store.ts";
import { openSession } from "../nats/presence/session.ts";
import { systemClock } from "../runtime/system-clock.ts";
import type { Hooks } from "./hooks.ts";
import { Incarnation } from "./incarnation.ts";
import { RehearsalConnection } from "./rehearsal-connection.ts";

/** While the connection is being made. The first run compiles, and takes most of the time. */
const FIRST_RUNS = 3;
/** Afterwards: until then most functions have run too rarely for the engine to record types. */
const MORE_RUNS = 17;
const PAUSE_MS = 20;
/** More turns of the event loop than a run takes: it consists of promises that are fulfilled at once. */
const MAX_TURNS = 50;

let rehearsed: Promise<boolean> | null = null;

/** Once per process. Resolves to whether the runs that can be waited for went as they should. Never rejects. */
export function rehearse(options: ResolvedOptions): Promise<boolean> {
  rehearsed ??= rehearsal(options).then(
    (complete) => {
      if (complete) void rehearseMore(options).catch(() => {});
      return complete;
    },
    () => false,
  );
  return rehearsed;
}

/** As the first part of `rehearse()`, each time it is called. */
export async function rehearsal(options: ResolvedOptions): Promise<boolean> {
  let complete = true;
  for (let run = 0; run < FIRST_RUNS; run++) complete = (await failover(options)) && complete;
  return complete;
}

/** Does not keep the process alive. */
async function rehearseMore(options: ResolvedOptions): Promise<void> {
  for (let run = 0; run < MORE_RUNS; run++) {
    await pause(PAUSE_MS, undefined, { ref: false });
    await failover(options);
  }
}

/** The holder dies, this node takes over, steps down, and stops. */
async function failover(options: ResolvedOptions): Promise<boolean> {
  const server = new RehearsalConnection(options.clusterId);
  const session = openSession(server.asConnection());
  const store = new NatsLeaseStore(session.monitor, { ...options, replicas: 1, interop: "native" });
  const done: string[] = [];
  const hooks = Object.fromEntries(HOOK_NAMES.map((name) => [name, () => void done.push(name)])) as Hooks;
  try {
    const bucket = await store.open(new AbortController().signal);
    if (options.silenceMs > 0) await session.useBeats(options.silenceMs);
    const incarnation = new Incarnation({
      id: "rehearsal",
      options: {
        ...options,
        nodeId: "rehearsal",
        crashDetection: "presence",
        election: { ...options.election, nodeId: "rehearsal", crashDetection: "presence" },
      },
      hooks,
      attachment: {
        session,
        store,
        bucket,
        presence: "on",
        serve: async () => null,
        statusOf: async () => null,
        close: () => store.close(),
      },
      clock: systemClock(),
      keepAlive: () => () => {},
      logger: { debug() {}, info() {}, warn() {}, error() {} },
      rememberedEpoch: 0,
      emit: () => {},
      source: null,
      earlier: null,
    });
    await incarnation.start();
    await turnsUntil(() => incarnation.driver.state.lease.view.kind === "occupied");
    server.loseHolder();
    await turnsUntil(() => done.includes("onBecomeLeader"));
    const { leaseDeleted } = await incarnation.stepDown(undefined, {});
    await incarnation.calls.stop({});
    return leaseDeleted === true && done.includes("onLoseLeadership");
  } finally {
    await session.release();
    server.end();
  }
}

async function turnsUntil(holds: () => boolean): Promise<void> {
  for (let turn = 0; !holds(); turn++) {
    if (turn >= MAX_TURNS) throw new Error("the rehearsal does not go on");
    await new Promise((resolve) => setImmediate(resolve));
  }
}
