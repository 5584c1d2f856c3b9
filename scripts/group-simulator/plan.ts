/** The plan of a history, decided by its seed: its members, its resources and its faults. Plain data, so that it can be shrunk. */
import type { CrashDetection } from "../../src/election/types.ts";
import type { RequestKind } from "../../src/testing/simulation/fakes/group-network.ts";
import { SeededRandom } from "../../src/testing/simulation/random.ts";
import {
  commonFaultNames,
  deletionFaultNames,
  forgedFaultNames,
  type GroupFaultName,
  operatorFaultNames,
  slowFaultNames,
  wrongClockFaultNames,
} from "./faults/names.ts";
import { type Recipe, recipes } from "./recipes.ts";
import { FAULTY_MS, RATE_SPREAD } from "./timing.ts";

/** Faults of a burst follow each other within this time: about one request and its repetition. */
const SOON_MS = 900;

export interface PlannedFault {
  readonly at: number;
  readonly name: GroupFaultName;
  /** Index of the host that the fault hits, if it hits one. */
  readonly host: number;
  /** The kind of request that it hits. Absent: it draws one, if it hits any. */
  readonly kind?: RequestKind;
  /** Seed of the random numbers that it draws, so that it does the same whatever happens before it. */
  readonly seed: number;
}

export interface MemberPlan {
  readonly memberId: string;
  readonly crashDetection: CrashDetection;
  readonly silenceMs: number;
  /** Milliseconds on its clocks per true millisecond. */
  readonly rate: number;
  readonly weight: number;
  readonly zone?: string;
  readonly maxOwned?: number;
  /** How long its work takes to stop. */
  readonly drainMs: number;
  /** After so long `stop()` gives up work that does not end. */
  readonly drainTimeoutMs: number;
  /** Share of its terms whose hook fails: it refuses the resource. */
  readonly refuses: number;
  /** Milliseconds after the start of the history at which it first starts. */
  readonly startsAt: number;
}

/**
 * `faults`: random faults. `aimed`: those of a recipe. `wrong clock`: the clock of one member runs far too fast. `rolling`: every member is stopped and started again, one after the other, and nothing else happens: moves
 * are counted. `takeover`: many resources; members are killed while they take over from the last one. `slow`: F is short, and round trips
 * become about as long. `forged`: no message is lost, and many are forged.
 */
export type Scenario = "faults" | "aimed" | "wrong clock" | "rolling" | "takeover" | "slow" | "forged";

export interface GroupPlan {
  readonly seed: number;
  readonly scenario: Scenario;
  /** Which recipe the faults of an aimed history follow. */
  readonly recipe?: string;
  readonly presence: boolean;
  readonly resources: number;
  /** Number of zones of resources and members; 0: they have none. */
  readonly zones: number;
  readonly settleMs: number;
  readonly rejoinGraceMs: number;
  readonly maxMoves: number;
  /** A plan of more resources is too large for one message. */
  readonly largestPlan: number;
  readonly hosts: readonly MemberPlan[];
  readonly faults: readonly PlannedFault[];
}

/** Seeds of the scenario `slow`: every so many. None of them is named in docs/simulator.md for another scenario. */
const SLOW_EVERY = 101;
const FIRST_SLOW = 60;
const SHORT_SILENCE_MS = 500;
/** As `SLOW_EVERY`, of the scenario `forged`. */
const FORGED_EVERY = 97;
const FIRST_FORGED = 33;

export function planOf(seed: number): GroupPlan {
  if (seed % SLOW_EVERY === FIRST_SLOW) return slowPlanOf(seed);
  return seed % FORGED_EVERY === FIRST_FORGED ? forgedPlanOf(seed) : usualPlanOf(seed);
}

/** Where a message is lost, a forged one in its place may do more (the exception in `src/group/core/group.ts`): here none is. */
export function forgedPlanOf(seed: number): GroupPlan {
  const random = new SeededRandom(seed ^ 0x666f7267);
  const count = random.pick([1, 2, 2, 3, 3]);
  const crashDetection = random.pick<CrashDetection>(["presence", "lease", "silence"]);
  const hosts = Array.from({ length: count }, (_, index) => ({
    memberId: "abc".charAt(index),
    crashDetection,
    silenceMs: crashDetection === "silence" || random.chance(0.3) ? 1_000 : 0,
    rate: 1 + (random.next() - 0.5) * RATE_SPREAD,
    weight: 1,
    drainMs: random.pick([0, 5, 300]),
    drainTimeoutMs: 2_000,
    refuses: 0,
    startsAt: random.chance(0.7) ? random.between(0, 20) : random.between(0, 8_000),
  }));
  const others: readonly GroupFaultName[] = [
    "weight changes",
    "member drains",
    "move wished",
    "list changes",
    "list differs",
    "kill -9",
    "stop",
    "restart",
    "latency",
    "stale reads",
    "old message",
  ];
  const faults = Array.from({ length: random.between(6, 16) }, () => ({
    at: random.between(500, FAULTY_MS - 2_000),
    name: random.pick(random.chance(0.5) ? forgedFaultNames : others),
    host: random.between(0, count - 1),
    seed: random.between(0, 0x7fffffff),
  }));
  // One at least.
  faults.push({ at: 5_000, name: "forged in a row", host: 0, seed: random.between(0, 0x7fffffff) });
  return {
    seed,
    scenario: "forged",
    presence: random.chance(0.6),
    resources: random.pick([1, 2, 4, 6]),
    zones: 0,
    settleMs: random.pick([200, 1_000, 3_000]),
    rejoinGraceMs: 0,
    maxMoves: random.pick([1, 2, 5]),
    largestPlan: 1_000,
    hosts,
    faults: faults.sort((one, other) => one.at - other.at),
  };
}

