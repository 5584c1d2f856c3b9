/** What a NATS user needs for one cluster's election, or for one group, role by role. `examples/permissions` holds the same sets as files. */
import { ClusterError } from "../errors.ts";
import { DOMAIN } from "./identity.ts";
import {
  ALL_BEATS,
  bucketName,
  CONNECTIONS_PING,
  consumerDeletedAdvisory,
  groupRepublishSubject,
  groupStreamName,
  groupSubject,
  historyStream,
  historySubject,
  inDomain,
  leaseSubject,
  memberControlSubject,
  memberRepliesTo,
  repliesTo,
  republishSubject,
  serviceName,
  streamDeletedAdvisory,
  streamName,
} from "./names.ts";
import { checkFilter, checkStreamName } from "./subjects.ts";

/**
 * - `node`: competes for leadership.
 * - `observer`: a node with `observer: true`, or a program that only reads who leads.
 * - `operator`: a person or script that reads the state and asks nodes to step down.
 * - `administrator`: creates, changes and deletes the bucket and the stream of past terms. No node needs it while it runs.
 */
export type PermissionRole = "node" | "observer" | "operator" | "administrator";

export const PERMISSION_ROLES: readonly PermissionRole[] = ["node", "observer", "operator", "administrator"];

/** For whom `permissionsFor()` computes a set. */
export interface PermissionOptions {
  /** The cluster: 1 to 64 of the characters A-Z a-z 0-9 _ -. */
  readonly clusterId: string;
  /** @default "node" */
  readonly role?: PermissionRole;
  /**
   * The only node that will use these credentials: it can then not answer in another node's name. An observer without a node id
   * has no micro service: it sets `service: false`, and tools do not see it.
   * @default any node of the cluster
   */
  readonly nodeId?: string;
  /**
   * Whether a node may create the bucket, and add `republish` to one that exists. It may then give the bucket any configuration:
   * one that copies every stream of the account, publishes to any subject, or refuses every write. Without it an administrator
   * creates the bucket.
   * @default false
   */
  readonly createBucket?: boolean;
  /** Whether a node may record past terms (`nats-leader daemon`). @default false */
  readonly history?: boolean;
  /**
   * Whether a node may watch the lease by a consumer, which a bucket without `republish` needs. It can then have the records of
   * the lease delivered to any subject of the account.
   * @default false
   */
  readonly watchConsumer?: boolean;
  /**
   * Prefix of the subjects on which the user receives responses. The client must connect with the same one (option
   * `inboxPrefix`). Each role has its own by default, because a user that may subscribe to another user's inbox can read
   * its responses.
   * @default "_INBOX_<role>", with a node id "_INBOX_<role>_<nodeId>"
   */
  readonly inboxPrefix?: string;
  /**
   * JetStream domain of the bucket, if it is another one than that of the user's server (option `domain` of the client).
   * @default that of the server
   */
  readonly domain?: string;
}

/**
 * - `member`: owns resources.
 * - `observer`: a program that reads who owns what.
 * - `operator`: a person or script that reads the state, and makes members drain, rejoin or move resources (`nats-leader group`).
 * - `administrator`: creates, changes and deletes the bucket. No member needs it while it runs.
 */
export type GroupPermissionRole = "member" | "observer" | "operator" | "administrator";

export const GROUP_PERMISSION_ROLES: readonly GroupPermissionRole[] = [
  "member",
  "observer",
  "operator",
  "administrator",
];

/** For whom in a group `permissionsFor()` computes a set. A member may end the session of any other, so there is no set for one of them. */
export interface GroupPermissionOptions extends Pick<PermissionOptions, "createBucket" | "domain"> {
  /** The group: 1 to 64 of the characters A-Z a-z 0-9 _ -. */
  readonly groupId: string;
  /** @default "member" */
  readonly role?: GroupPermissionRole;
  /**
   * As in `PermissionOptions`.
   * @default "_INBOX_group_<role>"
   */
  readonly inboxPrefix?: string;
  /**
   * The stream on whose partitions a member works with `partitionConsumer()`, by a connection of this user: its name, and the filter of all of
   * them, such as `ticks.>` for partitions `ticks.3.>`. The user can then delete every consumer of that stream.
   * @default none
   */
  readonly partitions?: { readonly stream: string; readonly subject: string };
}

