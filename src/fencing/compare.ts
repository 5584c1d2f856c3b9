/** The comparison of fencing tokens. Pure. */

/** A token is a positive safe integer. */
export function isToken(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0;
}

/** Whether this token passes a fence that has seen `highest`, and the largest token after that. */
export function compareTokens(
  highest: number,
  token: number | null,
): { readonly pass: boolean; readonly highest: number } {
  if (!isToken(token) || token < highest) return { pass: false, highest };
  return { pass: true, highest: token };
}