/** Every other seed has the plan that it would have without this scenario. */
function slowPlanOf(seed: number): GroupPlan {
  const random = new SeededRandom(seed ^ 0x736c6f77);
  const count = random.pick([1, 2, 2, 3]);
  const crashDetection = random.pick<CrashDetection>(["presence", "silence"]);
  const hosts = Array.from({ length: count }, (_, index) => ({
    memberId: "abc".charAt(index),
    crashDetection,
    silenceMs: random.chance(0.8) ? SHORT_SILENCE_MS : 1_000,
    rate: 1 + (random.next() - 0.5) * RATE_SPREAD,
    weight: 1,
    drainMs: random.pick([0, 5, 300]),
    drainTimeoutMs: 2_000,
    refuses: 0,
    startsAt: random.between(0, 20),
  }));
  const others: readonly GroupFaultName[] = ["pause", "disconnected", "kill -9", "member drains", "latency"];
  const faults = Array.from({ length: random.between(2, 6) }, () => ({
    at: random.between(1_000, FAULTY_MS - 4_000),
    name: random.pick(random.chance(0.7) ? slowFaultNames : others),
    host: random.between(0, count - 1),
    seed: random.between(0, 0x7fffffff),
  }));
  // One at least, on the first host.
  faults.push({ at: 4_000, name: "slow round trips", host: 0, seed: random.between(0, 0x7fffffff) });
  return {
    seed,
    scenario: "slow",
    presence: random.chance(0.6),
    resources: random.pick([1, 2, 4]),
    zones: 0,
    settleMs: random.pick([200, 1_000, 3_000]),
    rejoinGraceMs: 0,
    maxMoves: random.pick([1, 2, 5]),
    largestPlan: 1_000,
    hosts,
    faults: faults.sort((one, other) => one.at - other.at),
  };
}

function usualPlanOf(seed: number): GroupPlan {
  const random = new SeededRandom(seed ^ 0x67726f75);
  const scenario = random.pick<Scenario>([
    ...Array.from({ length: 10 }, () => "faults" as const),
    ...Array.from({ length: 10 }, () => "aimed" as const),
    "wrong clock",
    "rolling",
    "takeover",
  ]);
  const [name, recipe] = scenario === "aimed" ? random.pick(Object.entries(recipes)) : [null, null];
  const hosts = recipe === null ? membersOf(random, scenario) : fewMembers(random, recipe);
  return {
    seed,
    scenario,
    ...(name === null ? {} : { recipe: name }),
    presence: random.chance(0.6),
    resources: resourcesOf(random, scenario),
    // With zones a plan after a death moves more than the minimum (groups.md, section 6).
    zones: scenario !== "rolling" && random.chance(0.2) ? 2 : 0,
    settleMs: random.pick([200, 1_000, 3_000]),
    rejoinGraceMs: random.chance(0.15) ? random.between(500, 3_000) : 0,
    maxMoves: random.pick([1, 2, 5]),
    largestPlan: random.chance(0.03) ? 2 : 1_000,
    hosts,
    faults:
      recipe === null ? faultsOf(random, scenario, hosts.length) : aimedAt(random, recipe, hosts.length),
  };
}

function resourcesOf(random: SeededRandom, scenario: Scenario): number {
  if (scenario === "aimed") return random.pick([1, 1, 2, 3]);
  if (scenario !== "takeover") return random.pick([1, 1, 2, 2, 3, 4, 6, 9, 14]);
  return random.chance(0.05) ? 1_000 : random.between(60, 200);
}

/** Two or three members that differ in nothing but what matters to most rules. */
function fewMembers(random: SeededRandom, { twins }: Recipe): MemberPlan[] {
  const count = twins === undefined ? random.pick([2, 2, 3]) : random.pick([2, 3]);
  const crashDetection = random.pick<CrashDetection>(["presence", "presence", "lease", "silence"]);
  const drainMs = random.pick([0, 5, 300, 900]);
  return Array.from({ length: count }, (_, index) => ({
    memberId: "abc".charAt(twins !== undefined && index === 1 ? 0 : index),
    crashDetection,
    silenceMs: crashDetection === "silence" || random.chance(0.3) ? 1_000 : 0,
    rate: 1 + (random.next() - 0.5) * RATE_SPREAD,
    weight: 1,
    drainMs,
    drainTimeoutMs: random.pick([300, 2_000]),
    refuses: 0,
    startsAt: random.chance(0.7) ? random.between(0, 20) : random.between(0, 3_000),
  }));
}

