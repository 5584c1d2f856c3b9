/** Every name that elections and groups use on the wire (docs/wire.md). Ids are `[A-Za-z0-9_-]+`. */
import { randomBytes } from "node:crypto";
import type { ConnectionId } from "../election/types.ts";

/** The key of the lease. */
export const LEASE_KEY = "leader";

/** The key-value bucket of a cluster; go-cluster's name. */
export function bucketName(clusterId: string): string {
  return `KV_CLUSTER_${clusterId}`;
}

/** The stream under the bucket. */
export function streamName(clusterId: string): string {
  return `KV_${bucketName(clusterId)}`;
}

/** All keys of the bucket. */
export function bucketSubjects(clusterId: string): string {
  return `$KV.${bucketName(clusterId)}.>`;
}

/** The subject of the lease. A subscription to it would also receive writes that the stream rejects. */
export function leaseSubject(clusterId: string): string {
  return `$KV.${bucketName(clusterId)}.${LEASE_KEY}`;
}

/** Where the stream republishes committed writes of the lease. Outside its own subjects, or it would store them again. */
export function republishSubject(clusterId: string): string {
  return `nats_leader.lease.${clusterId}`;
}

/** Where a connection publishes its beats, and hears them itself. One subject for all clusters that it serves. */
export function beatSubject({ serverId, clientId }: ConnectionId): string {
  return `nats_leader.beat.${serverId}.${clientId}`;
}

/** The beats of all connections of the account. */
export const ALL_BEATS = "nats_leader.beat.>";

/** A subject of the stream to which no client publishes: the filter of a presence consumer, which must never deliver. */
export function presenceFilter(stream: string, id: string): string {
  return `$KV.${stream.replace(/^KV_/, "")}.presence.${id}`;
}

/** The micro service of a cluster; go-cluster's name. */
export function serviceName(clusterId: string): string {
  return `cluster_${clusterId}`;
}

export function statusSubject(clusterId: string, nodeId: string): string {
  return `${serviceName(clusterId)}.status.${nodeId}`;
}

export function pingSubject(clusterId: string, nodeId: string): string {
  return `${serviceName(clusterId)}.ping.${nodeId}`;
}

export function stepdownSubject(clusterId: string, nodeId: string): string {
  return `${serviceName(clusterId)}.control.${nodeId}.stepdown`;
}

/**
 * Whether a node can take over. Under `control`, where only users that may lead can answer: an observer's user may not
 * subscribe there. Not in go-cluster.
 */
export function candidateSubject(clusterId: string, nodeId: string): string {
  return `${serviceName(clusterId)}.control.${nodeId}.candidate`;
}

/** Makes a daemon compete, or only follow. Not in go-cluster. */
export function competeSubject(clusterId: string, nodeId: string): string {
  return `${serviceName(clusterId)}.control.${nodeId}.compete`;
}

/**
 * Where responses of nodes may arrive. Not an inbox: a user that may answer on an inbox may also forge the servers' responses there.
 * Every user that answers may publish to all of it, and each asker hears its own part.
 */
export function repliesTo(clusterId: string): string {
  return `${serviceName(clusterId)}.reply`;
}

/** A reply subject that no other program can guess. @param nodeId - `null`: the asker is no node. */
export function newReplySubject(clusterId: string, nodeId: string | null): string {
  const asker = nodeId === null ? "client" : `node.${nodeId}`;
  return `${repliesTo(clusterId)}.${asker}.${randomBytes(16).toString("hex")}`;
}

/**
 * Whether a node answers a request with this reply subject. It does not where its user may publish for other reasons: the asker may
 * not be allowed to publish there itself, and a server does not compare a reply subject with the permissions of the asker.
 */
export function takesResponses(reply: string): boolean {
  const [first = "", second] = reply.split(".");
  if (first.startsWith("$") || first === "nats_leader") return false;
  return !(first.startsWith("cluster_") || first.startsWith("group_")) || second === "reply";
}

/** The stream of past terms, if a daemon records them. Not part of the election. */
export function historyStream(clusterId: string): string {
  return `LEADER_HISTORY_${clusterId}`;
}

export function historySubject(clusterId: string): string {
  return `nats_leader.history.${clusterId}`;
}

/** The key-value bucket of a group. No cluster's bucket begins like this: a group and a cluster may have one id. */
export function groupBucketName(groupId: string): string {
  return `GROUP_${groupId}`;
}

/** The stream under the bucket of a group. */
export function groupStreamName(groupId: string): string {
  return `KV_${groupBucketName(groupId)}`;
}

/** The subject of a key of a group's bucket, or with `>` of all. */
export function groupSubject(groupId: string, key: string): string {
  return `$KV.${groupBucketName(groupId)}.${key}`;
}

/** Where the stream republishes committed writes of a key, or with `>` of all. */
export function groupRepublishSubject(groupId: string, key: string): string {
  return `nats_leader.group.${groupId}.${key}`;
}

/** Requests to a member of a group: `drain`, `rejoin` or `move`; `*`: any of them. */
export function memberControlSubject(groupId: string, memberId: string, what: string): string {
  return `group_${groupId}.control.${memberId}.${what}`;
}

/** Where responses of members may arrive. As `repliesTo()`. */
export function memberRepliesTo(groupId: string): string {
  return `group_${groupId}.reply`;
}

/** A reply subject for a request to a member, that no other program can guess. */
export function newMemberReplySubject(groupId: string): string {
  return `${memberRepliesTo(groupId)}.client.${randomBytes(16).toString("hex")}`;
}

/** Announces that a stream was deleted. */
export function streamDeletedAdvisory(stream: string): string {
  return `$JS.EVENT.ADVISORY.STREAM.DELETED.${stream}`;
}

/** Announces that a stream was created. */
export function streamCreatedAdvisory(stream: string): string {
  return `$JS.EVENT.ADVISORY.STREAM.CREATED.${stream}`;
}

/** Announces that a consumer was deleted. `consumer` is `<stream>.<consumer>`, as `presence` in a record. */
export function consumerDeletedAdvisory(consumer: string): string {
  return `$JS.EVENT.ADVISORY.CONSUMER.DELETED.${consumer}`;
}

/**
 * The subject that reaches a JetStream domain: its API, and the keys of its buckets. Between domains, servers forward neither
 * `$JS.API` nor `$KV`. All other subjects are the same in every domain.
 * @param domain - `null`: the domain of the server that the client is connected to
 */
export function inDomain(subject: string, domain: string | null): string {
  if (domain === null) return subject;
  if (subject.startsWith("$JS.API.")) return `$JS.${domain}.API.${subject.slice("$JS.API.".length)}`;
  return subject.startsWith("$KV.") ? `$JS.${domain}.API.${subject}` : subject;
}

/** Every server answers with the connections of the requesting account. */
export const CONNECTIONS_PING = "$SYS.REQ.ACCOUNT.PING.CONNZ";
/** Every server answers for the account of the request, and names it. */
export const ACCOUNT_PING = "$SYS.REQ.ACCOUNT.PING.STATZ";
