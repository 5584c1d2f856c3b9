/** Decodes `STREAM.INFO`, or a stream in `/jsz`, to facts about the bucket. */
import type { JsonObject } from "../../nats/api/js-api.ts";
import { hasForeignRepublish, parseStreamInfo } from "../../nats/lease/stream-config.ts";
import { streamName } from "../../nats/names.ts";
import type { BucketFacts } from "../facts.ts";
import { numberIn, objectIn, textIn, textsIn } from "./json.ts";
import { readPeers } from "./read-server.ts";

export function missingBucket(clusterId: string): BucketFacts {
  return {
    exists: false,
    stream: streamName(clusterId),
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

/** `null` if the answer does not describe a stream. */
export function readBucket(answer: JsonObject, clusterId: string): BucketFacts | null {
  const info = parseStreamInfo(answer, clusterId);
  if (info === null) return null;
  const { config } = info;
  const group = objectIn(answer, "cluster");
  const placement = objectIn(config, "placement");
  const limit = numberIn(config, "max_bytes") ?? -1;
  return {
    exists: true,
    stream: streamName(clusterId),
    replicas: info.replicas,
    storage: textIn(config, "storage") ?? "file",
    maxAgeMs: info.maxAgeMs,
    republish: info.republish,
    foreignRepublish: hasForeignRepublish(config, clusterId),
    placement:
      placement === null
        ? null
        : { cluster: textIn(placement, "cluster") ?? "", tags: textsIn(placement, "tags") },
    // A single server also sends the object, with itself as the leader and without a raft group.
    clustered: textIn(group, "raft_group") !== null || readPeers(group).length > 0 || info.replicas > 1,
    leader: textIn(group, "leader"),
    peers: readPeers(group),
    size: {
      usedBytes: numberIn(objectIn(answer, "state"), "bytes") ?? 0,
      limitBytes: limit > 0 ? limit : null,
    },
    config,
  };
}
