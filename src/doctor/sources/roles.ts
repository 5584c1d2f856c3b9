/** What the roles of `examples/permissions` need, and how each can be tried without changing anything. */
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
 * How a right to publish is tried.
 * - `read`: a question that changes nothing.
 * - `garbage`: a request whose body is not JSON, which the server refuses to read before it does anything.
 * - `never`: only doing it would tell.
 */
type Way = "read" | "garbage" | "never";

export interface WantedPermission extends Omit<TriedPermission, "allowed"> {
  /** A subject that `subject` covers, where nobody listens if that can be. */
  readonly probe: string;
  readonly way: Way;
}

export interface Who {
  readonly clusterId: string;
  /** `null`: any node's. */
  readonly nodeId: string | null;
  readonly bucket: BucketFacts | null;
  /** A word nobody else uses. */
  readonly unique: string;
}

export function wantedBy(role: PermissionRole, who: Who): WantedPermission[] {
  const wanted = [...reading(who), ...answering(role, who)];
  if (role === "node") return [...wanted, ...leading(who)];
  return role === "operator" ? [...wanted, ...operating(who)] : wanted;
}

function publish(
  subject: string,
  probe: string,
  way: Way,
  vital: boolean,
  purpose: string,
): WantedPermission {
  return { direction: "publish", subject, probe, way, vital, purpose };
}

function subscribe(subject: string, probe: string, vital: boolean, purpose: string): WantedPermission {
  return { direction: "subscribe", subject, probe, way: "read", vital, purpose };
}

function reading({ clusterId, unique }: Who): WantedPermission[] {
  const stream = streamName(clusterId);
  const info = `$JS.API.STREAM.INFO.${stream}`;
  const get = `$JS.API.STREAM.MSG.GET.${stream}`;
  const republish = republishSubject(clusterId);
  const deleted = streamDeletedAdvisory(stream);
  const status = `${serviceName(clusterId)}.status.*`;
  return [
    publish(info, info, "read", true, "reading the bucket"),
    publish(get, get, "read", true, "reading the lease"),
    publish(status, statusSubject(clusterId, unique), "read", false, "asking other nodes how they are"),
    subscribe(republish, republish, false, "hearing of committed writes at once"),
    subscribe(deleted, deleted, false, "hearing that the bucket was deleted"),
  ];
}

function answering(role: PermissionRole, { clusterId, nodeId, unique }: Who): WantedPermission[] {
  if (role === "operator") return [];
  const service = serviceName(clusterId);
  // A single node's user may answer in its own name alone. The probe is subscribed and given up in one breath.
  const id = nodeId ?? unique;
  const all = nodeId === null ? `${service}.>` : `${service}.status.${nodeId}`;
  return [
    subscribe(all, statusSubject(clusterId, id), false, "answering status requests"),
    subscribe("$SRV.>", `$SRV.PING.${service}.${unique}`, false, "being found by `nats-leader nodes`"),
  ];
}

function leading({ clusterId, bucket, unique }: Who): WantedPermission[] {
  const stream = streamName(clusterId);
  const lease = leaseSubject(clusterId);
  const create = `$JS.API.CONSUMER.CREATE.${stream}`;
  const remove = `$JS.API.CONSUMER.DELETE.${stream}`;
  const deaths = consumerDeletedAdvisory(`${stream}.*`);
  const presence = "noticing a dead leader in milliseconds";
  const filter = `$KV.${bucketName(clusterId)}.${unique}`;
  return [
    publish(lease, lease, "never", true, "writing the lease"),
    ...making(stream, bucket),
    publish(`${create}.>`, `${create}.${unique}.${filter}`, "garbage", false, presence),
    publish(`${remove}.*`, `${remove}.${unique}`, "read", false, presence),
    publish(CONNECTIONS_PING, CONNECTIONS_PING, "read", false, presence),
    subscribe(deaths, consumerDeletedAdvisory(`${stream}.${unique}`), false, presence),
  ];
}

/** Not needed where the bucket exists as it should be. */
function making(stream: string, bucket: BucketFacts | null): WantedPermission[] {
  if (bucket === null || (bucket.exists && bucket.republish)) return [];
  const [create, update] = [`$JS.API.STREAM.CREATE.${stream}`, `$JS.API.STREAM.UPDATE.${stream}`];
  if (bucket.exists) return [publish(update, update, "garbage", false, "adding `republish` to the bucket")];
  return [publish(create, create, "garbage", true, "making the bucket")];
}

function operating({ clusterId, unique }: Who): WantedPermission[] {
  const service = serviceName(clusterId);
  const info = `$SRV.INFO.${service}`;
  return [
    publish(`${service}.ping.*`, pingSubject(clusterId, unique), "read", false, "reading the nodes' clocks"),
    publish(
      `${service}.control.>`,
      stepdownSubject(clusterId, unique),
      "read",
      true,
      "step-downs and handovers",
    ),
    publish(info, info, "read", true, "finding the nodes"),
    publish(
      `$SRV.STATS.${service}.*`,
      `$SRV.STATS.${service}.${unique}`,
      "read",
      false,
      "telling apart nodes with one id",
    ),
  ];
}
