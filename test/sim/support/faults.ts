/** What can go wrong, and for how long. Every fault heals by itself before the quiet end of a history. */
import type { Snapshot } from "../../../src/election/types.ts";
import type { FakeBucket } from "../../../src/sim/fake-bucket.ts";
import type { FirstAfterPause } from "../../../src/sim/virtual-clock.ts";
import type { VirtualTime } from "../../../src/sim/virtual-time.ts";
import type { Checker } from "./checker.ts";
import type { Host, Process } from "./host.ts";
import type { SeededRandom } from "./random.ts";

/** Longer than a stopped process may believe in its connection, see `Freshness`. */
const UNSEEN_CUT_MS = 300;

export interface FaultContext {
  readonly random: SeededRandom;
  readonly time: VirtualTime;
  readonly bucket: FakeBucket;
  readonly hosts: readonly Host[];
  readonly checker: Checker;
  /** All faults are over by then. */
  readonly quietFrom: number;
  /** Whether restarted processes keep what they know: bucket faults are survived only by those who remember. */
  readonly remembers: boolean;
  readonly tell: (text: string) => void;
}

type Fault = (context: FaultContext, host: Host) => void;

/** Until a random later time, at most until the quiet end. */
function lasting({ random, time, quietFrom }: FaultContext, longestMs: number): number {
  const ms = random.chance(0.5) ? random.between(1, longestMs) : random.between(1, 400);
  return Math.max(0, Math.min(ms, quietFrom - time.now));
}

function network(
  name: string,
  begin: (host: Host, random: SeededRandom) => void,
  end: (host: Host) => void,
): Fault {
  return (context, host) => {
    const ms = lasting(context, 6_000);
    context.tell(`${host.nodeId}: ${name} for ${ms} ms`);
    begin(host, context.random);
    context.time.after(ms, () => end(host));
  };
}

function frozen(context: FaultContext, host: Host, how: "pause" | "suspend"): void {
  const { random, time, tell } = context;
  const { process } = host;
  const ms = lasting(context, 6_000);
  const first: FirstAfterPause = random.chance(0.5) ? "timers" : "messages";
  tell(`${process.incarnation}: ${how} for ${ms} ms, then ${first} first`);
  if (process.clock.running) process.frozenAt = time.now;
  process.clock[how](ms, first);
  if (ms <= UNSEEN_CUT_MS || !random.chance(0.5)) return;
  const cutAfter = random.between(UNSEEN_CUT_MS, ms);
  time.after(cutAfter, () => {
    tell(`${process.incarnation}: its connection is cut meanwhile`);
    cut(context, process, ms - cutAfter + random.between(0, 500));
  });
}

function cut(context: FaultContext, process: Process, ms: number): void {
  if (!process.alive || process.session.link === null) return;
  // A process that was stopped a moment ago may still believe in its connection: documented, see `Freshness`.
  if (!process.clock.running && context.time.now - process.frozenAt < UNSEEN_CUT_MS) return;
  process.session.disconnect();
  context.time.at(Math.min(context.time.now + ms, context.quietFrom), () => {
    if (process.alive) process.session.reconnect();
  });
}

/** Not before the process has exited, however long its stop takes. */
function restartLater(context: FaultContext, host: Host, ms: number, remembers: boolean): void {
  const { time, quietFrom } = context;
  const { process } = host;
  const attempt = (): void => {
    if (process.alive) time.after(50, attempt);
    else if (host.process === process) host.restart(remembers);
  };
  time.at(Math.min(time.now + ms, quietFrom), attempt);
}

