/** Which fault comes where, and with which numbers: decided by the seed before anything runs. */

import { Random } from "../../src/testing/simulation/random.ts";
import {
  costMs,
  FAULT_NAMES,
  type FaultName,
  groupOf,
  isPossible,
  type WorldProfile,
} from "./faults/catalogue.ts";

export interface PlannedFault {
  /** From 1, over all worlds. */
  readonly number: number;
  readonly name: FaultName;
  /** Of the numbers that the fault draws for itself. */
  readonly seed: number;
}

export interface PlanOptions {
  readonly seed: number;
  readonly faults: number;
  readonly worlds: readonly WorldProfile[];
  /** Only these. Empty: all. */
  readonly only: readonly FaultName[];
}

/** Only one kind of world can do them. */
const CLOCK_CARDS = 3;

/**
 * One list for each world. Worlds get as many as they can do in the same time, by the catalogue's estimates; each deals all
 * of its possible faults in a shuffled order, then all again. What no other world has dealt yet comes first, so that also a
 * short run has all kinds.
 */
export function makePlan(options: PlanOptions): PlannedFault[][] {
  const { seed, faults, worlds, only } = options;
  const random = new Random(seed);
  const wanted = only.length === 0 ? FAULT_NAMES : only;
  const tables = worlds.map((world) => {
    const names = wanted.filter((name) => isPossible(name, world));
    const cards = names.flatMap((name) =>
      Array<FaultName>(groupOf(name) === "clock" ? CLOCK_CARDS : 1).fill(name),
    );
    return { world, plan: [] as PlannedFault[], deck: new Deck(cards, random), spentMs: 0, names };
  });
  const open = tables.filter(({ names }) => names.length > 0);
  if (open.length === 0) throw new Error(`no world can do ${wanted.join(", ")}`);
  const dealt = new Set<FaultName>();
  for (let number = 1; number <= faults; number++) {
    const table = open.reduce((least, other) => (other.spentMs < least.spentMs ? other : least));
    const name = table.deck.deal(dealt);
    dealt.add(name);
    table.plan.push({ number, name, seed: random.between(1, 0x7fffffff) });
    table.spentMs += costMs(name, table.world);
  }
  return tables.map(({ plan }) => plan);
}

class Deck {
  readonly #cards: readonly FaultName[];
  readonly #random: Random;
  #left: FaultName[] = [];

  constructor(cards: readonly FaultName[], random: Random) {
    this.#cards = cards;
    this.#random = random;
  }

  /** One that is not among these, if one is left. */
  deal(seen: ReadonlySet<FaultName>): FaultName {
    if (this.#left.length === 0) this.#left = [...this.#cards];
    const fresh = this.#left.filter((name) => !seen.has(name));
    const name = this.#random.pick(fresh.length > 0 ? fresh : this.#left);
    this.#left.splice(this.#left.indexOf(name), 1);
    return name;
  }
}

/** In the order in which they are taken: every run has one server and a cluster, both ways of crash detection, bent clocks. */
const PROFILES: readonly WorldProfile[] = [
  { servers: 1, crashDetection: "presence", clocks: false, disks: true, namespaces: false },
  { servers: 3, crashDetection: "presence", clocks: false, disks: true, namespaces: true },
  { servers: 1, crashDetection: "presence", clocks: true, disks: false, namespaces: false },
  { servers: 1, crashDetection: "lease", clocks: false, disks: true, namespaces: true },
  { servers: 3, crashDetection: "lease", clocks: false, disks: true, namespaces: false },
];

/** What this machine lets a run do. */
export interface Means {
  /** libfaketime is there, to bend clocks. */
  readonly clocks: boolean;
  /** File systems can be mounted, to be full. */
  readonly disks: boolean;
  /** Network namespaces can be made, to pull their cables. */
  readonly namespaces: boolean;
}

/** `servers` `null`: both kinds. */
export function profiles(count: number, servers: 1 | 3 | null, means: Means): WorldProfile[] {
  const usable = PROFILES.filter((profile) => servers === null || profile.servers === servers);
  return Array.from({ length: count }, (_, index) => {
    const profile = usable[index % usable.length] as WorldProfile;
    return {
      ...profile,
      clocks: profile.clocks && means.clocks,
      disks: profile.disks && means.disks,
      namespaces: profile.namespaces && means.namespaces,
    };
  });
}