/** Subjects to allow; everything else is denied. The names are those of nats-server's `permissions`. */
export interface Permissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
  /** What the client passes as `inboxPrefix`. */
  readonly inboxPrefix: string;
}

/** One subject and what it is for. */
export interface Grant {
  readonly subject: string;
  readonly purpose: string;
  /** Without it the role cannot do its work at all. */
  readonly vital: boolean;
}

export interface Grants extends Omit<Permissions, "publish" | "subscribe"> {
  readonly publish: readonly Grant[];
  readonly subscribe: readonly Grant[];
}

/**
 * The permissions that a NATS user needs in one cluster or in one group. A user with these and no others takes part without a single
 * refusal. `nats-leader permissions` prints them for a server configuration; docs/security.md explains each subject, and what a
 * program with these permissions can do beyond its role.
 *
 * @throws ClusterError `INVALID_CONFIG`: an id or prefix that is not valid, such as one with a wildcard.
 * @example
 * ```ts
 * const { publish, subscribe, inboxPrefix } = permissionsFor({ clusterId: "billing", role: "observer" });
 * ```
 */
export function permissionsFor(options: PermissionOptions | GroupPermissionOptions): Permissions {
  const { publish, subscribe, inboxPrefix } =
    "groupId" in options ? groupGrantsFor(options) : grantsFor(options);
  return {
    publish: publish.map(subjectOf),
    subscribe: subscribe.map(subjectOf),
    inboxPrefix,
  };
}

function subjectOf({ subject }: Grant): string {
  return subject;
}

/** As `permissionsFor()`, with the purpose of every subject. */
export function grantsFor(options: PermissionOptions): Grants {
  const { domain = null } = options;
  if (domain !== null) requireDomain(domain);
  const { publish, ...grants } = grantsOf(options);
  return { ...grants, publish: publish.map((one) => ({ ...one, subject: inDomain(one.subject, domain) })) };
}

/** As `grantsFor()`, for a group. */
export function groupGrantsFor(options: GroupPermissionOptions): Grants {
  const { domain = null, role = "member", groupId, createBucket = false } = options;
  if (domain !== null) requireDomain(domain);
  requireId("groupId", groupId);
  const inboxPrefix = options.inboxPrefix ?? `_INBOX_group_${role}`;
  requirePrefix(inboxPrefix);
  const publish = [
    ...groupPublishing(groupId, role, createBucket),
    ...(options.partitions === undefined ? [] : consuming(role, options.partitions)),
  ];
  return {
    publish: publish.map((one) => ({ ...one, subject: inDomain(one.subject, domain) })),
    subscribe: [vital(`${inboxPrefix}.>`, "responses to its requests"), ...groupHearing(groupId, role)],
    inboxPrefix,
  };
}

function groupPublishing(groupId: string, role: GroupPermissionRole, createBucket: boolean): Grant[] {
  const stream = groupStreamName(groupId);
  const information = vital(`$JS.API.STREAM.INFO.${stream}`, "the bucket's configuration and state");
  const reading = [information, vital(`$JS.API.STREAM.MSG.GET.${stream}`, "one key, from the stream leader")];
  const readingAll = (purpose: string): Grant[] => [
    // A permission cannot say "this filter only": the last token matches every key, and also the filter of a presence consumer.
    vital(`$JS.API.CONSUMER.CREATE.${stream}.*.${groupSubject(groupId, ">")}`, purpose),
    vital(`$JS.API.CONSUMER.MSG.NEXT.${stream}.*`, "messages of that consumer"),
  ];
  switch (role) {
    case "member":
      return [
        vital(groupSubject(groupId, "session.*"), "its session, and the end of the session of a dead member"),
        vital(groupSubject(groupId, "owner.*"), "claims and releases"),
        vital(groupSubject(groupId, "coordinator"), "who plans"),
        vital(groupSubject(groupId, "plan"), "the plan"),
        ...reading,
        ...(createBucket ? creating(stream, "the bucket") : []),
        ...readingAll("read what has changed; presence"),
        useful(CONNECTIONS_PING, "whether the connection of a member is closed"),
        useful(ALL_BEATS, "beats: signs of life to its server"),
        useful(`${memberRepliesTo(groupId)}.>`, "responses to operators"),
      ];
    case "observer":
      return reading;
    case "operator":
      return [
        information,
        ...readingAll("read all keys"),
        useful("$JS.API.STREAM.NAMES", "nats-leader groups"),
        useful(memberControlSubject(groupId, "*", "drain"), "make a member give up everything"),
        useful(memberControlSubject(groupId, "*", "rejoin"), "make a member take resources again"),
        useful(memberControlSubject(groupId, "*", "move"), "move a resource to another member"),
      ];
    case "administrator":
      return [
        useful("$JS.API.INFO", "limits of the account"),
        vital(`$JS.API.STREAM.INFO.${stream}`, "read the configuration of the bucket"),
        vital(`$JS.API.STREAM.CREATE.${stream}`, "create the bucket"),
        vital(`$JS.API.STREAM.UPDATE.${stream}`, "change the bucket"),
        vital(`$JS.API.STREAM.DELETE.${stream}`, "delete the bucket, while no member runs"),
      ];
    default:
      throw new ClusterError(
        "INVALID_CONFIG",
        `role is "${String(role satisfies never)}": it must be one of ${GROUP_PERMISSION_ROLES.join(", ")}`,
      );
  }
}

