/** What a NATS user needs for one cluster's election, role by role. `examples/permissions` holds the same sets as files. */
import { ClusterError } from "../errors.ts";
import {
  CONNECTIONS_PING,
  consumerDeletedAdvisory,
  historyStream,
  leaseSubject,
  republishSubject,
  serviceName,
  streamDeletedAdvisory,
  streamName,
} from "./names.ts";

/**
 * - `node`: competes for leadership.
 * - `observer`: a node with `observer: true`, or a program that only reads who leads.
 * - `operator`: a person or script that reads the state and asks nodes to step down.
 */
export type PermissionRole = "node" | "observer" | "operator";

export const PERMISSION_ROLES: readonly PermissionRole[] = ["node", "observer", "operator"];

/** For whom `permissionsFor()` computes a set. */
export interface PermissionOptions {
  /** The cluster: 1 to 64 of the characters A-Z a-z 0-9 _ -. */
  readonly clusterId: string;
  /** @default "node" */
  readonly role?: PermissionRole;
  /**
   * The only node that will use these credentials: it can then not answer in another node's name.
   * @default any node of the cluster
   */
  readonly nodeId?: string;
  /**
   * Whether a node may create the bucket, and add `republish` to one that exists. False suits a bucket that was created
   * beforehand. Observers and operators never create one.
   * @default true
   */
  readonly createBucket?: boolean;
  /**
   * Prefix of the subjects on which the user receives responses. The client must connect with the same one (option
   * `inboxPrefix`). Each role has its own by default, because a user that may subscribe to another user's inbox can read
   * its responses.
   * @default "_INBOX_<role>", with a node id "_INBOX_<role>_<nodeId>"
   */
  readonly inboxPrefix?: string;
}

/** Subjects to allow; everything else is denied. The names are those of nats-server's `permissions`. */
export interface Permissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
  /**
   * `allow_responses`: how many responses the user may send to a request that it received, and for how long. `null`: the
   * role answers no requests.
   */
  readonly allowResponses: { readonly max: number; readonly expires: string } | null;
  /** What the client passes as `inboxPrefix`. */
  readonly inboxPrefix: string;
}

/** One subject and what it is for. */
export interface Grant {
  readonly subject: string;
  readonly purpose: string;
}

export interface Grants extends Omit<Permissions, "publish" | "subscribe"> {
  readonly publish: readonly Grant[];
  readonly subscribe: readonly Grant[];
}

/** A step-down is answered when the work has ended, which can take long. */
const RESPONSES = { max: 1, expires: "1h" } as const;

/**
 * The permissions that a NATS user needs in one cluster. A user with these and no others takes part without a single
 * refusal. `nats-leader permissions` prints them for a server configuration; docs/security.md explains each subject.
 *
 * @throws ClusterError `INVALID_CONFIG`: an id or prefix that is not valid, such as one with a wildcard.
 * @example
 * ```ts
 * const { publish, subscribe, inboxPrefix } = permissionsFor({ clusterId: "billing", role: "observer" });
 * ```
 */
export function permissionsFor(options: PermissionOptions): Permissions {
  const { publish, subscribe, allowResponses, inboxPrefix } = grantsFor(options);
  return {
    publish: publish.map(subjectOf),
    subscribe: subscribe.map(subjectOf),
    allowResponses,
    inboxPrefix,
  };
}

function subjectOf({ subject }: Grant): string {
  return subject;
}

/** As `permissionsFor()`, with the purpose of every subject. */
export function grantsFor(options: PermissionOptions): Grants {
  const { clusterId, nodeId, role = "node", createBucket = true } = options;
  requireId("clusterId", clusterId);
  if (nodeId !== undefined) requireId("nodeId", nodeId);
  const inboxPrefix = options.inboxPrefix ?? `_INBOX_${role}${nodeId === undefined ? "" : `_${nodeId}`}`;
  requirePrefix(inboxPrefix);
  const inbox = grant(`${inboxPrefix}.>`, "responses to its requests");
  const service = [...serving(clusterId, nodeId), grant("$SRV.>", "discovery of the micro service")];
  switch (role) {
    case "node":
      return {
        publish: [
          grant(leaseSubject(clusterId), "the lease: compare-and-set, release"),
          ...reading(clusterId),
          ...(createBucket ? creating(clusterId) : []),
          ...detecting(clusterId),
          asking(clusterId, "status", "whether the successor of a handover is running"),
        ],
        subscribe: [inbox, ...watching(clusterId), crashAdvisory(clusterId), ...service],
        allowResponses: RESPONSES,
        inboxPrefix,
      };
    case "observer":
      return {
        publish: [
          ...reading(clusterId),
          asking(clusterId, "status", "other nodes' status"),
          asking(clusterId, "ping", "other nodes' wall clocks"),
        ],
        subscribe: [inbox, ...watching(clusterId), ...service],
        allowResponses: RESPONSES,
        inboxPrefix,
      };
    case "operator":
      return {
        publish: [...reading(clusterId), ...operating(clusterId)],
        subscribe: [inbox, ...watching(clusterId)],
        allowResponses: null,
        inboxPrefix,
      };
    default:
      throw new ClusterError(
        "INVALID_CONFIG",
        `role is "${String(role satisfies never)}": it must be one of ${PERMISSION_ROLES.join(", ")}`,
      );
  }
}

