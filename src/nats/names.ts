/** Every name that the election uses on the wire (docs/wire.md). `clusterId` and `nodeId` are `[A-Za-z0-9_-]+`. */

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

/** The stream of past terms, if a daemon records them. Not part of the election. */
export function historyStream(clusterId: string): string {
  return `LEADER_HISTORY_${clusterId}`;
}

export function historySubject(clusterId: string): string {
  return `nats_leader.history.${clusterId}`;
}

/** Announces that a stream was deleted. */
export function streamDeletedAdvisory(stream: string): string {
  return `$JS.EVENT.ADVISORY.STREAM.DELETED.${stream}`;
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
