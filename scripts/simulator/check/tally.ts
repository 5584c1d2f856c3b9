/** What was seen in many histories, counted by kind: a search that never came near a case proves nothing about it. */
import type { RoleName } from "../../../src/election/types.ts";

export type Counts = Record<string, number>;

/** How a term came about, by what stood on the key before. */
export type ElectionKind =
  | "empty bucket"
  | "released"
  | "deleted by somebody"
  | "garbage outwaited"
  | "lease outwaited"
  | "death confirmed"
  | "own lease";

const ROLES: readonly RoleName[] = ["follower", "campaigning", "leader", "suspended", "draining", "stopped"];

export class Tally {
  readonly faults: Counts = {};
  readonly elections: Counts = {};
  /** From role to role, `follower > campaigning`. */
  readonly transitions: Counts = {};

  fault(name: string): void {
    count(this.faults, name);
  }

  election(kind: ElectionKind): void {
    count(this.elections, kind);
  }

  /** By its name. */
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

/** Transitions of one step that the rules allow, each with what makes it. Everything else is a violation. */
export const TRANSITIONS: Readonly<Record<string, string>> = {
  "follower > campaigning": "campaign",
  "follower > leader": "settleOrphan -> become: an acquire whose ack was lost turns out to be applied",
  "follower > stopped": "stop",
  "campaigning > leader": "onAcquireOutcome -> become",
  "campaigning > follower": "onRefused, endCampaign",
  "campaigning > stopped": "stop: without a connection nobody waits for the ack",
  "leader > suspended": "suspend",
  "leader > draining": "drain",
  "leader > follower": "lose",
  "leader > stopped": "expire, then stop in the same step",
  "leader > campaigning": "expire, then campaign anew in the same step",
  "suspended > leader": "resume",
  "suspended > draining": "drain",
  "suspended > follower": "lose",
  "suspended > stopped": "expire, then stop in the same step",
  "suspended > campaigning": "expire, then campaign anew in the same step",
  "draining > follower": "endDrain",
  "draining > campaigning": "endDrain without a cooldown, then campaign in the same step",
  "draining > stopped": "endDrain, then stop in the same step",
};

/** Transitions that could have been seen and were not. */
export function unseenTransitions(tally: TallyData): string[] {
  return Object.keys(TRANSITIONS).filter((name) => (tally.transitions[name] ?? 0) === 0);
}

/** Made once: putting text together takes longer than all else that is counted. */
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
