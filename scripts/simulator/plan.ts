/** The plan of a history, decided by its seed: its nodes and its faults. Plain data, so that a history can be shrunk. */
import type { CrashDetection } from "../../src/election/types.ts";
import { SeededRandom } from "../../src/testing/simulation/random.ts";
import {
  commonFaultNames,
  deletionFaultNames,
  operatorFaultNames,
  type SimulatedFaultName,
} from "./faults/names.ts";
import { type ApplicationPlan, type HostOptions, timing } from "./host.ts";
import { type Recipe, type RecipeName, recipes } from "./recipes.ts";

/** Every fault begins and ends before this true time, in milliseconds. */
export const FAULTY_MS = 80_000;

/** Faults of a burst follow each other within this time: about one request and its repetition. */
const SOON_MS = 1_500;

export interface PlannedFault {
  readonly at: number;
  readonly name: SimulatedFaultName;
  /** Index of the host that the fault hits, if it hits one. */
  readonly host: number;
  /** Seed of the random numbers that it draws, so that it does the same whatever happens before it. */
  readonly seed: number;
}

export interface Plan {
  readonly seed: number;
  /** Connections have presence consumers. */
  readonly presence: boolean;
  /** Restarted processes keep the epochs that they have seen. */
  readonly remembers: boolean;
  /** A recreated bucket starts above the revision that its creator requests, as on servers from 2.10 on. */
  readonly beginsAbove: boolean;
  /** 0: records do not expire on the server. Otherwise a bucket as go-cluster creates it. */
  readonly maxAgeMs: number;
  readonly hosts: readonly HostOptions[];
  readonly faults: readonly PlannedFault[];
}

export interface PlanOptions {
  /** Number of nodes. Default: one to five, mostly three. */
  readonly nodes?: number;
  /** Plays the faults of this recipe, in the number of nodes that it wants. Default: random faults. */
  readonly recipe?: RecipeName;
}

/** The nodes' monotonic clocks differ by up to 4.9 %; the margin is 5 % of the lease. */
const RATE_SPREAD = 0.048;

/** A burst of a recipe begins so long after the one before, in milliseconds: there is a leader again. */
const BURST_EVERY_MS = [11_000, 20_000] as const;

export function planOf(seed: number, options: PlanOptions = {}): Plan {
  return options.recipe === undefined
    ? randomPlanOf(seed, options)
    : aimedPlanOf(seed, recipes[options.recipe]);
}

/** Nodes that differ in nothing but what matters to most rules, and bursts of the faults of a recipe. */
function aimedPlanOf(
  seed: number,
  { nodes, crashDetection, steps, restartsRevisions = false }: Recipe,
): Plan {
  const random = new SeededRandom(seed ^ 0x61696d);
  const count = random.pick(nodes);
  const detection = random.pick(crashDetection);
  const hosts = Array.from({ length: count }, (_, index) => ({
    nodeId: "abcdefghij".charAt(index),
    competes: true,
    crashDetection: detection,
    rate: 1 + (random.next() - 0.5) * RATE_SPREAD,
    leaseTtlMs: timing.leaseTtlMs,
    renewIntervalMs: random.pick([timing.heartbeatIntervalMs, 1_000]),
    drainMs: random.pick([0, 0, 5, 200]),
  }));
  const faults: PlannedFault[] = [];
  const until = restartsRevisions ? BURST_EVERY_MS[0] : FAULTY_MS;
  for (let begin = random.between(0, 8_000); begin < until; begin += random.between(...BURST_EVERY_MS)) {
    const one = random.between(0, count - 1);
    const other = (one + random.between(1, Math.max(1, count - 1))) % count;
    const third = count < 3 ? one : 3 - one - other;
    let at = begin;
    for (const { name, host, afterMs } of steps) {
      at += random.between(...afterMs);
      faults.push({ at, name, host: { one, other, third }[host], seed: random.between(0, 0x7fffffff) });
    }
  }
  return {
    seed,
    presence: detection === "presence",
    remembers: random.chance(0.5) || restartsRevisions,
    beginsAbove: !restartsRevisions,
    maxAgeMs: 0,
    hosts,
    faults: faults.filter(({ at }) => at < FAULTY_MS),
  };
}

function randomPlanOf(seed: number, options: PlanOptions): Plan {
  const random = new SeededRandom(seed);
  const count = options.nodes ?? random.pick([1, 2, 3, 3, 4, 5]);
  const presence = seed % 2 === 0;
  // Repeated names raise the share of rare faults.
  const kinds = random.pick([
    commonFaultNames,
    commonFaultNames,
    [...commonFaultNames, ...operatorFaultNames, ...operatorFaultNames],
    [...commonFaultNames, ...deletionFaultNames, ...deletionFaultNames, ...deletionFaultNames],
    [...commonFaultNames, ...operatorFaultNames, ...deletionFaultNames],
  ]);
  const recreates = deletionFaultNames.every((name) => kinds.includes(name));
  const vanishes = operatorFaultNames.every((name) => kinds.includes(name));
  // Epochs survive a bucket that restarts at revision 1 only if nodes remember them and no operator removes the lease.
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
  addApplications(seed, hosts);
  addSilence(seed, hosts);
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

/** In half of the histories the nodes run applications of all kinds. Drawn from a sequence of its own: the rest of the plan stays. */
function addApplications(seed: number, hosts: HostOptions[]): void {
  const random = new SeededRandom(seed ^ 0x5eed);
  if (random.chance(0.5)) return;
  for (const [index, host] of hosts.entries()) {
    const application: ApplicationPlan = {
      seed: random.between(0, 0x7fffffff),
      hostility: random.pick([0, 0.2, 0.7]),
      drainTimeoutMs: random.pick([0, 500, 5_000]),
    };
    hosts[index] = { ...host, application };
  }
}

/**
 * In half of the histories the nodes promise silence: with a presence, and without it where connections have none. Drawn from a
 * sequence of its own.
 */
function addSilence(seed: number, hosts: HostOptions[]): void {
  const random = new SeededRandom(seed ^ 0x51e7ce);
  if (random.chance(0.5)) return;
  // Short ones cost the most time: there are sixteen beats in each second.
  const usual = random.pick([500, 1_000, 2_000, 2_000, 2_000, 3_000, 3_000]);
  for (const [index, host] of hosts.entries()) {
    if (random.chance(0.1)) continue;
    const silent = host.crashDetection === "lease" || random.chance(0.15);
    hosts[index] = {
      ...host,
      crashDetection: silent ? "silence" : host.crashDetection,
      silenceMs: random.chance(0.8) ? usual : random.pick([1_000, 2_000, 3_000]),
      noEcho: random.chance(0.07),
      deaf: random.chance(0.07),
      foreign: random.chance(0.05),
    };
  }
}

/** A third of the faults follow soon after the previous one, mostly on the same host, often of the same kind. */
function nextFault(
  random: SeededRandom,
  kinds: readonly SimulatedFaultName[],
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