function consuming(
  role: GroupPermissionRole,
  { stream, subject }: NonNullable<GroupPermissionOptions["partitions"]>,
): Grant[] {
  if (role !== "member")
    throw new ClusterError("INVALID_CONFIG", `partitions are of members: role is "${role}"`);
  checkStreamName(stream);
  checkFilter(subject);
  return [
    vital(`$JS.API.STREAM.INFO.${stream}`, "the first and the last sequence of the stream of the partitions"),
    vital(`$JS.API.CONSUMER.CREATE.${stream}.*.${subject}`, "the consumer of a term"),
    vital(`$JS.API.CONSUMER.MSG.NEXT.${stream}.*`, "its messages"),
    useful(`$JS.API.CONSUMER.DELETE.${stream}.*`, "removing it; else the server does"),
    useful(`$JS.API.CONSUMER.NAMES.${stream}`, "finding those of former owners, to remove them"),
  ];
}

function groupHearing(groupId: string, role: GroupPermissionRole): Grant[] {
  if (role === "administrator") return [];
  if (role === "operator") return [useful(`${memberRepliesTo(groupId)}.client.>`, "responses of members")];
  const stream = groupStreamName(groupId);
  return [
    useful(groupRepublishSubject(groupId, ">"), "committed writes of all keys"),
    useful(streamDeletedAdvisory(stream), "deletion of the bucket"),
    ...(role === "observer"
      ? []
      : [
          useful(consumerDeletedAdvisory(`${stream}.*`), "suspicion: presence deleted"),
          useful(ALL_BEATS, "its own beats; suspicion: those of a member are missing"),
          useful(memberControlSubject(groupId, "*", "*"), "drain, rejoin, move"),
        ]),
  ];
}

