/** What parent and nodes of the chaos run agree on. */
export const LEASE_TTL_MS = 1000;
export const STREAM = "REGISTER";
export const REGISTER = "register.fenced";
export const SHADOW = "register.shadow";
export const FENCE: string = `nats_leader.fence.${STREAM}`;

/** A line of a node. */
export interface NodeReport {
  readonly started?: true;
  readonly leads?: number;
  readonly lost?: number;
  readonly wrote?: number;
  readonly outcomes?: Readonly<Record<string, number>>;
}
