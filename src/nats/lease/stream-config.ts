/** The configuration of the lease's stream: of a new one, and which existing ones are compatible. */
import type { JsonObject } from "../api/js-api.ts";
import type { BucketKind } from "../bucket/bucket-opener.ts";
import {
  bucketProblems,
  NANOS_PER_MS,
  newBucketConfig,
  numberOf,
  parseStream,
  type Republish,
  republishesElsewhere,
  type StreamState,
} from "../bucket/stream-state.ts";
import { bucketName, bucketSubjects, leaseSubject, republishSubject, streamName } from "../names.ts";

/** A record is about 400 bytes. */
const SMALLEST_MESSAGE_LIMIT = 1024;
const SMALLEST_BUCKET_LIMIT = 64 * 1024;

/** What the bucket of a cluster must be like. */
export interface LeaseBucketOptions {
  readonly clusterId: string;
  readonly leaseTtlMs: number;
  /** `"go-cluster"`: created with max-age = lease TTL, so that go-cluster's nodes see leases expire. */
  readonly interop: "native" | "go-cluster";
}

export function leaseBucket({ clusterId, leaseTtlMs, interop }: LeaseBucketOptions): BucketKind {
  const maxAgeMs = interop === "go-cluster" ? leaseTtlMs : 0;
  return {
    bucket: bucketName(clusterId),
    stream: streamName(clusterId),
    republish: leaseRepublish(clusterId),
    republished: "the lease",
    kept: "the lease and every epoch",
    members: "node",
    command: `create-bucket --cluster-id ${clusterId}`,
    newConfig: (replicas, above) => newStreamConfig(clusterId, replicas, maxAgeMs, above),
    problems: (config) => incompatibilities(config, clusterId, leaseTtlMs),
  };
}

/** Reads a `STREAM.INFO`, `CREATE` or `UPDATE` answer; `null` for anything else. */
export function parseStreamInfo(answer: JsonObject, clusterId: string): StreamState | null {
  return parseStream(answer, leaseRepublish(clusterId));
}

/** The configuration of a new bucket. Its first revision is larger than `above`. */
export function newStreamConfig(
  clusterId: string,
  replicas: number,
  maxAgeMs: number,
  above: number = 0,
): JsonObject {
  return newBucketConfig({
    stream: streamName(clusterId),
    subjects: bucketSubjects(clusterId),
    replicas,
    maxAgeMs,
    republish: leaseRepublish(clusterId),
    above,
  });
}

/** The part of a configuration that republishes committed writes of the lease. */
function leaseRepublish(clusterId: string): Republish {
  return { src: leaseSubject(clusterId), dest: republishSubject(clusterId) };
}

/** A `republish` with another purpose. A stream can have only one, so it is not replaced. */
export function hasForeignRepublish(config: JsonObject, clusterId: string): boolean {
  return republishesElsewhere(config, leaseRepublish(clusterId));
}

/**
 * Why the lease rules do not hold on an existing stream, one sentence each; empty if they hold. A setting is incompatible if it
 * can lose, hide or restore a record, or makes every write fail.
 */
export function incompatibilities(config: JsonObject, clusterId: string, leaseTtlMs: number): string[] {
  const subjects = [bucketSubjects(clusterId), leaseSubject(clusterId)] as const;
  const limits = { bucketBytes: SMALLEST_BUCKET_LIMIT, messageBytes: SMALLEST_MESSAGE_LIMIT };
  return [...bucketProblems(config, subjects, limits), ...ageProblems(config, leaseTtlMs)];
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
