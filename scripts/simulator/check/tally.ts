/** Counts what occurred in many histories, by kind: a search in which a case never occurred proves nothing about it. */
import type { RoleName } from "../../../src/election/types.ts";

export type Counts = Record<string, number>;

/** How a term came about, by the previous state of the key. */
export type ElectionKind =
  | "empty bucket"
  | "released"
  | "deleted by an operator"
  | "garbage expired"
  | "lease expired"
  | "death confirmed"
  | "silence confirmed"
  | "own lease";

const ROLES: readonly RoleName[] = ["follower", "campaigning", "leader", "suspended", "draining", "stopped"];

export class Tally {
  readonly faults: Counts = {};
  readonly elections: Counts = {};
  /** By name: `follower > campaigning`. */
  readonly transitions: Counts = {};

  fault(name: string): void {
    count(this.faults, name);
  }

  election(kind: ElectionKind): void {
    count(this.elections, kind);
  }

  transition(name: string): void {
    count(this.transitions, name);
  }

  add(other: TallyData): void {
    for (const part of ["faults", "elections", "transitions"] as const) {
      for (const [name, times] of Object.entries(other[part])) count(this[part], name, times);
    }
  }
}

export type TallyData = Pick<Tally, "faults" | "elections" | "transitions">;

/** The transitions that one step may make, each with the functions that make it. Any other transition is a violation. */
export const TRANSITIONS: Readonly<Record<string, string>> = {
  "follower > campaigning": "campaign",
  "follower > leader": "settleOrphan -> become: an acquire whose ack was lost was applied",
  "follower > stopped": "stop",
  "campaigning > leader": "onAcquireOutcome -> become",
  "campaigning > follower": "onRefused, endCampaign",
  "campaigning > stopped": "stop: without a connection it does not wait for the ack",
  "leader > suspended": "suspend",
  "leader > draining": "drain",
  "leader > follower": "lose",
  "leader > stopped": "expire, then stop in the same step",
  "leader > campaigning": "expire, then campaign in the same step",
  "suspended > leader": "resume",
  "suspended > draining": "drain",
  "suspended > follower": "lose",
  "suspended > stopped": "expire, then stop in the same step",
  "suspended > campaigning": "expire, then campaign in the same step",
  "draining > follower": "endDrain",
  "draining > campaigning": "endDrain without a cooldown, then campaign in the same step",
  "draining > stopped": "endDrain, then stop in the same step",
};

/** Allowed transitions that did not occur. */
export function unseenTransitions(tally: TallyData): string[] {
  return Object.keys(TRANSITIONS).filter((name) => (tally.transitions[name] ?? 0) === 0);
}

/** Precomputed: building the texts would take longer than everything else here. */
const TRANSITION_NAMES: ReadonlyMap<RoleName, ReadonlyMap<RoleName, string>> = new Map(
  ROLES.map((from) => [from, new Map(ROLES.map((to) => [to, `${from} > ${to}`]))]),
);

export function transitionName(from: RoleName, to: RoleName): string {
  return TRANSITION_NAMES.get(from)?.get(to) ?? `${from} > ${to}`;
}

export function roleIndex(role: RoleName): number {
  return ROLES.indexOf(role);
}

function count(counts: Counts, name: string, times = 1): void {
  counts[name] = (counts[name] ?? 0) + times;
}
