/** The one refusal of this folder. */
import { ClusterError } from "../errors.ts";
import type { FenceTerm } from "./token.ts";

/** Whoever holds the fence, as far as could be found out. */
export interface Holder {
  readonly epoch: number;
  readonly nodeId?: string;
  readonly incarnation?: string;
}

/**
 * `STALE_EPOCH`: a larger token has been seen, or the same one from somebody else. Final: the same token is never
 * accepted again. Nothing was written.
 */
export class StaleEpochError extends ClusterError {
  /** The token that was refused; `null`: there was none. */
  readonly token: number | null;
  /** The token it lost against; `null` when the store no longer tells. */
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

/** A receiver's refusal. `where` names the fence. */
export function staleToken(where: string, token: number | null, newest: number): StaleEpochError {
  const sender = token === null ? "a message without an epoch" : `epoch ${token}`;
  return new StaleEpochError(`${where} refuses ${sender}: it has seen epoch ${newest}`, { token, newest });
}

/**
 * A store's refusal of a leader. Holder `null`: the fence was purged; `"unknown"`: it has moved, and to whom could not be
 * read. `extra` is what else is known, for people.
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
  if (holder === null) return "its fence is gone";
  const node = holder.nodeId === undefined ? "" : ` of node "${holder.nodeId}"`;
  if (holder.epoch !== term.epoch) return `the fence is at epoch ${holder.epoch}${node}`;
  if (holder.incarnation === term.incarnation)
    return `the fence was moved again at the same epoch ${holder.epoch}${node}`;
  return `the fence is at the same epoch ${holder.epoch}${node}, incarnation ${holder.incarnation ?? "unknown"}, not ours`;
}
