/** What the core needs to know of plans: pure functions, given in its constants. `src/group/plan` implements them. */

/** A thing that has one owner at a time. */
export interface Resource {
  readonly name: string;
  /** Members of this zone are preferred. */
  readonly zone?: string;
}

/** A member as the plan sees it. */
export interface PlanMember {
  readonly memberId: string;
  /** 0: takes no resource, for example while it drains. */
  readonly weight: number;
  readonly zone?: string;
  readonly maxOwned?: number;
  /** Resources that it must not get. */
  readonly refused: readonly string[];
}

/** Which member owns which resource; one that is missing has no member. */
export type Assignment = ReadonlyMap<string, string>;

export interface BalanceInput {
  readonly members: readonly PlanMember[];
  readonly resources: readonly Resource[];
  /** Present owners. One that is not among the members counts as none. */
  readonly owners: Assignment;
}

export interface StoredPlan {
  /** Ids of the members for which it was made, sorted. */
  readonly members: readonly string[];
  readonly assignment: Assignment;
}

export interface Balance {
  /** Balance, then zones, then the fewest moves. A fixed point of its own output. */
  plan(input: BalanceInput): Assignment;
  /** No resource with an owner moves; the others go where the load is least. */
  place(input: BalanceInput): Assignment;
  /** `null`: too large for one message. */
  encode(plan: StoredPlan): Uint8Array | null;
  /** `null`: not a plan. */
  decode(bytes: Uint8Array): StoredPlan | null;
}
