/** The comparison of fencing tokens. Pure. */
import { EPOCH_SLACK, MAX_EPOCH } from "../election/epochs.ts";

/** A token is an integer from 1 to the largest epoch that an election can reach. */
export function isToken(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0 && value <= MAX_EPOCH;
}

/**
 * Whether a token is so far above the largest one seen that no election can have reached it. A fence that accepted it would refuse
 * all further leaders.
 */
export function isBeyondReach(highest: number, token: number): boolean {
  return token > highest + EPOCH_SLACK;
}

/** Whether this token passes a fence that has seen `highest`, and the largest token after that. */
export function compareTokens(
  highest: number,
  token: number | null,
): { readonly pass: boolean; readonly highest: number } {
  if (!isToken(token) || token < highest || isBeyondReach(highest, token)) return { pass: false, highest };
  return { pass: true, highest: token };
}
