/** The least a NATS user needs to take part in one cluster's election. */
import {
  bucketName,
  CONNECTIONS_PING,
  consumerDeletedAdvisory,
  LEASE_KEY,
  republishSubject,
  serviceName,
  streamDeletedAdvisory,
  streamName,
} from "./names.ts";

/** Subjects to allow, as they go into a server's `permissions`. */
export interface Permissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

/** What is asked for, to leave out what is not used. */
export interface PermissionOptions {
  readonly clusterId: string;
  /** Whether the user may make and change the bucket, or finds it made. Default true. */
  readonly createBucket?: boolean;
  /** Prefix of reply subjects. Default `_INBOX`. */
  readonly inboxPrefix?: string;
}

/** Tested as they stand: a user with these and nothing else runs a node with all there is. */
export function permissionsFor(options: PermissionOptions): Permissions {
  const { clusterId, createBucket = true, inboxPrefix = "_INBOX" } = options;
  const stream = streamName(clusterId);
  const service = serviceName(clusterId);
  const inbox = `${inboxPrefix}.>`;
  return {
    publish: [
      `$KV.${bucketName(clusterId)}.${LEASE_KEY}`,
      `$JS.API.STREAM.INFO.${stream}`,
      `$JS.API.STREAM.MSG.GET.${stream}`,
      ...(createBucket ? [`$JS.API.STREAM.CREATE.${stream}`, `$JS.API.STREAM.UPDATE.${stream}`] : []),
      // Presence, and the watch where the bucket doesn't republish.
      `$JS.API.CONSUMER.CREATE.${stream}.>`,
      `$JS.API.CONSUMER.DELETE.${stream}.*`,
      // Whether a leader's connection is gone.
      CONNECTIONS_PING,
      // Questions to other nodes, and answers to whoever asks.
      `${service}.>`,
      inbox,
    ],
    subscribe: [
      inbox,
      republishSubject(clusterId),
      streamDeletedAdvisory(stream),
      consumerDeletedAdvisory(`${stream}.*`),
      `${service}.>`,
      "$SRV.>",
    ],
  };
}
