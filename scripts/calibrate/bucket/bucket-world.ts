/** Interface of both bucket worlds, and the texts for outcomes that are compared. */
import type {
  LeaseEntry,
  LeaseRecord,
  ReadOutcome,
  Snapshot,
  WriteOutcome,
} from "../../../src/election/types.ts";
import { JsApiError } from "../../../src/nats/api/js-api.ts";
import type { BucketInfo } from "../../../src/runtime/ports.ts";
import type { Foreign, Step } from "./operations.ts";

/** The watchers: a node that also writes, and one that only watches. */
export type Watcher = "a" | "w";
export const WATCHERS: readonly Watcher[] = ["a", "w"];

/** One bucket with its nodes: the simulator's or a real server's. Outcomes are texts. */
export interface BucketWorld {
  /** Returns one line per request. */
  run(step: Step): Promise<readonly string[]>;
  /** Everything that this watcher has received. */
  seen(watcher: Watcher): readonly string[];
  close(): Promise<void>;
}

/** The lease record that another client writes. */
export function foreignRecord(what: "go-record" | "our-record", epoch: number): LeaseRecord {
  if (what === "go-record") return { nodeId: "go1", epoch, acquiredAt: 1_700_000_000_000 };
  return { nodeId: "x", epoch, acquiredAt: 1_700_000_000_000, incarnation: "x1", nonce: 1, ttlMs: 10_000 };
}

/** Another client's write as an entry of the bucket. */
export function foreignEntry(what: Foreign, revision: number): LeaseEntry {
  switch (what) {
    case "go-record":
    case "our-record":
      return { kind: "record", revision, record: foreignRecord(what, 7) };
    case "garbage":
    case "empty":
      return { kind: "garbage", revision, reason: what };
    case "delete-marker":
    case "purge-marker":
      return { kind: "deleted", revision };
    case "our-marker":
      return { kind: "released", revision, epoch: 8, incarnation: "x1" };
    default:
      return what satisfies never;
  }
}

/** Numbers the successive buckets of one name. */
export class Generations {
  readonly #known: string[] = [];

  indexOf(generation: string): number {
    if (!this.#known.includes(generation)) this.#known.push(generation);
    return this.#known.indexOf(generation) + 1;
  }
}

function sortedJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === "object" && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([one], [other]) => (one < other ? -1 : 1)))
      : part,
  );
}

export function describeEntry(entry: LeaseEntry | null): string {
  if (entry === null) return "nothing on the key";
  const { kind, revision } = entry;
  // The reason is informative only.
  if (kind === "garbage" || kind === "deleted") return `${kind} at ${revision}`;
  if (kind === "record") return `record at ${revision} ${sortedJson(entry.record)}`;
  const { epoch, incarnation = "?", successor } = entry;
  const heir = successor === undefined ? "" : `, ${successor} is next`;
  return `released at ${revision}, epoch ${epoch} of ${incarnation}${heir}`;
}

export function describeSnapshot(snapshot: Snapshot, generations: Generations): string {
  const { generation, lastSequence, entry } = snapshot;
  return `bucket ${generations.indexOf(generation)} ends at ${lastSequence}, ${describeEntry(entry)}`;
}

export function describeRead(outcome: ReadOutcome, generations: Generations): string {
  return outcome.kind === "snapshot" ? describeSnapshot(outcome.snapshot, generations) : outcome.kind;
}

/** Refused because another write to the key was in flight. */
export const IN_FLIGHT: string = "unknown: another write is in flight";
const IN_FLIGHT_CODE = 10164;

export function describeWrite(outcome: WriteOutcome): string {
  if (outcome.kind === "applied") return `applied at ${outcome.revision}`;
  const cause = outcome.kind === "unknown" ? outcome.error.cause : undefined;
  return cause instanceof JsApiError && cause.code === IN_FLIGHT_CODE ? IN_FLIGHT : outcome.kind;
}

export function describeOpened(info: BucketInfo, replicas: number, generations: Generations): string {
  const { generation, maxAgeMs, republish } = info;
  const asked = info.replicas === replicas ? "" : `, ${info.replicas} replicas`;
  return `bucket ${generations.indexOf(generation)}, max-age ${maxAgeMs} ms, republish ${republish}${asked}`;
}
