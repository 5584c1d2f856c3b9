/** The comparison of fencing tokens. Pure. */
import { EPOCH_SLACK, MAX_EPOCH } from "../election/epochs.ts";

/** A token is an integer from 1 to the largest epoch that an election can reach. */
export function isToken(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0 && value <= MAX_EPOCH;
}

/**
 * Largest step between two tokens. A forged record can raise the epoch of an election by up to `EPOCH_SLACK` above the revision of its
 * key, and the election goes on above it; half of the step is for that, the other half for the revisions.
 */
export const MAX_STEP: number = 2 * EPOCH_SLACK;

/**
 * Whether a token is so far above the largest one seen that no election can have reached it. A fence that accepted it would refuse
 * all further leaders.
 */
export function isBeyondReach(highest: number, token: number): boolean {
  return token > highest + MAX_STEP;
}

/** Whether this token passes a fence that has seen `highest`, and the largest token after that. */
export function compareTokens(
  highest: number,
  token: number | null,
): { readonly pass: boolean; readonly highest: number } {
  if (!isToken(token) || token < highest || isBeyondReach(highest, token)) return { pass: false, highest };
  return { pass: true, highest: token };
}
