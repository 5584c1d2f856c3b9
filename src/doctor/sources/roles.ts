/** The permissions that the roles of `examples/permissions` need, and how to try each of them without an effect. */
import {
  bucketName,
  CONNECTIONS_PING,
  consumerDeletedAdvisory,
  leaseSubject,
  pingSubject,
  republishSubject,
  serviceName,
  statusSubject,
  stepdownSubject,
  streamDeletedAdvisory,
  streamName,
} from "../../nats/names.ts";
import type { PermissionRole } from "../../nats/permissions.ts";
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
  /** A token that no other client uses. */
  readonly unique: string;
}

export function wantedBy(role: PermissionRole, who: RoleContext): WantedPermission[] {
  const wanted = [...reading(who), ...answering(role, who)];
  if (role === "node") return [...wanted, ...leading(who)];
  return role === "operator" ? [...wanted, ...operating(who)] : wanted;
}

function publish(
  subject: string,
  probe: string,
  trial: Trial,
  vital: boolean,
  purpose: string,
): WantedPermission {
  return { direction: "publish", subject, probe, trial, vital, purpose };
}

function subscribe(subject: string, probe: string, vital: boolean, purpose: string): WantedPermission {
  return { direction: "subscribe", subject, probe, trial: "read", vital, purpose };
}

function reading({ clusterId, unique }: RoleContext): WantedPermission[] {
  const stream = streamName(clusterId);
  const info = `$JS.API.STREAM.INFO.${stream}`;
  const get = `$JS.API.STREAM.MSG.GET.${stream}`;
  const republish = republishSubject(clusterId);
  const deleted = streamDeletedAdvisory(stream);
  const status = `${serviceName(clusterId)}.status.*`;
  return [
    publish(info, info, "read", true, "reading the bucket"),
    publish(get, get, "read", true, "reading the lease"),
    publish(status, statusSubject(clusterId, unique), "read", false, "querying the status of other nodes"),
    subscribe(republish, republish, false, "receiving committed writes immediately"),
    subscribe(deleted, deleted, false, "noticing that the bucket was deleted"),
  ];
}

function answering(role: PermissionRole, { clusterId, nodeId, unique }: RoleContext): WantedPermission[] {
  if (role === "operator") return [];
  const service = serviceName(clusterId);
  // The user of a single node may answer only under its own node id.
  const id = nodeId ?? unique;
  const all = nodeId === null ? `${service}.>` : `${service}.status.${nodeId}`;
  return [
    subscribe(all, statusSubject(clusterId, id), false, "answering status requests"),
    subscribe("$SRV.>", `$SRV.PING.${service}.${unique}`, false, "discovery by `nats-leader nodes`"),
  ];
}

function leading({ clusterId, bucket, unique }: RoleContext): WantedPermission[] {
  const stream = streamName(clusterId);
  const lease = leaseSubject(clusterId);
  const create = `$JS.API.CONSUMER.CREATE.${stream}`;
  const remove = `$JS.API.CONSUMER.DELETE.${stream}`;
  const deaths = consumerDeletedAdvisory(`${stream}.*`);
  const presence = "detecting a dead leader within milliseconds";
  const filter = `$KV.${bucketName(clusterId)}.${unique}`;
  return [
    publish(lease, lease, "never", true, "writing the lease"),
    ...creating(stream, bucket),
    publish(`${create}.>`, `${create}.${unique}.${filter}`, "garbage", false, presence),
    publish(`${remove}.*`, `${remove}.${unique}`, "read", false, presence),
    publish(CONNECTIONS_PING, CONNECTIONS_PING, "read", false, presence),
    subscribe(deaths, consumerDeletedAdvisory(`${stream}.${unique}`), false, presence),
  ];
}

/** Needed only if the bucket does not exist or must be updated. */
function creating(stream: string, bucket: BucketFacts | null): WantedPermission[] {
  if (bucket === null || (bucket.exists && bucket.republish)) return [];
  const [create, update] = [`$JS.API.STREAM.CREATE.${stream}`, `$JS.API.STREAM.UPDATE.${stream}`];
  if (bucket.exists) return [publish(update, update, "garbage", false, "adding `republish` to the bucket")];
  return [publish(create, create, "garbage", true, "creating the bucket")];
}

function operating({ clusterId, unique }: RoleContext): WantedPermission[] {
  const service = serviceName(clusterId);
  const info = `$SRV.INFO.${service}`;
  return [
    publish(
      `${service}.ping.*`,
      pingSubject(clusterId, unique),
      "read",
      false,
      "reading the clocks of the nodes",
    ),
    publish(
      `${service}.control.>`,
      stepdownSubject(clusterId, unique),
      "read",
      true,
      "step-downs and handovers",
    ),
    publish(info, info, "read", true, "listing the nodes"),
    publish(
      `$SRV.STATS.${service}.*`,
      `$SRV.STATS.${service}.${unique}`,
      "read",
      false,
      "distinguishing nodes with the same node id",
    ),
  ];
}
