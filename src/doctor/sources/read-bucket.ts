/** Decodes `STREAM.INFO`, or a stream in `/jsz`, to facts about the bucket. */
import type { JsonObject } from "../../nats/api/js-api.ts";
import { parseStream, republishesElsewhere, type StreamState } from "../../nats/bucket/stream-state.ts";
import { groupRepublish } from "../../nats/group/group-bucket.ts";
import { hasForeignRepublish, parseStreamInfo } from "../../nats/lease/stream-config.ts";
import { groupStreamName, streamName } from "../../nats/names.ts";
import type { BucketFacts } from "../facts.ts";
import { numberIn, objectIn, textIn, textsIn } from "./json.ts";
import { readPeers } from "./read-server.ts";

export function missingBucket(clusterId: string): BucketFacts {
  return missing(streamName(clusterId));
}

export function missingGroupBucket(groupId: string): BucketFacts {
  return missing(groupStreamName(groupId));
}

function missing(stream: string): BucketFacts {
  return {
    exists: false,
    stream,
    replicas: 0,
    storage: "",
    maxAgeMs: 0,
    republish: false,
    foreignRepublish: false,
    placement: null,
    clustered: false,
    leader: null,
    peers: [],
    size: { usedBytes: 0, limitBytes: null },
    config: {},
  };
}

/** Of any stream: its raft group. */
export function readReplicas(
  answer: JsonObject,
): Pick<BucketFacts, "replicas" | "clustered" | "leader" | "peers"> {
  const group = objectIn(answer, "cluster");
  const replicas = numberIn(objectIn(answer, "config"), "num_replicas") ?? 1;
  const peers = readPeers(group);
  return {
    replicas,
    // A single server also sends the object, with itself as the leader and without a raft group.
    clustered: textIn(group, "raft_group") !== null || peers.length > 0 || replicas > 1,
    leader: textIn(group, "leader"),
    peers,
  };
}

/** `null` if the answer does not describe a stream. */
export function readBucket(answer: JsonObject, clusterId: string): BucketFacts | null {
  const info = parseStreamInfo(answer, clusterId);
  return info === null
    ? null
    : factsOf(answer, info, streamName(clusterId), hasForeignRepublish(info.config, clusterId));
}

/** As `readBucket()`, of a group. */
export function readGroupBucket(answer: JsonObject, groupId: string): BucketFacts | null {
  const republish = groupRepublish(groupId);
  const info = parseStream(answer, republish);
  const foreign = info !== null && republishesElsewhere(info.config, republish);
  return info === null ? null : factsOf(answer, info, groupStreamName(groupId), foreign);
}

function factsOf(
  answer: JsonObject,
  info: Pick<StreamState, "config" | "maxAgeMs" | "republish">,
  stream: string,
  foreignRepublish: boolean,
): BucketFacts {
  const { config } = info;
  const placement = objectIn(config, "placement");
  const limit = numberIn(config, "max_bytes") ?? -1;
  return {
    exists: true,
    stream,
    ...readReplicas(answer),
    storage: textIn(config, "storage") ?? "file",
    maxAgeMs: info.maxAgeMs,
    republish: info.republish,
    foreignRepublish,
    placement:
      placement === null
        ? null
        : { cluster: textIn(placement, "cluster") ?? "", tags: textsIn(placement, "tags") },
    size: {
      usedBytes: numberIn(objectIn(answer, "state"), "bytes") ?? 0,
      limitBytes: limit > 0 ? limit : null,
    },
    config,
  };
}
