/** What the planner works on and what it returns. Types only. */

/** A live member, as its session record describes it. */
export interface PlanMember {
  readonly id: string;
  /** Its part of the resources, relative to the other weights: a whole number from 0 to `MAX_WEIGHT`. 0: as `draining`. */
  readonly weight: number;
  readonly zone?: string;
  /** The most resources it may own: a whole number. @default unlimited */
  readonly maxOwned?: number;
  /** It takes nothing. `plan` gives what it owns to others; `place` leaves it where it is, as it does everything that has an owner. */
  readonly draining: boolean;
}

export interface PlanResource {
  readonly name: string;
  /** The zone whose members are preferred. */
  readonly zone?: string;
  /**
   * The member that has it now: the planned owner if that one is alive, otherwise the actual one. A resource whose owner is not
   * listed, or refuses it, counts as unowned.
   */
  readonly owner?: string;
}

/** A pair that must not be formed: the member does not take this resource for now. */
export interface Refusal {
  readonly resource: string;
  readonly member: string;
}

/** Ids and names are unique. The order of the lists does not matter. */
export interface PlanInput {
  readonly members: readonly PlanMember[];
  readonly resources: readonly PlanResource[];
  readonly refusals?: readonly Refusal[];
}

/** Which member is to own which resource. */
export interface Assignment {
  /** Resource name to member id, ordered by name. */
  readonly owners: ReadonlyMap<string, string>;
  /** Resources that no member can take: the caps are used up, or the members that have room refuse them. Ordered by name. */
  readonly unplaced: readonly string[];
  /** Number of resources that an owner loses to another member, or to none. Resources that count as unowned are not moved. */
  readonly moves: number;
}
