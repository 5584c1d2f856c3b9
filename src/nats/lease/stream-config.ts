/** The configuration of the lease's stream: of a new one, and which existing ones are compatible. */
import { asObject, type JsonObject } from "../api/js-api.ts";
import { bucketName, bucketSubjects, leaseSubject, republishSubject, streamName } from "../names.ts";

const NANOS_PER_MS = 1_000_000;
const DUPLICATE_WINDOW_MS = 120_000;
/** A record is about 400 bytes. */
const SMALLEST_MESSAGE_LIMIT = 1024;
const SMALLEST_BUCKET_LIMIT = 64 * 1024;

/** Limit of the first sequence, so that revisions stay readable. No correct client comes near it. */
const LARGEST_START = 10 ** 14;

/** The stream, as its leader describes it. */
export interface StreamState {
  /** Its creation time, as the server writes it. */
  readonly created: string;
  readonly lastSequence: number;
  readonly maxAgeMs: number;
  readonly replicas: number;
  /** Whether committed writes of the lease are republished on `republishSubject()`. */
  readonly republish: boolean;
  /** The configuration as the server sent it, including fields that are not used here. */
  readonly config: JsonObject;
}

/** Reads a `STREAM.INFO`, `CREATE` or `UPDATE` answer; `null` for anything else. */
export function parseStreamInfo(answer: JsonObject, clusterId: string): StreamState | null {
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
    republish: republishesLease(config, clusterId),
    config,
  };
}

/**
 * The configuration of a new bucket: that of any key-value client, and `republish`.
 * @param above - the first revision is larger than this one; servers before 2.10 ignore it and start at 1
 */
export function newStreamConfig(
  clusterId: string,
  replicas: number,
  maxAgeMs: number,
  above: number = 0,
): JsonObject {
  const windowMs = maxAgeMs > 0 ? Math.min(maxAgeMs, DUPLICATE_WINDOW_MS) : DUPLICATE_WINDOW_MS;
  return {
    name: streamName(clusterId),
    subjects: [bucketSubjects(clusterId)],
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
    republish: leaseRepublish(clusterId),
    ...(above > 0 ? { first_seq: Math.min(above, LARGEST_START) + 1 } : {}),
  };
}

/** The part of a configuration that republishes committed writes of the lease. */
export function leaseRepublish(clusterId: string): JsonObject {
  return { src: leaseSubject(clusterId), dest: republishSubject(clusterId) };
}

function republishesLease(config: JsonObject, clusterId: string): boolean {
  const republish = asObject(config["republish"]);
  if (republish === null || republish["headers_only"] === true) return false;
  return republish["src"] === leaseSubject(clusterId) && republish["dest"] === republishSubject(clusterId);
}

/** A `republish` with another purpose. A stream can have only one, so it is not replaced. */
export function hasForeignRepublish(config: JsonObject, clusterId: string): boolean {
  return asObject(config["republish"]) !== null && !republishesLease(config, clusterId);
}

/**
 * Why the lease rules do not hold on an existing stream, one sentence each; empty if they hold. A setting is incompatible if it
 * can lose, hide or restore a record, or makes every write fail.
 */
export function incompatibilities(config: JsonObject, clusterId: string, leaseTtlMs: number): string[] {
  const found: string[] = [];
  const history = numberOf(config, "max_msgs_per_subject");
  if (history !== 1) found.push(`history is ${history}, it must be 1`);
  found.push(
    ...subjectProblems(config, clusterId),
    ...ageProblems(config, leaseTtlMs),
    ...limitProblems(config),
  );
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

function subjectProblems(config: JsonObject, clusterId: string): string[] {
  const { subjects } = config;
  const wanted = [bucketSubjects(clusterId), leaseSubject(clusterId)];
  if (Array.isArray(subjects) && subjects.some((subject) => wanted.includes(subject))) return [];
  return [`its subjects ${JSON.stringify(subjects)} don't include ${bucketSubjects(clusterId)}`];
}

function ageProblems(config: JsonObject, leaseTtlMs: number): string[] {
  const maxAgeMs = numberOf(config, "max_age") / NANOS_PER_MS;
  if (maxAgeMs === 0) return [];
  const found: string[] = [];
  if (leaseTtlMs > maxAgeMs) {
    found.push(
      `its max-age is ${maxAgeMs} ms and leaseTtlMs is ${leaseTtlMs}: leaseTtlMs <= max-age must hold, ` +
        "or the server deletes a lease that its holder still counts on",
    );
  }
  if (numberOf(config, "subject_delete_marker_ttl") > 0) {
    found.push("it writes delete markers on expiry (markerTTL): one can wipe a renewal that was confirmed");
  }
  return found;
}

function limitProblems(config: JsonObject): string[] {
  const found: string[] = [];
  const maxBytes = numberOf(config, "max_bytes");
  const maxMessages = numberOf(config, "max_msgs");
  const maxSize = numberOf(config, "max_msg_size");
  if (config["discard"] === "old" && (maxBytes > 0 || maxMessages > 0)) {
    found.push(
      "its discard policy is old with max_bytes or max_msgs set: writes of other keys can drop the lease",
    );
  }
  if (maxBytes > 0 && maxBytes < SMALLEST_BUCKET_LIMIT) {
    found.push(`its max_bytes is ${maxBytes}, it must be at least ${SMALLEST_BUCKET_LIMIT} or unlimited`);
  }
  if (maxSize > 0 && maxSize < SMALLEST_MESSAGE_LIMIT) {
    found.push(`its max_msg_size is ${maxSize}, it must be at least ${SMALLEST_MESSAGE_LIMIT} or unlimited`);
  }
  return found;
}

/** The error message for an incompatible bucket. */
export function incompatibleMessage(clusterId: string, problems: readonly string[]): string {
  const what = `bucket ${bucketName(clusterId)} (stream ${streamName(clusterId)}) exists and cannot be used: `;
  return `${what}${problems.join("; ")}. Change the bucket or the option, or delete the bucket while no node runs`;
}

function numberOf(config: JsonObject, field: string): number {
  const value = config[field];
  return typeof value === "number" ? value : 0;
}
