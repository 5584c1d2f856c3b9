/** Names of subjects and keys, and their checks. */
import { ClusterError } from "../../errors.ts";
import { MAX_STREAM_NAME, shown } from "../../nats/subjects.ts";

/**
 * A server ends the connection of a client that sends a line of more than `max_control_line` bytes, by default 4096. Besides the subject,
 * the line of a publish has an inbox and two sizes.
 */
export const MAX_SUBJECT_BYTES = 3800;
/** The subject of a key also has the name of its bucket. */
export const MAX_KEY_LENGTH = 3500;
/** Prefix of the keys of a bucket's fence; the lane's number follows. */
export const KV_FENCE_KEY = "nats_leader_fence";

/** Prefix of the subjects of a stream's fence, unless the application chooses another. */
export function defaultFence(stream: string): string {
  return `nats_leader.fence.${stream}`;
}

/** Subject of the fence's root, the record of its holder. A takeover moves it first. */
export function rootSubject(fence: string): string {
  return `${fence}.0`;
}

/**
 * Lane `index` of a fence. Its sequence is the condition of writes. `id` is random and chosen when a fence begins, so that no write
 * of an earlier fence, on a stream that was deleted and created again, can fulfil a condition of this one. A condition must name a
 * literal subject, not a wildcard: a server searches for a fence move in flight by the text of the condition.
 */
export function laneSubject(fence: string, id: string, index: number): string {
  return `${fence}.${id}.${index}`;
}

/** Subject of the guard message, which carries the fence's condition in a batch whose messages all have conditions of their own. */
export function guardSubject(fence: string): string {
  return `${fence}.guard`;
}

export function kvStream(bucket: string): string {
  return `KV_${bucket}`;
}

export function kvSubject(bucket: string, key: string): string {
  return `$KV.${bucket}.${key}`;
}

export function checkBucket(bucket: string): void {
  const most = MAX_STREAM_NAME - kvStream("").length;
  if (typeof bucket === "string" && /^[A-Za-z0-9_-]+$/.test(bucket) && bucket.length <= most) return;
  throw new ClusterError(
    "INVALID_CONFIG",
    `bucket ${shown(bucket)} is invalid: it must be 1 to ${most} of the characters [A-Za-z0-9_-]`,
  );
}

export function checkKey(key: string): void {
  if (typeof key !== "string" || !/^[A-Za-z0-9/_=-]+(\.[A-Za-z0-9/_=-]+)*$/.test(key)) {
    throw new ClusterError(
      "INVALID_CONFIG",
      `key ${shown(key)} is invalid: it must be [A-Za-z0-9/_=-]+, or several of these separated by dots`,
    );
  }
  if (key.length <= MAX_KEY_LENGTH) return;
  throw new ClusterError(
    "INVALID_CONFIG",
    `key ${shown(key)} has ${key.length} characters: it must have at most ${MAX_KEY_LENGTH}, because the server ends the connection for a longer line`,
  );
}

/** Rejects a subject that is invalid, too long or has wildcards. */
export function checkSubject(what: string, subject: string): void {
  if (!isLiteralSubject(subject)) {
    throw new ClusterError(
      "INVALID_CONFIG",
      `${what} ${shown(subject)} is invalid: it must be a subject without wildcards, blanks and empty tokens`,
    );
  }
  const bytes = Buffer.byteLength(subject);
  if (bytes <= MAX_SUBJECT_BYTES) return;
  throw new ClusterError(
    "INVALID_CONFIG",
    `${what} ${shown(subject)} has ${bytes} bytes: it must have at most ${MAX_SUBJECT_BYTES}, because the server ends the connection for a longer line`,
  );
}

/** Whether it is a subject without wildcards, blanks and empty tokens. */
export function isLiteralSubject(subject: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the server accepts none of them in a subject
  return typeof subject === "string" && /^[^\x00-\x20.*>]+(?:\.[^\x00-\x20.*>]+)*$/.test(subject);
}

/** The configuration that a key-value client would create a bucket with. */
export function newBucketConfig(bucket: string, replicas: number): Record<string, unknown> {
  return {
    name: kvStream(bucket),
    subjects: [kvSubject(bucket, ">")],
    retention: "limits",
    storage: "file",
    discard: "new",
    num_replicas: replicas,
    max_msgs_per_subject: 1,
    allow_rollup_hdrs: true,
    allow_direct: true,
    deny_delete: true,
  };
}
