/** What faults are made of: their names, what they have to work with, and how they last. */
import type { FakeBucket } from "../../../src/testing/simulation/fakes/fake-bucket.ts";
import type { SeededRandom } from "../../../src/testing/simulation/random.ts";
import { LONG_MS, SHORT_MS } from "../../../src/testing/simulation/random-faults.ts";
import type { FirstAfterPause } from "../../../src/testing/simulation/time/virtual-clock.ts";
import type { VirtualTime } from "../../../src/testing/simulation/time/virtual-time.ts";
import type { TamperingKind } from "../check/interventions.ts";
import type { Host, Process } from "../host.ts";

/** Longer than a stopped process may believe in its connection, see `Freshness`. */
const UNSEEN_CUT_MS = 300;

/** How plans and reports call them. */
export type FaultName =
  | "latency"
  | "requests lost"
  | "responses lost"
  | "watch lost"
  | "blackhole"
  | "late write"
  | "pause"
  | "suspend"
  | "cut while frozen"
  | "wall clock"
  | "kill -9"
  | "host lost"
  | "disconnected"
  | "server restart"
  | "quorum lost"
  | "presence lost"
  | "stale reads"
  | "old event"
  | "false hint"
  | "trouble under way"
  | "other key"
  | "stop"
  | "stop while frozen"
  | "step down"
  | "only follow"
  | "server clock"
  | "key deleted"
  | "stream purged"
  | "garbage"
  | "bucket deleted";

export interface FaultContext {
  readonly random: SeededRandom;
  readonly time: VirtualTime;
  readonly bucket: FakeBucket;
  readonly hosts: readonly Host[];
  /** All faults are over by then. */
  readonly quietFrom: number;
  readonly remembers: boolean;
  readonly tell: (text: string) => void;
  /** The lease is about to be taken away; `recreates`: with everything the bucket knows. */
  readonly beforeTampering: (kind: TamperingKind, recreates?: boolean) => void;
  /** The message on the key has vanished without a marker. */
  readonly afterPurge: () => void;
  /** Something may have changed that no event tells of. */
  readonly stirred: () => void;
}

export type Fault = (context: FaultContext, host: Host) => void;

/** Until a random later time, at most until the quiet end. */
export function lasting({ random, time, quietFrom }: FaultContext, longestMs: number = LONG_MS): number {
  const ms = random.between(1, random.chance(0.5) ? longestMs : SHORT_MS);
  return Math.max(0, Math.min(ms, quietFrom - time.now));
}

export function network(
  name: string,
  begin: (host: Host, random: SeededRandom) => void,
  end: (host: Host) => void,
): Fault {
  return (context, host) => {
    const ms = lasting(context);
    context.tell(`${host.name}: ${name} for ${ms} ms`);
    begin(host, context.random);
    context.time.after(ms, () => end(host));
  };
}

/** `andCut`: long enough that the server takes its connection for dead meanwhile, and does. */
export function frozen(how: "pause" | "suspend", andCut?: "and cut"): Fault {
  return (context, { process }) => {
    const { random, time, quietFrom, tell } = context;
    const leftMs = Math.max(0, quietFrom - time.now);
    const ms =
      andCut === undefined ? lasting(context) : Math.min(random.between(2 * UNSEEN_CUT_MS, 9_000), leftMs);
    const first: FirstAfterPause = random.chance(0.5) ? "timers" : "messages";
    tell(`${process.incarnation}: ${how} for ${ms} ms, then ${first} first`);
    if (process.clock.caughtUp) process.frozenAt = time.now;
    process.clock[how](ms, first);
    if (ms <= UNSEEN_CUT_MS || (andCut === undefined && !random.chance(0.5))) return;
    const cutAfter = random.between(UNSEEN_CUT_MS, ms);
    time.after(cutAfter, () => {
      tell(`${process.incarnation}: its connection is cut meanwhile`);
      cut(context, process, ms - cutAfter + random.between(0, 1_500));
    });
  };
}

export function cut({ time, quietFrom }: FaultContext, process: Process, ms: number): void {
  if (!process.alive || process.session.link === null) return;
  // A process that was stopped a moment ago may still believe in its connection: documented, see `Freshness`.
  if (!process.clock.caughtUp && time.now - process.frozenAt < UNSEEN_CUT_MS) return;
  process.session.disconnect();
  time.at(Math.min(time.now + ms, quietFrom), () => {
    if (process.alive) process.session.reconnect();
  });
}

/** Not before the process has exited, however long its stop takes. */
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