export const commonFaults: readonly Fault[] = [
  network(
    "latency",
    (host, random) => {
      host.network.latencyMs = random.between(1, 600);
    },
    (host) => {
      host.network.latencyMs = 1;
    },
  ),
  network(
    "requests lost",
    (host) => {
      host.network.dropRequests = true;
    },
    (host) => {
      host.network.dropRequests = false;
    },
  ),
  network(
    "responses lost",
    (host) => {
      host.network.dropResponses = true;
    },
    (host) => {
      host.network.dropResponses = false;
    },
  ),
  network(
    "watch lost",
    (host) => {
      host.network.dropWatch = true;
    },
    (host) => {
      host.network.dropWatch = false;
    },
  ),
  network(
    "blackhole",
    (host) => {
      host.network.dropRequests = true;
      host.network.dropResponses = true;
    },
    (host) => {
      host.network.dropRequests = false;
      host.network.dropResponses = false;
    },
  ),
  (context, host) => {
    const ms = lasting(context, 6_000);
    context.tell(`${host.nodeId}: the next write arrives ${ms} ms late`);
    host.network.delayNextWriteMs = ms;
    context.time.after(ms, () => {
      host.network.delayNextWriteMs = 0;
    });
  },
  (context, host) => frozen(context, host, "pause"),
  (context, host) => frozen(context, host, "suspend"),
  ({ random, tell }, host) => {
    const ms = random.between(-100_000, 100_000);
    tell(`${host.nodeId}: wall clock stepped by ${ms} ms`);
    host.process.clock.stepWall(ms);
  },
  (context, host) => {
    if (!host.process.alive) return;
    context.tell(`${host.process.incarnation}: kill -9`);
    host.process.kill();
    restartLater(context, host, context.random.between(1, 4_000), context.remembers);
  },
  (context, host) => {
    const ms = lasting(context, 5_000);
    context.tell(`${host.process.incarnation}: disconnected for ${ms} ms`);
    cut(context, host.process, ms);
  },
  ({ hosts, tell }, host) => {
    const presence = host.process.session.link?.presence;
    if (presence === undefined) return;
    tell(`${host.process.incarnation}: its presence consumer is lost, but it lives`);
    for (const other of hosts) other.process.session.hearOf(presence);
  },
  (context, host) => {
    const snapshot: Snapshot = context.bucket.snapshot();
    const ms = lasting(context, 6_000);
    context.tell(`${host.nodeId}: reads show the state of now for ${ms} ms`);
    host.network.staleSnapshot = snapshot;
    context.time.after(ms, () => {
      host.network.staleSnapshot = null;
    });
  },
  ({ bucket, random, tell }) => {
    const entry = bucket.log[bucket.log.length - random.between(1, 4)];
    if (entry === undefined || entry.revision > (bucket.entry?.revision ?? 0)) return;
    tell(`revision ${entry.revision} is reported again`);
    bucket.repeat(entry);
  },
  ({ bucket, tell }) => {
    tell("some other key of the bucket is written");
    if (bucket.exists) bucket.writeOtherKey();
  },
  (context, host) => {
    context.tell(`${host.process.incarnation}: stop()`);
    const { process } = host;
    process.clock.deliver(() => process.driver.dispatch({ type: "stop" }));
    restartLater(context, host, context.random.between(100, 6_000), true);
  },
  ({ random, hosts, tell }, host) => {
    const { process } = host;
    const successor = random.chance(0.5) ? random.pick(hosts).nodeId : undefined;
    const reason = random.chance(0.8) ? "released" : "hook-failed";
    tell(`${process.incarnation}: resign ${reason} ${successor ?? ""}`);
    process.clock.deliver(() =>
      process.driver.dispatch({ type: "resign", reason, ...(successor === undefined ? {} : { successor }) }),
    );
  },
  (context, host) => {
    const { process } = host;
    if (!host.options.competes) return;
    const ms = lasting(context, 4_000);
    context.tell(`${process.incarnation}: only follows for ${ms} ms`);
    const compete = (competes: boolean): void =>
      process.clock.deliver(() => process.driver.dispatch({ type: "compete", competes }));
    compete(false);
    context.time.after(ms, () => compete(true));
  },
];

export const operatorFaults: readonly Fault[] = [
  ({ bucket, checker, tell }) => {
    tell("the operator deletes the key");
    checker.beforeTampering(false);
    bucket.force((revision) => ({ kind: "deleted", revision }));
  },
  ({ bucket, checker, tell }) => {
    tell("the operator purges the stream");
    checker.beforeTampering(false);
    bucket.expire();
    checker.afterPurge();
  },
  ({ bucket, tell }) => {
    tell("the operator writes garbage");
    bucket.force((revision) => ({ kind: "garbage", revision, reason: "not JSON" }));
  },
];

export const bucketFaults: readonly Fault[] = [
  ({ bucket, checker, hosts, random, tell, time }) => {
    if (!bucket.exists) return;
    tell("the bucket is deleted");
    checker.beforeTampering(true);
    for (const host of hosts) host.network.staleSnapshot = null;
    bucket.delete();
    if (!random.chance(0.5)) return;
    time.after(random.between(1, 500), () => {
      if (!bucket.exists) tell("the bucket is created anew");
      bucket.recreate();
    });
  },
];
