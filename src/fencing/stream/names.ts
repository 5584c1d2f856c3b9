/** Subjects and streams of this folder. */
import { ClusterError } from "../../errors.ts";

/** The key under which a bucket's fence lives, before the lane's number. */
export const KV_FENCE_KEY = "nats_leader_fence";

/** A fence of its own for a stream that is not a bucket. */
export function defaultFence(stream: string): string {
  return `nats_leader.fence.${stream}`;
}

/**
 * Lane `index` of a fence. All lanes are moved by a take-over; each admits one write at a time on a replicated stream.
 * Literal subjects, never wildcards: a server looks for a fence move in flight by the condition's text.
 */
export function laneSubject(fence: string, index: number): string {
  return `${fence}.${index}`;
}

/** Written together with a message that has a condition of its own: carries the fence's condition in an atomic batch. */
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
  if (/^[A-Za-z0-9_-]+$/.test(bucket)) return;
  throw new ClusterError("INVALID_CONFIG", `bucket "${bucket}" is not [A-Za-z0-9_-]+`);
}

export function checkKey(key: string): void {
  if (/^[A-Za-z0-9/_=-]+(\.[A-Za-z0-9/_=-]+)*$/.test(key)) return;
  throw new ClusterError("INVALID_CONFIG", `key "${key}" is not [A-Za-z0-9/_=-]+ in dotted parts`);
}

/** A subject without wildcards. */
export function checkSubject(what: string, subject: string): void {
  if (/^[^\s.*>]+(\.[^\s.*>]+)*$/.test(subject)) return;
  throw new ClusterError("INVALID_CONFIG", `${what} "${subject}" is not a subject without wildcards`);
}

/** Does a subject, which may have wildcards itself, lie entirely within the filter? */
export function covers(filter: string, subject: string): boolean {
  const want = filter.split(".");
  const have = subject.split(".");
  for (const [i, token] of want.entries()) {
    if (token === ">") return have.length > i;
    const other = have[i];
    if (other === undefined || other === ">") return false;
    if (token !== "*" && token !== other) return false;
  }
  return want.length === have.length;
}

/** What a key-value client would make. */
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
