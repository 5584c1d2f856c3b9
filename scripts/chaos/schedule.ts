/** Decides from the seed, before anything runs, which faults come in which world, in which order and with which numbers. */
import type { CrashDetection } from "../../src/election/types.ts";
import { Random } from "../../src/testing/simulation/random.ts";
import { costMs, isPossible, type WorldProfile } from "./faults/catalogue.ts";
import { FAULT_NAMES, type FaultName, groupOf } from "./faults/names.ts";
import { Deck } from "./harness/deck.ts";

export interface ScheduledFault {
  /** From 1, over all worlds. */
  readonly number: number;
  readonly name: FaultName;
  /** Seed of the random numbers that the fault draws. */
  readonly seed: number;
}

export interface ScheduleOptions {
  readonly seed: number;
  readonly faults: number;
  readonly worlds: readonly WorldProfile[];
  /** Limits the schedule to these faults. Empty: all faults. */
  readonly only: readonly FaultName[];
}

/** Clock faults are possible in one world only, so each counts three times there. */
const CLOCK_CARDS = 3;

/**
 * One list per world. By the catalogue's estimates all worlds take about the same time. Each world deals all of its possible
 * faults in random order, then all of them again. Faults that no world has dealt yet come first, so a short run has every
 * kind before it repeats one.
 *
 * Throws if no world can inject any of the requested faults.
 */
export function makeSchedule(options: ScheduleOptions): ScheduledFault[][] {
  const { seed, faults, worlds, only } = options;
  const random = new Random(seed);
  const wanted = only.length === 0 ? FAULT_NAMES : only;
  const tables = worlds.map((world) => {
    const names = wanted.filter((name) => isPossible(name, world));
    const cards = names.flatMap((name) =>
      Array<FaultName>(groupOf(name) === "clock" ? CLOCK_CARDS : 1).fill(name),
    );
    return { world, dealt: [] as ScheduledFault[], deck: new Deck(cards, random), spentMs: 0, names };
  });
  const open = tables.filter(({ names }) => names.length > 0);
  if (open.length === 0) throw new Error(`no world of this run can inject ${wanted.join(", ")}`);
  const dealt = new Set<FaultName>();
  for (let number = 1; number <= faults; number++) {
    const table = open.reduce((least, other) => (other.spentMs < least.spentMs ? other : least));
    const name = table.deck.deal(dealt);
    dealt.add(name);
    table.dealt.push({ number, name, seed: random.between(1, 0x7fffffff) });
    table.spentMs += costMs(name, table.world);
  }
  return tables.map((table) => table.dealt);
}

/**
 * A run uses these in order. Five worlds cover one server and a cluster, all modes of crash detection alone and mixed, and changed
 * clocks.
 */
const PROFILES: readonly WorldProfile[] = [
  { servers: 1, crashDetection: "presence", clocks: false, disks: true, namespaces: false },
  { servers: 3, crashDetection: "mixed", clocks: false, disks: true, namespaces: true },
  { servers: 1, crashDetection: "mixed", clocks: true, disks: false, namespaces: false },
  { servers: 1, crashDetection: "silence", clocks: false, disks: true, namespaces: true },
  { servers: 3, crashDetection: "lease", clocks: false, disks: true, namespaces: false },
  { servers: 3, crashDetection: "presence", clocks: false, disks: true, namespaces: true },
  { servers: 3, crashDetection: "silence", clocks: false, disks: true, namespaces: false },
];

/** What this machine supports. */
export interface MachineSupport {
  /** libfaketime is installed. */
  readonly clocks: boolean;
  /** This process may mount file systems. */
  readonly disks: boolean;
  /** This process may create network namespaces. */
  readonly namespaces: boolean;
}

export interface ProfileOptions {
  readonly worlds: number;
  /** `null`: both kinds. */
  readonly servers: 1 | 3 | null;
  /** Of all nodes. `null`: as the profile says. */
  readonly crashDetection: CrashDetection | null;
}

export function profiles(options: ProfileOptions, support: MachineSupport): WorldProfile[] {
  const { worlds, servers, crashDetection } = options;
  const usable = PROFILES.filter((profile) => servers === null || profile.servers === servers);
  return Array.from({ length: worlds }, (_, index) => {
    const profile = usable[index % usable.length] as WorldProfile;
    return {
      ...profile,
      crashDetection: crashDetection ?? profile.crashDetection,
      clocks: profile.clocks && support.clocks,
      disks: profile.disks && support.disks,
      namespaces: profile.namespaces && support.namespaces,
    };
  });
}
