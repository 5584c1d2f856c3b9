/** The stream under a bucket as its leader describes it, the configuration of a new one, and what an existing one must not be configured to do. */
import { asObject, type JsonObject } from "../api/js-api.ts";

export const NANOS_PER_MS = 1_000_000;

/** Limit of the first sequence, so that revisions stay readable. No correct client comes near it. */
const LARGEST_START = 10 ** 14;

/** Which committed writes the stream republishes, and where. */
export interface Republish {
  readonly src: string;
  readonly dest: string;
}

/** The stream, as its leader describes it. */
export interface StreamState {
  /** Its creation time, as the server writes it. */
  readonly created: string;
  readonly lastSequence: number;
  readonly maxAgeMs: number;
  readonly replicas: number;
  /** Whether committed writes are republished as they should be. */
  readonly republish: boolean;
  /** The configuration as the server sent it, including fields that are not used here. */
  readonly config: JsonObject;
}

/** Reads a `STREAM.INFO`, `CREATE` or `UPDATE` answer; `null` for anything else. */
export function parseStream(answer: JsonObject, republish: Republish): StreamState | null {
  const { created } = answer;
  const config = asObject(answer["config"]);
  const state = asObject(answer["state"]);
  const lastSequence = state?.["last_seq"];
  if (typeof created !== "string" || config === null || typeof lastSequence !== "number") return null;
  return {
    created,
    lastSequence,
    maxAgeMs: numberOf(config, "max_age") / NANOS_PER_MS,
    replicas: numberOf(config, "num_replicas") || 1,
    republish: republishes(config, republish),
    config,
  };
}

function republishes(config: JsonObject, { src, dest }: Republish): boolean {
  const republish = asObject(config["republish"]);
  if (republish === null || republish["headers_only"] === true) return false;
  return republish["src"] === src && republish["dest"] === dest;
}

/** A `republish` with another purpose. A stream can have only one, so it is not replaced. */
export function republishesElsewhere(config: JsonObject, republish: Republish): boolean {
  return asObject(config["republish"]) !== null && !republishes(config, republish);
}

const DUPLICATE_WINDOW_MS = 120_000;

export interface NewBucket {
  readonly stream: string;
  /** Of all keys. */
  readonly subjects: string;
  readonly replicas: number;
  /** 0: unlimited. */
  readonly maxAgeMs: number;
  readonly republish: Republish;
  /** The first revision is larger than this one; servers before 2.10 ignore it and start at 1. */
  readonly above: number;
}

/** The configuration of a new bucket as any key-value client makes one, with one message per key, and `republish`. */
export function newBucketConfig({
  stream,
  subjects,
  replicas,
  maxAgeMs,
  republish,
  above,
}: NewBucket): JsonObject {
  const windowMs = maxAgeMs > 0 ? Math.min(maxAgeMs, DUPLICATE_WINDOW_MS) : DUPLICATE_WINDOW_MS;
  return {
    name: stream,
    subjects: [subjects],
    retention: "limits",
    storage: "file",
    discard: "new",
    num_replicas: replicas,
    max_msgs_per_subject: 1,
    max_msgs: -1,
    max_bytes: -1,
    max_msg_size: -1,
    max_consumers: -1,
    max_age: maxAgeMs * NANOS_PER_MS,
    duplicate_window: windowMs * NANOS_PER_MS,
    allow_rollup_hdrs: true,
    allow_direct: true,
    deny_delete: true,
    republish,
    ...(above > 0 ? { first_seq: Math.min(above, LARGEST_START) + 1 } : {}),
  };
}

/** The least that the limits of a bucket must allow. */
export interface LeastLimits {
  readonly bucketBytes: number;
  readonly messageBytes: number;
}

/** Why an existing stream can lose, hide or restore a record, or refuses every write: one sentence each. `subjects`: one must be among its own. */
export function bucketProblems(
  config: JsonObject,
  subjects: readonly [string, ...string[]],
  limits: LeastLimits,
): string[] {
  const found: string[] = [];
  const history = numberOf(config, "max_msgs_per_subject");
  if (history !== 1) found.push(`history is ${history}, it must be 1`);
  found.push(...subjectProblems(config, subjects), ...limitProblems(config, limits));
  if (config["retention"] !== undefined && config["retention"] !== "limits") {
    found.push(`retention is "${String(config["retention"])}", it must be "limits"`);
  }
  for (const flag of ["sealed", "no_ack"]) {
    if (config[flag] === true) found.push(`it is ${flag}, so no write can be confirmed`);
  }
  for (const origin of ["mirror", "sources"]) {
    if (config[origin] !== undefined)
      found.push(`it has ${origin}, so records of another bucket appear in it`);
  }
  if (config["subject_transform"] !== undefined) found.push("it has a subject_transform");
  return found;
}

function subjectProblems(config: JsonObject, wanted: readonly [string, ...string[]]): string[] {
  const { subjects } = config;
  if (Array.isArray(subjects) && subjects.some((subject) => wanted.includes(subject))) return [];
  return [`its subjects ${JSON.stringify(subjects)} don't include ${wanted[0]}`];
}

function limitProblems(config: JsonObject, { bucketBytes, messageBytes }: LeastLimits): string[] {
  const found: string[] = [];
  const maxBytes = numberOf(config, "max_bytes");
  const maxMessages = numberOf(config, "max_msgs");
  const maxSize = numberOf(config, "max_msg_size");
  if (config["discard"] === "old" && (maxBytes > 0 || maxMessages > 0)) {
    found.push(
      "its discard policy is old with max_bytes or max_msgs set: writes of other keys can drop a record",
    );
  }
  if (maxBytes > 0 && maxBytes < bucketBytes) {
    found.push(`its max_bytes is ${maxBytes}, it must be at least ${bucketBytes} or unlimited`);
  }
  if (maxSize > 0 && maxSize < messageBytes) {
    found.push(`its max_msg_size is ${maxSize}, it must be at least ${messageBytes} or unlimited`);
  }
  return found;
}

export function numberOf(config: JsonObject, field: string): number {
  const value = config[field];
  return typeof value === "number" ? value : 0;
}
