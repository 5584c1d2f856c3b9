/** How each permission of a role is tried without an effect. The permissions themselves are those of `grantsFor()`. */
import {
  groupStreamName,
  groupSubject,
  historyStream,
  leaseSubject,
  serviceName,
  streamName,
} from "../../nats/names.ts";
import {
  type Grant,
  type GroupPermissionRole,
  grantsFor,
  groupGrantsFor,
  type PermissionRole,
} from "../../nats/permissions.ts";
import type { BucketFacts, TriedPermission } from "../facts.ts";

/**
 * How a permission to publish is tried.
 * - `read`: a request without an effect.
 * - `garbage`: a request whose body is not JSON, which the server rejects before any effect.
 * - `never`: not tried, since every request has an effect.
 */
type Trial = "read" | "garbage" | "never";

export interface WantedPermission extends Omit<TriedPermission, "allowed"> {
  /** A subject that `subject` covers, without subscribers if possible. */
  readonly probe: string;
  readonly trial: Trial;
}

export interface RoleContext {
  readonly clusterId: string;
  /** `null`: permissions for every node id. */
  readonly nodeId: string | null;
  readonly bucket: BucketFacts | null;
  /** The micro service is switched off: its permissions are not needed. */
  readonly withoutService?: boolean;
  /** A token that no other client uses. */
  readonly unique: string;
}

/**
 * Of a node, the permissions for a bucket that exists, and to watch it by a consumer only if it does not republish. None to create
 * the bucket, which an administrator may do, and none to record past terms, which only some daemons need. Of every role, all but
 * the inbox, without which nothing could be tried.
 */
export function wantedBy(role: PermissionRole, context: RoleContext): WantedPermission[] {
  const { clusterId, withoutService = false } = context;
  const nodeId = nodeIdFor(role, context);
  const { publish, subscribe, inboxPrefix } = grantsFor({
    clusterId,
    role,
    ...(nodeId === null ? {} : { nodeId }),
    watchConsumer: needsConsumer(role, context),
  });
  const service = [`${serviceName(clusterId)}.`, "$SRV."];
  const untried = [`${inboxPrefix}.`, ...(withoutService ? service : [])];
  const isTried = ({ subject }: Grant): boolean => !untried.some((start) => subject.startsWith(start));
  return [
    ...publish.map((one) => wanted("publish", one, context)),
    ...subscribe.filter(isTried).map((one) => wanted("subscribe", one, context)),
  ];
}

/** As `wantedBy()`, of a role of a group. */
export function wantedInGroup(
  role: GroupPermissionRole,
  groupId: string,
  unique: string,
): WantedPermission[] {
  const { publish, subscribe, inboxPrefix } = groupGrantsFor({ groupId, role });
  const stream = groupStreamName(groupId);
  const trial = (subject: string): Trial => {
    if (subject.startsWith(groupSubject(groupId, ""))) return "never";
    return subject === `$JS.API.STREAM.DELETE.${stream}` ? "never" : apiTrialOf(subject);
  };
  const own = ({ subject }: Grant): boolean => !subject.startsWith(`${inboxPrefix}.`);
  return [
    ...publish.map((one) => wantedAs("publish", one, unique, trial(one.subject))),
    ...subscribe.filter(own).map((one) => wantedAs("subscribe", one, unique, "read")),
  ];
}

/** What clients of a bucket need, those of NATS itself and nats.js alike. */
export function wantedForBucket(bucket: string, readOnly: boolean, unique: string): WantedPermission[] {
  const stream = `KV_${bucket}`;
  const one = (subject: string, purpose: string, vital: boolean, trial: Trial): WantedPermission =>
    wantedAs("publish", { subject, purpose, vital }, unique, trial);
  return [
    one(`$JS.API.STREAM.INFO.${stream}`, "opening the bucket", true, "read"),
    one(`$JS.API.DIRECT.GET.${stream}.>`, "reading a key", true, "read"),
    one(`$JS.API.STREAM.MSG.GET.${stream}`, "reading a key at a revision", false, "garbage"),
    one(`$JS.API.CONSUMER.CREATE.${stream}.>`, "watching keys, and listing them", true, "garbage"),
    one(`$JS.API.CONSUMER.INFO.${stream}.*`, "watching keys", false, "read"),
    one(`$JS.API.CONSUMER.DELETE.${stream}.*`, "ending a watch at once", false, "read"),
    one(`$JS.FC.${stream}.>`, "watching many keys: flow control", false, "read"),
    ...(readOnly ? [] : [one(`$KV.${bucket}.>`, "writing and deleting keys", true, "never")]),
  ];
}

export function groupPermissionsCommand(
  role: GroupPermissionRole,
  groupId: string,
  domain: string | null,
): string {
  const where = domain === null ? "" : ` --domain ${shellWord(domain)}`;
  return `nats-leader permissions ${role} --group ${groupId}${where}`;
}

/** The command that prints the permissions of `wantedBy()`, and the inbox. */
export function permissionsCommand(
  role: PermissionRole,
  context: Omit<RoleContext, "unique"> & { readonly domain: string | null },
): string {
  const nodeId = nodeIdFor(role, context);
  const words = [
    `nats-leader permissions ${role} --cluster-id ${context.clusterId}`,
    ...(nodeId === null ? [] : [`--node-id ${nodeId}`]),
    ...(needsConsumer(role, context) ? ["--watch-consumer"] : []),
    ...(context.domain === null ? [] : [`--domain ${shellWord(context.domain)}`]),
  ];
  return words.join(" ");
}

type Which = Pick<RoleContext, "nodeId" | "bucket" | "withoutService">;

/** An observer without micro service has the permissions of one without node id. Only nodes and observers serve an id. */
function nodeIdFor(role: PermissionRole, { nodeId, withoutService = false }: Which): string | null {
  if (role === "node") return nodeId;
  return role === "observer" && !withoutService ? nodeId : null;
}

function needsConsumer(role: PermissionRole, { bucket }: Which): boolean {
  return role === "node" && bucket?.exists === true && !bucket.republish;
}

/** A domain may contain any printable character. */
function shellWord(text: string): string {
  return /^[\w-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function wanted(
  direction: WantedPermission["direction"],
  grant: Grant,
  context: RoleContext,
): WantedPermission {
  const trial = direction === "subscribe" ? "read" : trialOf(grant.subject, context.clusterId);
  return wantedAs(direction, grant, context.unique, trial);
}

function wantedAs(
  direction: WantedPermission["direction"],
  { subject, purpose, vital }: Grant,
  unique: string,
  trial: Trial,
): WantedPermission {
  const probe = subject
    .split(".")
    .map((token) => (token === "*" || token === ">" ? unique : token))
    .join(".");
  return { direction, subject, purpose, vital, probe, trial };
}

function trialOf(subject: string, clusterId: string): Trial {
  if (subject === leaseSubject(clusterId)) return "never";
  const streams = [streamName(clusterId), historyStream(clusterId)];
  // A delete needs no body, so that every request has an effect.
  if (streams.some((stream) => subject === `$JS.API.STREAM.DELETE.${stream}`)) return "never";
  return apiTrialOf(subject);
}

function apiTrialOf(subject: string): Trial {
  return /^\$JS\.API\.(STREAM\.(CREATE|UPDATE)|CONSUMER\.CREATE)\./.test(subject) ? "garbage" : "read";
}