/** For the domain of the server. */
function grantsOf(options: PermissionOptions): Grants {
  const { clusterId, nodeId, role = "node" } = options;
  requireId("clusterId", clusterId);
  if (nodeId !== undefined) requireId("nodeId", nodeId);
  const inboxPrefix = options.inboxPrefix ?? `_INBOX_${role}${nodeId === undefined ? "" : `_${nodeId}`}`;
  requirePrefix(inboxPrefix);
  const inbox = vital(`${inboxPrefix}.>`, "responses to its requests");
  switch (role) {
    case "node":
      return {
        publish: [
          vital(leaseSubject(clusterId), "the lease: compare-and-set, release"),
          ...reading(clusterId),
          ...(options.createBucket === true ? creating(streamName(clusterId), "the bucket") : []),
          ...detecting(clusterId, options.watchConsumer === true),
          useful(ALL_BEATS, "beats: signs of life to its server"),
          ...(options.history === true ? recording(clusterId, options.createBucket === true) : []),
          asking(clusterId, "status", "another process with its node id; why a successor refuses"),
          useful(
            `${serviceName(clusterId)}.control.*.candidate`,
            "whether the successor of a handover can lead",
          ),
          answering(clusterId),
        ],
        subscribe: [
          inbox,
          ...watching(clusterId),
          useful(consumerDeletedAdvisory(`${streamName(clusterId)}.*`), "suspicion: presence deleted"),
          useful(ALL_BEATS, "its own beats; suspicion: the leader's are missing"),
          ...serving(clusterId, nodeId ?? "*"),
          useful(`${serviceName(clusterId)}.control.${nodeId ?? "*"}.*`, "handover, step-down, compete"),
          ...discovery(clusterId, "discovery of its micro service"),
          hearing(clusterId, `node.${nodeId ?? "*"}`, "responses of other nodes"),
          hearing(clusterId, "client", "the same, to commands with these credentials"),
        ],
        inboxPrefix,
      };
    case "observer":
      return {
        publish: [
          ...reading(clusterId),
          ...(nodeId === undefined
            ? []
            : [
                useful(`${serviceName(clusterId)}.status.${nodeId}`, "another process with its node id"),
                answering(clusterId),
              ]),
        ],
        subscribe: [
          inbox,
          ...watching(clusterId),
          ...(nodeId === undefined
            ? []
            : [
                ...serving(clusterId, nodeId),
                ...discovery(clusterId, "discovery of its micro service"),
                hearing(clusterId, `node.${nodeId}`, "responses of another process with its node id"),
              ]),
        ],
        inboxPrefix,
      };
    case "operator":
      return {
        publish: [...reading(clusterId), ...operating(clusterId)],
        subscribe: [
          inbox,
          ...watching(clusterId),
          hearing(clusterId, "client", "responses of nodes; nats micro with this inbox prefix"),
        ],
        inboxPrefix,
      };
    case "administrator":
      return {
        publish: administrating(clusterId),
        subscribe: [inbox],
        inboxPrefix,
      };
    default:
      throw new ClusterError(
        "INVALID_CONFIG",
        `role is "${String(role satisfies never)}": it must be one of ${PERMISSION_ROLES.join(", ")}`,
      );
  }
}

function vital(subject: string, purpose: string): Grant {
  return { subject, purpose, vital: true };
}

function useful(subject: string, purpose: string): Grant {
  return { subject, purpose, vital: false };
}

function reading(clusterId: string): Grant[] {
  const stream = streamName(clusterId);
  return [
    vital(`$JS.API.STREAM.INFO.${stream}`, "the bucket's configuration and state"),
    vital(`$JS.API.STREAM.MSG.GET.${stream}`, "the lease, from the stream leader"),
  ];
}

function creating(stream: string, what: string): Grant[] {
  return [
    vital(`$JS.API.STREAM.CREATE.${stream}`, `create ${what}`),
    useful(`$JS.API.STREAM.UPDATE.${stream}`, `change ${what}, such as to add republish`),
  ];
}

/**
 * Without any one of these a node still works, and crashes are detected later (docs/security.md). The subject names the consumer's filter,
 * and the server rejects a request whose body has another: no message is ever published to the filter of
 * a presence consumer, so none is delivered to wherever its deliver subject points.
 */
function detecting(clusterId: string, watchConsumer: boolean): Grant[] {
  const create = `$JS.API.CONSUMER.CREATE.${streamName(clusterId)}.*`;
  return [
    useful(`${create}.$KV.${bucketName(clusterId)}.presence.*`, "presence"),
    ...(watchConsumer
      ? [useful(`${create}.${leaseSubject(clusterId)}`, "watch a bucket without republish")]
      : []),
    useful(CONNECTIONS_PING, "whether the leader's connection is closed"),
  ];
}

function recording(clusterId: string, create: boolean): Grant[] {
  const stream = historyStream(clusterId);
  return [
    useful(historySubject(clusterId), "record past terms"),
    useful(`$JS.API.STREAM.INFO.${stream}`, "whether the stream of past terms exists"),
    ...(create ? [useful(`$JS.API.STREAM.CREATE.${stream}`, "create the stream of past terms")] : []),
  ];
}

function asking(clusterId: string, endpoint: "status" | "ping", purpose: string): Grant {
  return useful(`${serviceName(clusterId)}.${endpoint}.*`, purpose);
}

/**
 * Never `allow_responses`: a user that may publish to a subject that it also hears can then name any reply subject, and publish to
 * that (measured on 2.9.10 and 2.15.1).
 */
function answering(clusterId: string): Grant {
  return useful(`${repliesTo(clusterId)}.>`, "its responses");
}

