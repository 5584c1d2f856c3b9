/**
 * What an identifier on the wire looks like. The options are checked by the same rules, so what a node sends passes them. What
 * others send is checked before it is used or shown: an id becomes a token of subjects, and a text reaches terminals.
 */

/** Longest id, in characters. */
export const MAX_ID_LENGTH = 64;

/** Cluster ids, node ids, incarnations, ids of servers. */
export const ID: RegExp = /^[A-Za-z0-9_-]{1,64}$/;

/** JetStream domains: a token of subjects, which the server does not restrict any further. */
export const DOMAIN: RegExp = /^[!-)+-\-/-=?-~]{1,64}$/;

/** A semantic version. Only for texts of limited length: on a long one it takes quadratic time. */
export const SEMVER: RegExp =
  /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-(0|[1-9]\d*|\d*[A-Za-z-][\dA-Za-z-]*)(\.(0|[1-9]\d*|\d*[A-Za-z-][\dA-Za-z-]*))*)?(\+[\dA-Za-z-]+(\.[\dA-Za-z-]+)*)?$/;

/** No version, and no other text in an answer, is longer. */
export const MAX_TEXT_LENGTH = 255;

/** Letters, digits, punctuation and spaces: no control characters, no marks that change the direction of writing. */
const PRINTABLE = /^[^\p{C}\p{Zl}\p{Zp}]*$/u;

export function isId(value: unknown): value is string {
  return typeof value === "string" && ID.test(value);
}

export function isVersion(value: unknown): value is string {
  return typeof value === "string" && value.length <= MAX_TEXT_LENGTH && SEMVER.test(value);
}

/** A text for people. */
export function isPrintable(value: unknown): value is string {
  return typeof value === "string" && value.length <= MAX_TEXT_LENGTH && PRINTABLE.test(value);
}