function grant(subject: string, purpose: string): Grant {
  return { subject, purpose };
}

function reading(clusterId: string): Grant[] {
  const stream = streamName(clusterId);
  return [
    grant(`$JS.API.STREAM.INFO.${stream}`, "the bucket's configuration and state"),
    grant(`$JS.API.STREAM.MSG.GET.${stream}`, "the lease, from the stream leader"),
  ];
}

function creating(clusterId: string): Grant[] {
  const stream = streamName(clusterId);
  return [
    grant(`$JS.API.STREAM.CREATE.${stream}`, "create the bucket"),
    grant(`$JS.API.STREAM.UPDATE.${stream}`, "add republish to a bucket without it"),
  ];
}

/** Without any one of these a node still works, but detects a crashed leader only when the lease has expired. */
function detecting(clusterId: string): Grant[] {
  const stream = streamName(clusterId);
  return [
    grant(`$JS.API.CONSUMER.CREATE.${stream}.>`, "presence; the watch of a bucket without republish"),
    grant(`$JS.API.CONSUMER.DELETE.${stream}.*`, "remove its own consumers"),
    grant(CONNECTIONS_PING, "whether the leader's connection is closed"),
  ];
}

function asking(clusterId: string, endpoint: "status" | "ping", purpose: string): Grant {
  return grant(`${serviceName(clusterId)}.${endpoint}.*`, purpose);
}

function watching(clusterId: string): Grant[] {
  return [
    grant(republishSubject(clusterId), "committed writes of the lease"),
    grant(streamDeletedAdvisory(streamName(clusterId)), "deletion of the bucket"),
  ];
}

function crashAdvisory(clusterId: string): Grant {
  return grant(consumerDeletedAdvisory(`${streamName(clusterId)}.*`), "suspicion: presence deleted");
}

function serving(clusterId: string, nodeId: string | undefined): Grant[] {
  const service = serviceName(clusterId);
  if (nodeId === undefined) return [grant(`${service}.>`, "its micro service")];
  const purpose = "its micro service, for this node only";
  return [`status.${nodeId}`, `ping.${nodeId}`, `control.${nodeId}.*`].map((tail) =>
    grant(`${service}.${tail}`, purpose),
  );
}

function operating(clusterId: string): Grant[] {
  const service = serviceName(clusterId);
  const history = historyStream(clusterId);
  const discovery = ["PING", "INFO", "STATS"].flatMap((verb) => [
    grant(`$SRV.${verb}`, "nats micro"),
    grant(`$SRV.${verb}.${service}`, "nats-leader nodes; nats micro"),
    grant(`$SRV.${verb}.${service}.*`, "one instance"),
  ]);
  return [
    grant(`$JS.API.STREAM.INFO.${history}`, "past terms, where a daemon records them"),
    grant(`$JS.API.STREAM.MSG.GET.${history}`, "past terms"),
    asking(clusterId, "status", "nodes' status"),
    asking(clusterId, "ping", "nodes' wall clocks"),
    grant(`${service}.control.>`, "stepdown, compete"),
    ...discovery,
  ];
}

function requireId(name: string, id: string): void {
  if (/^[A-Za-z0-9_-]{1,64}$/.test(id)) return;
  throw new ClusterError(
    "INVALID_CONFIG",
    `${name} is ${JSON.stringify(id)}: it must be 1 to 64 of the characters A-Z a-z 0-9 _ -`,
  );
}

function requirePrefix(prefix: string): void {
  if (/^[^\s.*>"]+(\.[^\s.*>"]+)*$/.test(prefix)) return;
  throw new ClusterError(
    "INVALID_CONFIG",
    `inboxPrefix is ${JSON.stringify(prefix)}: it must be a subject without wildcards, spaces and quotes`,
  );
}
