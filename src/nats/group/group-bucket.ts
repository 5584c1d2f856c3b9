/** The configuration of a group's stream: of a new one, and which existing ones are compatible. */
import type { JsonObject } from "../api/js-api.ts";
import type { BucketKind } from "../bucket/bucket-opener.ts";
import {
  bucketProblems,
  NANOS_PER_MS,
  newBucketConfig,
  numberOf,
  type Republish,
} from "../bucket/stream-state.ts";
import { groupBucketName, groupRepublishSubject, groupStreamName, groupSubject } from "../names.ts";

/** A plan of the largest size with its headers. */
const SMALLEST_MESSAGE_LIMIT = 1_000_000;
/** 10 000 owners, 100 members and a plan take about 6 MB. A full bucket would refuse renewals. */
const SMALLEST_BUCKET_LIMIT = 64 * 1024 * 1024;

export function groupBucket(groupId: string): BucketKind {
  return {
    bucket: groupBucketName(groupId),
    stream: groupStreamName(groupId),
    republish: groupRepublish(groupId),
    republished: "its records",
    kept: "all sessions, owners and epochs",
    members: "member",
    command: `create-bucket --group ${groupId}`,
    newConfig: (replicas, above) => newGroupConfig(groupId, replicas, above),
    problems: (config) => groupProblems(config, groupId),
  };
}

/** Committed writes of all keys. */
export function groupRepublish(groupId: string): Republish {
  return { src: groupSubject(groupId, ">"), dest: groupRepublishSubject(groupId, ">") };
}

/** There is no way to remove a message other than a newer one on its key. */
function newGroupConfig(groupId: string, replicas: number, above: number): JsonObject {
  const config = newBucketConfig({
    stream: groupStreamName(groupId),
    subjects: groupSubject(groupId, ">"),
    replicas,
    maxAgeMs: 0,
    republish: groupRepublish(groupId),
    above,
  });
  return { ...config, allow_rollup_hdrs: false, deny_purge: true };
}

/** Why the rules of a group do not hold on an existing stream, one sentence each; empty if they hold. */
function groupProblems(config: JsonObject, groupId: string): string[] {
  const limits = { bucketBytes: SMALLEST_BUCKET_LIMIT, messageBytes: SMALLEST_MESSAGE_LIMIT };
  const found = bucketProblems(config, [groupSubject(groupId, ">")], limits);
  const maxAgeMs = numberOf(config, "max_age") / NANOS_PER_MS;
  if (maxAgeMs > 0) {
    found.push(
      `its max-age is ${maxAgeMs} ms, it must be unlimited: the server would delete owners, which are not renewed`,
    );
  }
  if (config["allow_msg_ttl"] === true)
    found.push("it allows TTLs of messages (allow_msg_ttl), so records can expire");
  if (config["allow_rollup_hdrs"] === true) {
    found.push("it allows rollups (allow_rollup_hdrs), so one write can delete all records");
  }
  for (const flag of ["deny_delete", "deny_purge"]) {
    if (config[flag] !== true) found.push(`${flag} is off, so records can be removed without a trace`);
  }
  if (config["allow_msg_counter"] === true)
    found.push("it counts (allow_msg_counter), so no record can be written");
  if (config["persist_mode"] === "async") {
    found.push("its persist_mode is async, so a write that was confirmed can be lost");
  }
  return found;
}
