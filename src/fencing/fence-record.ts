/**
 * The records of a stream's fence, and what a term may do with them. Pure.
 *
 * The root names the holder and the lanes. A lane is the condition of writes: the server compares the sequence of its newest message.
 */

import { parseObject } from "../nats/api/js-api.ts";
import type { StoredMessage } from "../nats/api/stored-message.ts";
import { isToken } from "./compare.ts";
import type { Holder } from "./stale.ts";
import { EPOCH_HEADER, type FenceTerm } from "./token.ts";

/** The record of a lane. */
export interface LaneRecord extends Holder {
  readonly nodeId: string;
  readonly incarnation: string;
  /** Cluster of the holder; `null` if its term did not name one. Epochs of different clusters cannot be compared. */
  readonly cluster: string | null;
  readonly sequence: number;
}

/** The record of the root. */
export interface RootRecord extends LaneRecord {
  /** In the names of the lanes. `null` in a record of version 0.1, whose lanes are found by listing the subjects of the fence. */
  readonly id: string | null;
  /** Number of lanes. Never decreases: a deposed leader could write through a lane that is not moved. */
  readonly lanes: number;
}

/**
 * - `move`: the record is missing or belongs to an earlier term; move it by compare-and-set.
 * - `keep`: it belongs to this term already, by an earlier attempt whose answer was lost or an earlier `open`.
 * - `stale`: it belongs to a term with a larger token, or to another incarnation with the same token.
 */
export type FenceMove = "move" | "keep" | "stale";

export function fenceMove(found: LaneRecord | null, term: FenceTerm): FenceMove {
  if (found === null || found.epoch < term.epoch) return "move";
  return found.epoch === term.epoch && found.incarnation === term.incarnation ? "keep" : "stale";
}

/** The cluster that wrote the record, if it is not the term's. */
export function foreignCluster(found: LaneRecord | null, term: FenceTerm): string | null {
  const cluster = found?.cluster ?? null;
  return cluster === null || term.clusterId === undefined || cluster === term.clusterId ? null : cluster;
}

/** What a term has to do to hold the fence. */
export interface TakePlan {
  readonly root: Exclude<FenceMove, "stale">;
  readonly id: string;
  /** Number of lanes: the largest number that any process has configured. */
  readonly lanes: number;
  /**
   * The lanes have a fresh id, and are created before the root names them. Otherwise all of them existed when the plan was made. A lane
   * that is missing after the root was moved was removed, together with the fence or its stream, and is never created again.
   */
  readonly begins: boolean;
}

/**
 * `null`: the term is stale.
 *
 * @param intact - All lanes that the root names exist.
 * @param freshId - For a fence that begins.
 */
export function planTake(
  found: RootRecord | null,
  term: FenceTerm,
  {
    wanted,
    intact,
    freshId,
  }: { readonly wanted: number; readonly intact: boolean; readonly freshId: string },
): TakePlan | null {
  const root = fenceMove(found, term);
  if (root === "stale") return null;
  const named = found?.lanes ?? 1;
  // A term that holds the fence already keeps its number of lanes: a writer of its first open uses them.
  const lanes = root === "keep" && found?.id !== null ? named : Math.max(named, wanted);
  const id = found?.id ?? null;
  if (id === null || !intact || lanes > named) return { root: "move", id: freshId, lanes, begins: true };
  return { root, id, lanes, begins: false };
}

/**
 * The lanes of earlier terms that the root does not name: all subjects of the fence but the root, the guard and the lanes of the plan.
 * The root may have been purged, forged or of version 0.1, or the fence has begun again.
 */
export function strayLanes(
  subjects: readonly string[],
  known: { readonly root: string; readonly guard: string; readonly own: ReadonlySet<string> },
): readonly string[] {
  return subjects.filter(
    (subject) => subject !== known.root && subject !== known.guard && !known.own.has(subject),
  );
}

/** A record as it is written. */
export interface EncodedRecord {
  readonly data: Uint8Array;
  readonly headers: readonly [string, string][];
}

export function encodeRoot(term: FenceTerm, plan: Pick<TakePlan, "id" | "lanes">): EncodedRecord {
  return encode(term, { fence: plan.id, lane_count: plan.lanes });
}

export function encodeLane(term: FenceTerm): EncodedRecord {
  return encode(term, {});
}

function encode(term: FenceTerm, more: Readonly<Record<string, unknown>>): EncodedRecord {
  const { epoch, nodeId, incarnation, clusterId: cluster } = term;
  const body = { epoch, node_id: nodeId, incarnation, cluster, ...more };
  return {
    data: new TextEncoder().encode(JSON.stringify(body)),
    headers: [[EPOCH_HEADER, String(epoch)]],
  };
}

/** `null`: not the record of a lane. Whatever it has replaced, its sequence is no condition of a writer. */
export function decodeLane(message: StoredMessage): LaneRecord | null {
  const { epoch, node_id: nodeId, incarnation, cluster } = parseObject(message.data) ?? {};
  if (!isToken(epoch) || typeof nodeId !== "string" || typeof incarnation !== "string") return null;
  const { sequence } = message;
  return { epoch, nodeId, incarnation, cluster: typeof cluster === "string" ? cluster : null, sequence };
}

/** `null`: not the record of a root. It may have replaced a record with a larger epoch, which the lanes have, too. */
export function decodeRoot(message: StoredMessage): RootRecord | null {
  const holder = decodeLane(message);
  const { fence, lane_count: count, lanes } = parseObject(message.data) ?? {};
  if (holder === null) return null;
  if (fence === undefined && isToken(lanes)) return { ...holder, id: null, lanes };
  if (typeof fence !== "string" || !/^[A-Za-z0-9]{1,64}$/.test(fence)) return null;
  if (!isToken(count) || count > MAX_LANES) return null;
  return { ...holder, id: fence, lanes: count };
}

/** Limit of the number of lanes. */
export const MAX_LANES = 1024;