/** Several bursts of faults of the recipe, most of them on one host. */
function aimedAt(random: SeededRandom, { ingredients }: Recipe, hosts: number): PlannedFault[] {
  const faults: PlannedFault[] = [];
  for (let burst = random.between(2, 4); burst > 0; burst -= 1) {
    const host = random.between(0, hosts - 1);
    let at = random.between(0, FAULTY_MS - 4_000);
    for (let left = random.between(2, 4); left > 0; left -= 1) {
      const [name, ...kinds] = random.pick(ingredients);
      const struck = random.chance(0.7) ? host : random.between(0, hosts - 1);
      const seed = random.between(0, 0x7fffffff);
      faults.push({
        at,
        name,
        host: struck,
        seed,
        ...(kinds.length === 0 ? {} : { kind: random.pick(kinds) }),
      });
      at += random.between(0, random.chance(0.7) ? SOON_MS : 3_000);
    }
  }
  return faults.filter(({ at }) => at < FAULTY_MS).sort((one, other) => one.at - other.at);
}

function membersOf(random: SeededRandom, scenario: Scenario): MemberPlan[] {
  const isCalm = scenario === "rolling" || scenario === "takeover";
  const wrongClock = scenario === "wrong clock" ? random.between(0, 1) : null;
  const count = isCalm || wrongClock !== null ? random.between(2, 5) : random.pick([1, 2, 2, 3, 3, 3, 4, 5]);
  const twins = scenario === "faults" && random.chance(0.1);
  const weighted = random.chance(0.2);
  const capped = random.chance(0.1);
  const crashDetection = random.pick<CrashDetection>(["presence", "presence", "lease", "silence"]);
  return Array.from({ length: count }, (_, index) => ({
    memberId: "abcdefghij".charAt(twins && index === 1 ? 0 : index % 10),
    crashDetection: random.chance(0.1) ? "lease" : crashDetection,
    silenceMs: crashDetection === "silence" || random.chance(0.3) ? 1_000 : 0,
    rate: index === wrongClock ? 1.2 + 0.3 * random.next() : 1 + (random.next() - 0.5) * RATE_SPREAD,
    weight: weighted ? random.pick([1, 2, 3]) : 1,
    ...(random.chance(0.5) ? { zone: random.pick(["z0", "z1"]) } : {}),
    ...(capped ? { maxOwned: random.between(1, 6) } : {}),
    drainMs: isCalm ? 20 : random.pick([0, 0, 5, 100, 700, 2_500]),
    drainTimeoutMs: random.pick([300, 2_000, 6_000]),
    refuses: !isCalm && random.chance(0.1) ? 0.2 : 0,
    startsAt: random.chance(0.7) ? random.between(0, 20) : random.between(0, 8_000),
  }));
}

function faultsOf(random: SeededRandom, scenario: Scenario, hosts: number): PlannedFault[] {
  const fault = (at: number, name: GroupFaultName, host: number): PlannedFault => ({
    at,
    name,
    host,
    seed: random.between(0, 0x7fffffff),
  });
  if (scenario === "rolling") return [];
  if (scenario === "takeover") {
    return [
      fault(random.between(9_000, 10_000), "kill -9", random.between(0, hosts - 1)),
      ...Array.from({ length: random.between(1, 3) }, () =>
        fault(random.between(9_000, 16_000), "killed while claiming", random.between(0, hosts - 1)),
      ),
    ].sort((one, other) => one.at - other.at);
  }
  const kinds =
    scenario === "wrong clock"
      ? wrongClockFaultNames
      : random.pick([
          commonFaultNames,
          commonFaultNames,
          commonFaultNames,
          [...commonFaultNames, ...operatorFaultNames],
          [...commonFaultNames, ...deletionFaultNames, ...deletionFaultNames],
        ]);
  const faults: PlannedFault[] = [];
  for (let left = random.between(4, 16); left > 0; left -= 1) {
    const before = faults.at(-1);
    const soon = before !== undefined && random.chance(0.4);
    const same = soon && random.chance(0.6);
    faults.push(
      fault(
        soon
          ? Math.min(before.at + random.between(0, SOON_MS), FAULTY_MS - 1)
          : random.between(0, FAULTY_MS - 1),
        soon && random.chance(0.2) ? before.name : random.pick(kinds),
        same ? before.host : random.between(0, hosts - 1),
      ),
    );
  }
  return faults.sort((one, other) => one.at - other.at);
}
