/** The record in a fence, and when a term may replace it. Pure. */

import { parseObject } from "../nats/api/js-api.ts";
import type { StoredMessage } from "../nats/api/stored-message.ts";
import { isToken } from "./compare.ts";
import type { Holder } from "./stale.ts";
import { EPOCH_HEADER, type FenceTerm } from "./token.ts";

/** The stored record of one lane. `sequence` is the condition of every write of its holder. */
export interface FenceRecord extends Holder {
  readonly nodeId: string;
  readonly incarnation: string;
  /** Number of lanes of the fence. Never decreases: a deposed leader could write through a lane that is not moved. */
  readonly lanes: number;
  readonly sequence: number;
}

/**
 * - `move`: the lane is vacant or belongs to an earlier term; move it by compare-and-set.
 * - `keep`: the lane belongs to this term already, by an earlier attempt whose answer was lost or an earlier `open`.
 * - `stale`: the lane belongs to a term with a larger token, or to another incarnation with the same token.
 */
export type FenceMove = "move" | "keep" | "stale";

export function fenceMove(found: FenceRecord | null, term: FenceTerm): FenceMove {
  if (found === null || found.epoch < term.epoch) return "move";
  return found.epoch === term.epoch && found.incarnation === term.incarnation ? "keep" : "stale";
}

/**
 * Number of lanes to move: the largest number that any process has configured. Lane 0 is moved first and records the number, so
 * that a process with a smaller configuration cannot lower it.
 */
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

/** `null`: not a fence record. It must not be overwritten, because it may have replaced a record with a larger epoch. */
export function decodeFence(message: StoredMessage): FenceRecord | null {
  const { epoch, node_id: nodeId, incarnation, lanes } = parseObject(message.data) ?? {};
  if (!isToken(epoch) || !isToken(lanes)) return null;
  if (typeof nodeId !== "string" || typeof incarnation !== "string") return null;
  return { epoch, nodeId, incarnation, lanes, sequence: message.sequence };
}
