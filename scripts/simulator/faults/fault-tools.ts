/** The context of a fault, and the building blocks of faults. */
import type { FakeBucket } from "../../../src/testing/simulation/fakes/fake-bucket.ts";
import type { SeededRandom } from "../../../src/testing/simulation/random.ts";
import { LONG_MS, SHORT_MS } from "../../../src/testing/simulation/random-faults.ts";
import type { FirstAfterPause } from "../../../src/testing/simulation/time/virtual-clock.ts";
import type { VirtualTime } from "../../../src/testing/simulation/time/virtual-time.ts";
import type { InterventionKind } from "../check/interventions.ts";
import type { Host, Process } from "../host.ts";
import type { Forger } from "./forgery.ts";
import type { SimulatedFaultName } from "./names.ts";

/** Longer than a stopped process may trust its connection, see `Freshness`. */
const UNSEEN_CUT_MS = 300;

export interface FaultContext {
  readonly random: SeededRandom;
  readonly time: VirtualTime;
  readonly bucket: FakeBucket;
  readonly hosts: readonly Host[];
  /** Every fault is over by then. */
  readonly quietFrom: number;
  readonly remembers: boolean;
  /** Adds a line to the trace. */
  readonly log: (text: string) => void;
  /** Injects another fault. */
  readonly strike: (name: SimulatedFaultName, host: Host) => void;
  /** The lease is about to be taken away; `recreates`: the whole bucket with it. */
  readonly beforeIntervention: (kind: InterventionKind, recreates?: boolean) => void;
  /** The message on the key was removed without a marker. */
  readonly afterPurge: () => void;
  /** Runs what writes a record of no node to the key. */
  readonly forging: (write: () => void) => void;
  /** Whether the server may give a false answer now. Asking uses it up. */
  readonly mayLie: () => boolean;
  /** The state of a process may change without an event. */
  readonly invalidate: () => void;
}

export type SimulatedFault = (context: FaultContext, host: Host) => void;

/** A random duration that ends before the quiet end. */
export function lasting({ random, time, quietFrom }: FaultContext, longestMs: number = LONG_MS): number {
  const ms = random.between(1, random.chance(0.5) ? longestMs : SHORT_MS);
  return Math.max(0, Math.min(ms, quietFrom - time.now));
}

/** A client that knows the state of the bucket and the running nodes. */
export function forgerOf({ random, bucket, hosts }: FaultContext): Forger {
  const { lastSequence } = bucket.snapshot();
  const written = bucket.log.map((entry) => (entry.kind === "record" ? entry.record.epoch : 0));
  return {
    random,
    epoch: Math.max(lastSequence, ...written),
    incarnations: hosts.map(({ process }) => process.incarnation),
  };
}

export function network(
  name: string,
  begin: (host: Host, random: SeededRandom) => void,
  end: (host: Host) => void,
): SimulatedFault {
  return (context, host) => {
    const ms = lasting(context);
    context.log(`${host.name}: ${name} for ${ms} ms`);
    begin(host, context.random);
    context.time.after(ms, () => end(host));
  };
}

/** Stops a process. `andCut`: for so long that its server closes the connection, which then happens. */
export function frozen(how: "pause" | "suspend", andCut?: "and cut"): SimulatedFault {
  return (context, { process }) => {
    const { random, time, quietFrom, log } = context;
    const leftMs = Math.max(0, quietFrom - time.now);
    const ms =
      andCut === undefined ? lasting(context) : Math.min(random.between(2 * UNSEEN_CUT_MS, 9_000), leftMs);
    const first: FirstAfterPause = random.chance(0.5) ? "timers" : "messages";
    log(`${process.incarnation}: ${how} for ${ms} ms, then ${first} first`);
    if (process.clock.caughtUp) process.frozenAt = time.now;
    process.clock[how](ms, first);
    if (ms <= UNSEEN_CUT_MS || (andCut === undefined && !random.chance(0.5))) return;
    const cutAfter = random.between(UNSEEN_CUT_MS, ms);
    time.after(cutAfter, () => {
      log(`${process.incarnation}: its connection is cut while it is stopped`);
      cut(context, process, ms - cutAfter + random.between(0, 1_500));
    });
  };
}

export function cut({ time, quietFrom }: FaultContext, process: Process, ms: number): void {
  if (!process.alive || process.session.link === null) return;
  // A process that was stopped a moment ago may still trust its connection: documented, see `Freshness`.
  if (!process.clock.caughtUp && time.now - process.frozenAt < UNSEEN_CUT_MS) return;
  process.session.disconnect();
  time.at(Math.min(time.now + ms, quietFrom), () => {
    if (process.alive) process.session.reconnect();
  });
}

/** Restarts the process after `ms`, but not before it has exited. */
export function restartLater(
  { time, quietFrom }: FaultContext,
  host: Host,
  ms: number,
  remembers: boolean,
): void {
  const { process } = host;
  const attempt = (): void => {
    if (process.alive) time.after(50, attempt);
    else if (host.process === process) host.restart(remembers);
  };
  time.at(Math.min(time.now + ms, quietFrom), attempt);
}