function hearing(clusterId: string, asker: string, purpose: string): Grant {
  return useful(`${repliesTo(clusterId)}.${asker}.>`, purpose);
}

function watching(clusterId: string): Grant[] {
  return [
    useful(republishSubject(clusterId), "committed writes of the lease"),
    useful(streamDeletedAdvisory(streamName(clusterId)), "deletion of the bucket"),
  ];
}

function serving(clusterId: string, nodeId: string): Grant[] {
  const service = serviceName(clusterId);
  return [
    useful(`${service}.status.${nodeId}`, "its status"),
    useful(`${service}.ping.${nodeId}`, "its wall clock"),
  ];
}

/**
 * To all services, to those of the cluster, and to one instance. The verbs are listed, because a user that may subscribe to
 * `$SRV.*` may also subscribe to `$SRV.>` (measured on 2.9.10 and 2.15.1): a last token `*` only where nothing is below it.
 */
function discovery(clusterId: string, purpose: string): Grant[] {
  const service = serviceName(clusterId);
  return ["PING", "INFO", "STATS"].flatMap((verb) =>
    [`$SRV.${verb}`, `$SRV.${verb}.${service}`, `$SRV.${verb}.${service}.*`].map((subject) =>
      useful(subject, purpose),
    ),
  );
}

function operating(clusterId: string): Grant[] {
  const service = serviceName(clusterId);
  const history = historyStream(clusterId);
  return [
    useful(`$JS.API.STREAM.INFO.${history}`, "past terms, where a daemon records them"),
    useful(`$JS.API.STREAM.MSG.GET.${history}`, "past terms"),
    asking(clusterId, "status", "nodes' status"),
    asking(clusterId, "ping", "nodes' wall clocks"),
    vital(`${service}.control.*.stepdown`, "step-downs and handovers"),
    useful(`${service}.control.*.compete`, "leave, join, promote without a leader"),
    ...discovery(clusterId, "nats-leader nodes; nats micro"),
  ];
}

function administrating(clusterId: string): Grant[] {
  const streams = [
    [streamName(clusterId), "the bucket"],
    [historyStream(clusterId), "the stream of past terms"],
  ] as const;
  return [
    useful("$JS.API.INFO", "limits of the account"),
    ...streams.flatMap(([stream, what]) => [
      vital(`$JS.API.STREAM.INFO.${stream}`, `read the configuration of ${what}`),
      vital(`$JS.API.STREAM.CREATE.${stream}`, `create ${what}`),
      vital(`$JS.API.STREAM.UPDATE.${stream}`, `change ${what}`),
      vital(`$JS.API.STREAM.DELETE.${stream}`, `delete ${what}, while no node runs`),
    ]),
    useful(
      `$JS.API.STREAM.MSG.GET.${historyStream(clusterId)}`,
      "past terms: a new bucket begins behind their epochs",
    ),
    useful(`$JS.API.CONSUMER.NAMES.${streamName(clusterId)}`, "list consumers of the bucket"),
    useful(`$JS.API.CONSUMER.LIST.${streamName(clusterId)}`, "list consumers of the bucket"),
    useful(`$JS.API.CONSUMER.INFO.${streamName(clusterId)}.*`, "one of them"),
    useful(`$JS.API.CONSUMER.DELETE.${streamName(clusterId)}.*`, "delete one"),
  ];
}

function requireId(name: string, id: string): void {
  if (/^[A-Za-z0-9_-]{1,64}$/.test(id)) return;
  throw new ClusterError(
    "INVALID_CONFIG",
    `${name} is ${JSON.stringify(id)}: it must be 1 to 64 of the characters A-Z a-z 0-9 _ -`,
  );
}

function requireDomain(domain: string): void {
  if (DOMAIN.test(domain)) return;
  throw new ClusterError(
    "INVALID_CONFIG",
    `domain is ${JSON.stringify(domain)}: it must be 1 to 64 printable ASCII characters other than . * >`,
  );
}

function requirePrefix(prefix: string): void {
  if (/^[^\s.*>"]+(\.[^\s.*>"]+)*$/.test(prefix)) return;
  throw new ClusterError(
    "INVALID_CONFIG",
    `inboxPrefix is ${JSON.stringify(prefix)}: it must be a subject without wildcards, spaces and quotes`,
  );
}
