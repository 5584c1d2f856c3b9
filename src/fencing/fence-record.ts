/** What a fence says, and what a leader may do about it. Pure. */

import type { StoredMessage } from "../nats/api/stored-message.ts";
import { isToken } from "./compare.ts";
import type { Holder } from "./stale.ts";
import { EPOCH_HEADER, type FenceTerm } from "./token.ts";

/** A lane as it is stored. `sequence` is the condition of every write of its holder. */
export interface FenceRecord extends Holder {
  readonly nodeId: string;
  readonly incarnation: string;
  /** How many lanes the fence has. Never shrinks: a lane that is not moved would let a deposed leader write. */
  readonly lanes: number;
  readonly sequence: number;
}

/**
 * - `move` the lane is free, or an earlier term's: take it by compare-and-set
 * - `keep` it is this term's already: an earlier try whose answer was lost, or a second `open` of the same term
 * - `stale` somebody with a larger token has it, or with the same one who is not us
 */
export type FenceMove = "move" | "keep" | "stale";

export function fenceMove(found: FenceRecord | null, term: FenceTerm): FenceMove {
  if (found === null || found.epoch < term.epoch) return "move";
  return found.epoch === term.epoch && found.incarnation === term.incarnation ? "keep" : "stale";
}

/** Lanes to move: everyone's. Lane 0 is moved first and records the number, so a smaller configuration can't lower it. */
export function lanesToMove(found: FenceRecord | null, wanted: number): number {
  return Math.max(found?.lanes ?? 1, wanted);
}

export function encodeFence(
  term: FenceTerm,
  lanes: number,
): { readonly data: Uint8Array; readonly headers: readonly [string, string][] } {
  const { epoch, nodeId, incarnation } = term;
  const body = { epoch, node_id: nodeId, incarnation, lanes };
  return { data: new TextEncoder().encode(JSON.stringify(body)), headers: [[EPOCH_HEADER, String(epoch)]] };
}

/** `null`: not a fence. A larger epoch might hide behind it, so nobody may write over it. */
export function decodeFence(message: StoredMessage): FenceRecord | null {
  let body: unknown;
  try {
    body = JSON.parse(new TextDecoder().decode(message.data));
  } catch {
    return null;
  }
  if (typeof body !== "object" || body === null) return null;
  const { epoch, node_id: nodeId, incarnation, lanes } = body as Record<string, unknown>;
  if (!isToken(epoch) || !isToken(lanes)) return null;
  if (typeof nodeId !== "string" || typeof incarnation !== "string") return null;
  return { epoch, nodeId, incarnation, lanes, sequence: message.sequence };
}
