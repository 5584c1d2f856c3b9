/** Decides from the seed, before anything runs, which faults come in which world, and in which order. */
import { Random } from "../../src/testing/simulation/random.ts";
import { Deck } from "../chaos/harness/deck.ts";
import { FAULT_NAMES, type FaultName, kindOf } from "./faults/faults.ts";
import type { WorldProfile } from "./world.ts";

export interface ScheduleOptions {
  readonly seed: number;
  readonly faults: number;
  readonly worlds: readonly WorldProfile[];
  /** Empty: all faults. */
  readonly only: readonly FaultName[];
}

/** A run uses these in order, again and again. */
const PROFILES: readonly Omit<WorldProfile, "clocks">[] = [
  { servers: 1, crashDetection: "presence" },
  { servers: 3, crashDetection: "mixed" },
  { servers: 1, crashDetection: "silence" },
  { servers: 3, crashDetection: "presence" },
  { servers: 1, crashDetection: "lease" },
];
/** The world whose clocks are changed, if there are so many. Its processes are slower. */
const CLOCKS = 2;

export function profiles(
  worlds: number,
  options: { readonly servers: 1 | 3 | null; readonly clocks: boolean },
): WorldProfile[] {
  const possible = PROFILES.filter(({ servers }) => options.servers === null || servers === options.servers);
  return Array.from({ length: worlds }, (_, index) => ({
    ...(possible[index % possible.length] as Omit<WorldProfile, "clocks">),
    clocks: options.clocks && index === CLOCKS % worlds,
  }));
}

/** Whether any of these faults changes clocks. */
export function changesClocks(only: readonly FaultName[]): boolean {
  return only.length === 0 || only.some((name) => kindOf(name).needs === "clocks");
}

function isPossible(name: FaultName, { servers, clocks }: WorldProfile): boolean {
  const { needs } = kindOf(name);
  if (needs === "cluster") return servers === 3;
  return needs === "clocks" ? clocks : true;
}

/**
 * One list per world. Every world deals all of its faults in random order before it repeats one, and prefers those that no world has dealt
 * yet.
 *
 * Throws if no world can inject any of the requested faults.
 */
export function makeSchedule({ seed, faults, worlds, only }: ScheduleOptions): FaultName[][] {
  const random = new Random(seed);
  const wanted = only.length === 0 ? FAULT_NAMES : only;
  const tables = worlds.map((world) => {
    const names = wanted.filter((name) => isPossible(name, world));
    return { names, deck: new Deck(names, random), dealt: [] as FaultName[] };
  });
  const open = tables.filter(({ names }) => names.length > 0);
  if (open.length === 0) throw new Error(`no world of this run can inject ${wanted.join(", ")}`);
  const seen = new Set<FaultName>();
  for (let number = 0; number < faults; number += 1) {
    const table = open[number % open.length];
    if (table === undefined) break;
    const name = table.deck.deal(seen);
    table.dealt.push(name);
    seen.add(name);
  }
  return tables.map(({ dealt }) => dealt);
}
