/** The context of a fault, and the building blocks of faults. */
import type { Resource } from "../../../src/group/core/balance.ts";
import type { GroupEntry, GroupKey } from "../../../src/group/core/types.ts";
import type { FakeGroupBucket } from "../../../src/testing/simulation/fakes/fake-group-bucket.ts";
import type { GroupNetwork, RequestKind } from "../../../src/testing/simulation/fakes/group-network.ts";
import type { SeededRandom } from "../../../src/testing/simulation/random.ts";
import type { FirstAfterPause } from "../../../src/testing/simulation/time/virtual-clock.ts";
import type { VirtualTime } from "../../../src/testing/simulation/time/virtual-time.ts";
import type { Host } from "../world/host.ts";
import type { Member } from "../world/member.ts";
import type { GroupFaultName } from "./names.ts";

/** Two leases. */
const LONG_MS = 10_000;
/** About one request timeout. */
const SHORT_MS = 800;
/** Longer than a stopped process may trust its connection, see `Freshness`. */
const UNSEEN_CUT_MS = 300;

export interface FaultContext {
  readonly random: SeededRandom;
  readonly time: VirtualTime;
  readonly bucket: FakeGroupBucket;
  readonly hosts: readonly Host[];
  /** The list that all members have in the end. */
  readonly resources: readonly Resource[];
  /** The kind of request that the fault hits, if the plan says so. */
  readonly kind: RequestKind | undefined;
  /** Every fault is over by then. */
  readonly quietFrom: number;
  /** Adds a line to the trace. */
  readonly log: (text: string) => void;
  /** Injects another fault. */
  readonly strike: (name: GroupFaultName, host: Host) => void;
  /** This key will not say what its owner believes. */
  readonly excuse: (key: GroupKey) => void;
  /** This key vanishes without a message. */
  readonly removed: (key: GroupKey) => void;
  readonly excuseAll: () => void;
  /** The watchers receive a forged message that is taken in. */
  readonly forged: (entry: GroupEntry) => void;
  /** The servers have lost the newest messages of these keys. */
  readonly lost: (keys: readonly GroupKey[]) => void;
  /** The state of a process may change without an event. */
  readonly invalidate: () => void;
  /** Changes the list that all members have in the end. */
  readonly setResources: (resources: readonly Resource[]) => void;
}

export type GroupFault = (context: FaultContext, host: Host) => void;

/** A random duration that ends before the quiet end. */
export function lasting({ random, time, quietFrom }: FaultContext, longestMs: number = LONG_MS): number {
  const ms = random.between(1, random.chance(0.5) ? longestMs : SHORT_MS);
  return Math.max(0, Math.min(ms, quietFrom - time.now));
}

/** A fault of a network that ends by itself. */
export function network(
  name: string,
  begin: (network: GroupNetwork, random: SeededRandom) => void,
  end: (network: GroupNetwork) => void,
): GroupFault {
  return (context, host) => {
    const ms = lasting(context);
    context.log(`${host.name}: ${name} for ${ms} ms`);
    begin(host.network, context.random);
    context.time.after(ms, () => end(host.network));
  };
}

/** Stops a process. `andCut`: for so long that its server closes the connection, which then happens. */
export function frozen(how: "pause" | "suspend", andCut?: "and cut"): GroupFault {
  return (context, { member }) => {
    if (member?.alive !== true) return;
    const { random, time, quietFrom, log } = context;
    const leftMs = Math.max(0, quietFrom - time.now);
    const ms =
      andCut === undefined ? lasting(context) : Math.min(random.between(2 * UNSEEN_CUT_MS, 6_000), leftMs);
    const first: FirstAfterPause = random.chance(0.5) ? "timers" : "messages";
    log(`${member.incarnation}: ${how} for ${ms} ms, then ${first} first`);
    if (member.clock.caughtUp) member.frozenAt = time.now;
    member.clock[how](ms, first);
    if (ms <= UNSEEN_CUT_MS || (andCut === undefined && !random.chance(0.5))) return;
    const cutAfter = random.between(UNSEEN_CUT_MS, ms);
    time.after(cutAfter, () => {
      log(`${member.incarnation}: its connection is cut while it is stopped`);
      cut(context, member, ms - cutAfter + random.between(0, 1_500));
    });
  };
}

export function cut(context: FaultContext, member: Member, ms: number): void {
  const { time } = context;
  if (!member.alive || member.session.link === null) return;
  // A process that was stopped a moment ago may still trust its connection: documented, see `Freshness`.
  if (!member.clock.caughtUp && time.now - member.frozenAt < UNSEEN_CUT_MS) return;
  member.session.disconnect();
  reconnectLater(context, member, ms);
}

/** The member reconnects after `ms`, but not before its process has noticed the end of its connection. */
export function reconnectLater({ time, quietFrom }: FaultContext, member: Member, ms: number): void {
  const attempt = (): void => {
    if (!member.alive) return;
    if (member.clock.caughtUp) member.session.reconnect();
    else time.after(1, attempt);
  };
  time.at(Math.min(time.now + ms, quietFrom), attempt);
}

/** Starts the member again after `ms`, but not before its process has exited. */
export function restartLater({ time, quietFrom }: FaultContext, host: Host, ms: number): void {
  const { member } = host;
  const attempt = (): void => {
    if (member?.alive === true) time.after(50, attempt);
    else if (host.member === member) host.start();
  };
  time.at(Math.min(time.now + ms, quietFrom), attempt);
}
