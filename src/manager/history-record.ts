/**
 * Past terms, as they are recorded and read. The bucket keeps only the newest record, so whoever leads says when its term
 * begins and ends in a small stream beside it. What a crashed leader could not say, its successor says as far as it knows.
 */
import type { JsonObject } from "../nats/api/js-api.ts";
import { asObject } from "../nats/api/js-api.ts";

/** One message of the stream. `at`: Unix milliseconds on the recording node's wall clock. */
export type HistoryEntry =
  | {
      readonly kind: "begin";
      readonly node_id: string;
      readonly epoch: number;
      readonly at: number;
      /** The leader that this node knew before. */
      readonly previous?: { readonly node_id: string; readonly epoch: number; readonly acquired_at: number };
    }
  | {
      readonly kind: "end";
      readonly node_id: string;
      readonly epoch: number;
      readonly at: number;
      readonly reason: string;
      /** Who replaced it, when it was told. */
      readonly by?: string;
    };

/** A term, pieced together. Times are Unix milliseconds on the wall clocks of different nodes: for humans. */
export interface PastTerm {
  readonly nodeId: string;
  readonly epoch: number;
  readonly from: number | null;
  /** `null`: it still runs, or nobody knows. */
  readonly until: number | null;
  /** It ended at `until` at the latest: its leader did not say when. */
  readonly untilAtMost: boolean;
  /** A reason of a loss; `silent`: the leader never said (killed, cut off, or one that records nothing). */
  readonly why: string | null;
}

/** `null` for anything else. */
export function parseHistoryEntry(json: JsonObject | null): HistoryEntry | null {
  if (json === null) return null;
  const { kind, node_id, epoch, at, reason, by } = json;
  if (typeof node_id !== "string" || typeof epoch !== "number" || typeof at !== "number") return null;
  if (kind === "end" && typeof reason === "string") {
    return { kind, node_id, epoch, at, reason, ...(typeof by === "string" ? { by } : {}) };
  }
  if (kind !== "begin") return null;
  const before = asObject(json["previous"]);
  const previous =
    typeof before?.["node_id"] === "string" &&
    typeof before["epoch"] === "number" &&
    typeof before["acquired_at"] === "number"
      ? { node_id: before["node_id"], epoch: before["epoch"], acquired_at: before["acquired_at"] }
      : null;
  return { kind, node_id, epoch, at, ...(previous === null ? {} : { previous }) };
}

interface Draft {
  nodeId: string;
  from: number | null;
  until: number | null;
  why: string | null;
}

/** Terms by epoch, oldest first. `running`: the epoch of the present term, 0 when nobody leads. */
export function termsOf(entries: readonly HistoryEntry[], running: number): PastTerm[] {
  const drafts = new Map<number, Draft>();
  const draft = (epoch: number, nodeId: string): Draft => {
    const known = drafts.get(epoch) ?? { nodeId, from: null, until: null, why: null };
    drafts.set(epoch, known);
    return known;
  };
  for (const entry of entries) {
    const term = draft(entry.epoch, entry.node_id);
    if (entry.kind === "end") {
      term.until = entry.at;
      term.why = entry.reason;
      continue;
    }
    term.from = entry.at;
    const { previous } = entry;
    if (previous === undefined || previous.epoch >= entry.epoch) continue;
    const before = draft(previous.epoch, previous.node_id);
    before.from ??= previous.acquired_at;
  }
  const sorted = [...drafts.entries()].sort(([a], [b]) => a - b);
  return sorted.map(([epoch, { nodeId, from, until, why }], index) => {
    const next = sorted[index + 1]?.[1].from ?? null;
    const ended = until !== null || epoch !== running;
    return {
      nodeId,
      epoch,
      from,
      until: until ?? (ended ? next : null),
      untilAtMost: until === null && ended && next !== null,
      why: why ?? (ended ? "silent" : null),
    };
  });
}
