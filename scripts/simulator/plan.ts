/** What a seed stands for: who takes part, and which faults happen when. Plain data, so that a history can be cut down. */
import type { CrashDetection } from "../../src/election/types.ts";
import { SeededRandom } from "../../src/testing/simulation/random.ts";
import type { FaultName } from "./faults/fault-tools.ts";
import { bucketFaults, commonFaults, operatorFaults } from "./faults/faults.ts";
import { type HostOptions, timing } from "./host.ts";

/** Faults happen until then, in milliseconds of true time; they are over by then, too. */
export const FAULTY_MS = 80_000;

/** Troubles that come together come within that: about a request and its repetition. */
const SOON_MS = 1_500;

export interface PlannedFault {
  readonly at: number;
  readonly name: FaultName;
  /** Index of the host that is hit, where one is. */
  readonly host: number;
  /** Of the random numbers it draws: a fault does the same whatever happens before it. */
  readonly seed: number;
}

export interface Plan {
  readonly seed: number;
  /** Connections have presence consumers. */
  readonly presence: boolean;
  /** Restarted processes keep what they know. */
  readonly remembers: boolean;
  /** A bucket that is made anew begins where its maker says: what a server from 2.10 on does. */
  readonly beginsAbove: boolean;
  /** 0: records don't expire on the server. Otherwise a bucket as go-cluster makes it. */
  readonly maxAgeMs: number;
  readonly hosts: readonly HostOptions[];
  readonly faults: readonly PlannedFault[];
}

export interface PlanOptions {
  /** How many nodes take part. Default: one to five, mostly three. */
  readonly nodes?: number;
}

/** The nodes' monotonic clocks differ by up to 4.9 %; the margin is 5 % of the lease. */
const RATE_SPREAD = 0.048;

export function planOf(seed: number, options: PlanOptions = {}): Plan {
  const random = new SeededRandom(seed);
  const count = options.nodes ?? random.pick([1, 2, 3, 3, 4, 5]);
  const presence = seed % 2 === 0;
  // What is rare among so many is named more than once.
  const kinds = random.pick([
    commonFaults,
    commonFaults,
    [...commonFaults, ...operatorFaults, ...operatorFaults],
    [...commonFaults, ...bucketFaults, ...bucketFaults, ...bucketFaults],
    [...commonFaults, ...operatorFaults, ...bucketFaults],
  ]);
  const recreates = bucketFaults.every((name) => kinds.includes(name));
  const vanishes = operatorFaults.every((name) => kinds.includes(name));
  // A bucket that begins at 1 again is survived only by those who remember, and only while its key has a history.
  const beginsAbove = !recreates || vanishes || random.chance(0.5);
  const remembers = recreates && !vanishes;
  const maxAgeMs = !remembers && random.chance(0.1) ? timing.leaseTtlMs : 0;
  const twins = random.chance(0.05);
  const hosts: HostOptions[] = [];
  for (let index = 0; index < count; index += 1) {
    const crashDetection: CrashDetection = presence && !random.chance(0.1) ? "presence" : "lease";
    hosts.push({
      nodeId: "abcdefghij".charAt(twins && index === 1 ? 0 : index % 10),
      competes: index < 1 || !random.chance(0.1),
      crashDetection,
      rate: 1 + (random.next() - 0.5) * RATE_SPREAD,
      leaseTtlMs:
        maxAgeMs > 0 ? timing.leaseTtlMs : random.pick([timing.leaseTtlMs, timing.leaseTtlMs, 6_000]),
      renewIntervalMs: random.pick([timing.heartbeatIntervalMs, timing.heartbeatIntervalMs, 1_000]),
      drainMs: random.pick([0, 5, 200, 1_500, 9_000]),
    });
  }
  const faults: PlannedFault[] = [];
  for (let left = random.between(10, 30); left > 0; left -= 1) {
    faults.push(nextFault(random, kinds, count, faults.at(-1)));
  }
  faults.sort((one, other) => one.at - other.at);
  return {
    seed,
    presence,
    remembers,
    beginsAbove,
    maxAgeMs,
    hosts,
    faults,
  };
}

/** Troubles come together: a third of them soon after the one before, mostly to the same node, often of the same kind. */
function nextFault(
  random: SeededRandom,
  kinds: readonly FaultName[],
  hosts: number,
  before: PlannedFault | undefined,
): PlannedFault {
  const soon = before !== undefined && random.chance(0.33);
  const same = soon && random.chance(0.75);
  return {
    at: soon
      ? Math.min(before.at + random.between(0, SOON_MS), FAULTY_MS - 1)
      : random.between(0, FAULTY_MS - 1),
    name: soon && random.chance(0.25) ? before.name : random.pick(kinds),
    host: same ? before.host : random.between(0, hosts - 1),
    seed: random.between(0, 0x7fffffff),
  };
}
