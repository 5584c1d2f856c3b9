/** How each permission of a role is tried without an effect. The permissions themselves are those of `grantsFor()`. */
import { historyStream, leaseSubject, serviceName, streamName } from "../../nats/names.ts";
import { type Grant, grantsFor, type PermissionRole } from "../../nats/permissions.ts";
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
  { subject, purpose, vital }: Grant,
  context: RoleContext,
): WantedPermission {
  const probe = subject
    .split(".")
    .map((token) => (token === "*" || token === ">" ? context.unique : token))
    .join(".");
  const trial = direction === "subscribe" ? "read" : trialOf(subject, context.clusterId);
  return { direction, subject, purpose, vital, probe, trial };
}

function trialOf(subject: string, clusterId: string): Trial {
  if (subject === leaseSubject(clusterId)) return "never";
  const streams = [streamName(clusterId), historyStream(clusterId)];
  // A delete needs no body, so that every request has an effect.
  if (streams.some((stream) => subject === `$JS.API.STREAM.DELETE.${stream}`)) return "never";
  return /^\$JS\.API\.(STREAM\.(CREATE|UPDATE)|CONSUMER\.CREATE)\./.test(subject) ? "garbage" : "read";
}
