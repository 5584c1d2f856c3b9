/** The arithmetic of fencing tokens: pure, and all there is to it. */

/** A token is a positive safe integer. */
export function isToken(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0;
}

/** May this token pass a fence that has seen `highest`, and what is the largest one then? */
export function compareTokens(
  highest: number,
  token: number | null,
): { readonly pass: boolean; readonly highest: number } {
  if (!isToken(token) || token < highest) return { pass: false, highest };
  return { pass: true, highest: token };
}
