/** `STALE_EPOCH`: the refusal of every fence. */
import { ClusterError } from "../errors.ts";
import { printable } from "../log/printable.ts";
import type { FenceTerm } from "./token.ts";

/** The holder of a fence, as far as it is known. */
export interface Holder {
  readonly epoch: number;
  readonly nodeId?: string;
  readonly incarnation?: string;
}

/**
 * `STALE_EPOCH`: the fence has seen a larger token, or the same token from another incarnation; or the token is too large to be that of
 * a term; or the fence was purged. Nothing was written. The refusal is final for the term: a repetition is refused, too.
 */
export class StaleEpochError extends ClusterError {
  override readonly name: string = "StaleEpochError";
  /** The token that was refused; `null` if the receiver did not name it. */
  readonly token: number | null;
  /** The largest token that the fence has seen; `null` if it is not known. */
  readonly newest: number | null;

  constructor(
    message: string,
    tokens: { readonly token: number | null; readonly newest: number | null },
    cause?: unknown,
  ) {
    super("STALE_EPOCH", message, cause === undefined ? {} : { cause });
    this.token = tokens.token;
    this.newest = tokens.newest;
  }
}

/** The refusal of a receiver. `where` names the fence. A sender without an epoch is not deposed: it is not fenced. */
export function refusedToken(where: string, token: number | null, newest: number): ClusterError {
  if (token === null) {
    const text = `${where} refuses a message without a valid epoch: its sender must attach that of its term`;
    return new ClusterError("INVALID_CONFIG", `${text} (natsHeaders(term), httpHeaders(term))`);
  }
  const why = token > newest ? ", and no election can have come so far since" : "";
  const message = `${where} refuses epoch ${token}: it has seen epoch ${newest}${why}`;
  return new StaleEpochError(message, { token, newest });
}

/**
 * The refusal of a message from a term of another cluster or resource: epochs of two of them cannot be compared.
 *
 * @param sender - `null`: the message names none.
 */
export function foreignTerm(where: string, clusterId: string, sender: string | null): ClusterError {
  const name = printable(clusterId, MAX_ID);
  const why =
    sender === null
      ? "it names none: its sender must attach its term, not the epoch alone (natsHeaders(term), httpHeaders(term))"
      : `it is from a term of "${printable(sender, MAX_ID)}"`;
  return new ClusterError(
    "INVALID_CONFIG",
    `${where} refuses a message: only terms of "${name}" are admitted, and ${why}`,
  );
}

/** Characters of an id in an error. */
const MAX_ID = 330;

/**
 * The refusal of a store.
 *
 * @param holder - `null`: the fence was purged; `"unknown"`: the fence has moved, and its holder could not be read.
 * @param extra - `detail` is appended to the message.
 */
export function staleLeader(
  where: string,
  term: FenceTerm,
  holder: Holder | null | "unknown",
  extra: { readonly detail?: string; readonly cause?: unknown } = {},
): StaleEpochError {
  const ours = `epoch ${term.epoch} of node "${term.nodeId}"`;
  const detail = extra.detail === undefined ? "" : ` (${extra.detail})`;
  const newest = holder === "unknown" || holder === null ? null : holder.epoch;
  const message = `${where} refuses ${ours}: ${heldBy(term, holder)}${detail}`;
  return new StaleEpochError(message, { token: term.epoch, newest }, extra.cause);
}

function heldBy(term: FenceTerm, holder: Holder | null | "unknown"): string {
  if (holder === "unknown") return "the fence has moved to an epoch that could not be read";
  if (holder === null) return "the fence does not exist";
  const node = holder.nodeId === undefined ? "" : ` of node "${holder.nodeId}"`;
  if (holder.epoch !== term.epoch) return `the fence is at epoch ${holder.epoch}${node}`;
  if (holder.incarnation === term.incarnation)
    return `the fence was moved again at the same epoch ${holder.epoch}${node}`;
  return `the fence is at the same epoch ${holder.epoch}${node}, but of incarnation ${holder.incarnation ?? "unknown"}`;
}
