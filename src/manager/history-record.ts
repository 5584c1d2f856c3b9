/**
 * The records of past terms. The bucket has only the newest lease record, so each leader writes the begin and the end of its
 * term to a small stream. A leader that crashes writes no end; its successor writes which leader preceded it.
 */
import { MAX_EPOCH } from "../election/epochs.ts";
import type { LossReason } from "../election/types.ts";
import { asObject, type JsonObject } from "../nats/api/js-api.ts";
import { isId, isPrintable } from "../nats/identity.ts";
import { MAX_ACQUIRED_AT } from "../nats/lease/record-codec.ts";

/** One message of the stream. `at`: Unix milliseconds by the wall clock of the recording node. */
export type HistoryEntry =
  | {
      readonly kind: "begin";
      readonly node_id: string;
      readonly epoch: number;
      readonly at: number;
      /** The last other leader that this node knew. */
      readonly previous?: { readonly node_id: string; readonly epoch: number; readonly acquired_at: number };
    }
  | {
      readonly kind: "end";
      readonly node_id: string;
      readonly epoch: number;
      readonly at: number;
      readonly reason: string;
      /** Node id of the new leader, if known. */
      readonly by?: string;
      /** How the term went. */
      readonly least_margin_ms?: number;
      readonly suspensions?: number;
      /** Name of the NATS server that the node was last connected to. */
      readonly server?: string;
    };

/** A term, combined from its records. Times are Unix milliseconds by the wall clocks of different nodes, for display. */
export interface PastTerm {
  readonly nodeId: string;
  readonly epoch: number;
  readonly from: number | null;
  /** `null`: the term still runs, or its end is unknown. */
  readonly until: number | null;
  /** The leader recorded no end, or only when another node led (it was frozen or cut off): `until` is an upper bound. */
  readonly untilAtMost: boolean;
  /** The loss reason; `silent`: the leader recorded no end (killed, cut off, or without history). */
  readonly why: string | null;
  /** Least time to the deadline when an answer to a renewal came, in milliseconds. `null`: the leader recorded no end, or no renewal. */
  readonly leastMarginMs: number | null;
  /** How often it was suspended. `null`: the leader recorded no end, or is of an earlier version. */
  readonly suspensions: number | null;
  /** Name of the NATS server that the leader was last connected to; `null` as for `suspensions`. */
  readonly server: string | null;
}

/** Of a term whose leader has recorded no end. */
export const NO_COURSE: Pick<PastTerm, "leastMarginMs" | "suspensions" | "server"> = {
  leastMarginMs: null,
  suspensions: null,
  server: null,
};

/** `null` for any other JSON. Anyone who may publish to the subject can write an entry, so every field is checked. */
export function parseHistoryEntry(json: JsonObject | null): HistoryEntry | null {
  if (json === null) return null;
  const { kind, node_id, epoch, at, reason, by } = json;
  if (!isId(node_id) || !isEpoch(epoch) || !isTime(at)) return null;
  if (kind === "end") {
    if (!isId(reason)) return null;
    return { kind, node_id, epoch, at, reason, ...(isId(by) ? { by } : {}), ...courseOf(json) };
  }
  if (kind !== "begin") return null;
  const before = asObject(json["previous"]);
  const previous =
    before !== null && isId(before["node_id"]) && isEpoch(before["epoch"]) && isTime(before["acquired_at"])
      ? { node_id: before["node_id"], epoch: before["epoch"], acquired_at: before["acquired_at"] }
      : null;
  return { kind, node_id, epoch, at, ...(previous === null ? {} : { previous }) };
}

type Course = Pick<Extract<HistoryEntry, { kind: "end" }>, "least_margin_ms" | "suspensions" | "server">;

function courseOf({ least_margin_ms: margin, suspensions, server }: JsonObject): Course {
  return {
    ...(typeof margin === "number" && margin >= 0 && margin <= MAX_MARGIN_MS
      ? { least_margin_ms: margin }
      : {}),
    ...(Number.isSafeInteger(suspensions) && Number(suspensions) >= 0
      ? { suspensions: Number(suspensions) }
      : {}),
    ...(isPrintable(server) ? { server } : {}),
  };
}

function isEpoch(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= MAX_EPOCH;
}

/** Unix milliseconds that are a date. */
function isTime(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= MAX_ACQUIRED_AT;
}

/** No lease is longer. */
const MAX_MARGIN_MS = 86_400_000;

/** Reasons that do not begin at the leader itself: it may learn of them late. */
const LEARNED: ReadonlySet<string | null> = new Set<LossReason>(["expired", "superseded", "deleted"]);

interface Draft {
  nodeId: string;
  from: number | null;
  until: number | null;
  why: string | null;
  course: Course;
}

/** Terms by epoch, oldest first. `running`: epoch of the present term, 0 if there is no leader. */
export function termsOf(entries: readonly HistoryEntry[], running: number): PastTerm[] {
  const drafts = new Map<number, Draft>();
  const draft = (epoch: number, nodeId: string): Draft => {
    const known = drafts.get(epoch) ?? { nodeId, from: null, until: null, why: null, course: {} };
    drafts.set(epoch, known);
    return known;
  };
  for (const entry of entries) {
    const term = draft(entry.epoch, entry.node_id);
    if (entry.kind === "end") {
      term.until = entry.at;
      term.why = entry.reason;
      term.course = entry;
      continue;
    }
    term.from = entry.at;
    const { previous } = entry;
    if (previous === undefined || previous.epoch >= entry.epoch) continue;
    const before = draft(previous.epoch, previous.node_id);
    before.from ??= previous.acquired_at;
  }
  const sorted = [...drafts.entries()].sort(([a], [b]) => a - b);
  return sorted.map(([epoch, { nodeId, from, until, why, course }], index) => {
    const next = sorted[index + 1]?.[1].from ?? null;
    const ended = until !== null || epoch !== running;
    // A leader that was frozen or cut off records its end when it learns of it. It has not led since the next one began.
    const isLate = until !== null && next !== null && next < until && LEARNED.has(why);
    const end = isLate ? null : until;
    return {
      nodeId,
      epoch,
      from,
      until: end ?? (ended ? next : null),
      untilAtMost: end === null && ended && next !== null,
      why: why ?? (ended ? "silent" : null),
      leastMarginMs: course.least_margin_ms ?? null,
      suspensions: course.suspensions ?? null,
      server: course.server ?? null,
    };
  });
}
