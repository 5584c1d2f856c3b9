/**
 * Finds missing permissions of a user by trying them without an effect (see `roles.ts`). Writing the lease is never tried:
 * servers from 2.10 report a user's permissions, which decide it.
 */
import { randomBytes } from "node:crypto";
import { type JsonObject, parseObject } from "../../nats/api/js-api.ts";
import { RequestFailure, request } from "../../nats/api/request.ts";
import { flushed } from "../../nats/connection/connection.ts";
import type { ConnectionMonitor } from "../../nats/connection/connection-monitor.ts";
import { inDomain } from "../../nats/names.ts";
import {
  GROUP_PERMISSION_ROLES,
  type GroupPermissionRole,
  PERMISSION_ROLES,
  type PermissionRole,
} from "../../nats/permissions.ts";
import type { BucketFacts, PermissionFacts, TriedPermission } from "../facts.ts";
import { objectIn, textsIn } from "./json.ts";
import {
  groupPermissionsCommand,
  permissionsCommand,
  type WantedPermission,
  wantedBy,
  wantedForBucket,
  wantedInGroup,
} from "./roles.ts";

const USER_INFO = "$SYS.REQ.USER.INFO";
/** For answers. Denials arrive faster. */
const ANSWER_MS = 1_000;

export interface PermissionQuery {
  readonly clusterId: string;
  readonly nodeId: string | null;
  readonly bucket: BucketFacts | null;
  /** `null`: the role with the fewest missing permissions. */
  readonly role: PermissionRole | null;
  /** The micro service is switched off: its permissions are not needed. */
  readonly withoutService?: boolean;
}

export async function tryPermissions(
  monitor: ConnectionMonitor,
  who: PermissionQuery,
): Promise<PermissionFacts> {
  const unique = uniqueToken();
  const roles = who.role === null ? PERMISSION_ROLES : [who.role];
  return tryRoles(
    monitor,
    roles.map((role) => ({
      role,
      command: permissionsCommand(role, { ...who, domain: monitor.domain }),
      wanted: wantedBy(role, { ...who, unique }),
    })),
  );
}

/** As `tryPermissions()`, in a group. */
export async function tryGroupPermissions(
  monitor: ConnectionMonitor,
  groupId: string,
  role: GroupPermissionRole | null,
): Promise<PermissionFacts> {
  const unique = uniqueToken();
  const roles = role === null ? GROUP_PERMISSION_ROLES : [role];
  return tryRoles(
    monitor,
    roles.map((one) => ({
      role: one,
      command: groupPermissionsCommand(one, groupId, monitor.domain),
      wanted: wantedInGroup(one, groupId, unique),
    })),
  );
}

function uniqueToken(): string {
  return `doctor_${randomBytes(6).toString("hex")}`;
}

interface WantedRole extends Pick<PermissionFacts, "role" | "command"> {
  readonly wanted: readonly WantedPermission[];
}

/** The role with the fewest missing permissions. */
async function tryRoles(monitor: ConnectionMonitor, roles: readonly WantedRole[]): Promise<PermissionFacts> {
  const tryAll = await trier(monitor);
  const found = await Promise.all(
    roles.map(
      async ({ role, command, wanted }): Promise<PermissionFacts> => ({
        role,
        command,
        tried: await tryAll(wanted),
      }),
    ),
  );
  const lacks = ({ tried }: PermissionFacts): number => tried.filter((one) => one.allowed === false).length;
  const [best] = [...found].sort((a, b) => lacks(a) - lacks(b));
  if (best === undefined) throw new Error("bug: no role");
  return best;
}

/** What an application needs that uses the bucket. */
export async function tryBucketPermissions(
  monitor: ConnectionMonitor,
  bucket: string,
  readOnly: boolean,
): Promise<readonly TriedPermission[]> {
  const tryAll = await trier(monitor);
  return tryAll(wantedForBucket(bucket, readOnly, uniqueToken()));
}

/** Tries each permission once, also if several roles want it. */
async function trier(
  monitor: ConnectionMonitor,
): Promise<(wanted: readonly WantedPermission[]) => Promise<TriedPermission[]>> {
  const info = await userInfo(monitor);
  const known = new Map<string, Promise<boolean | null>>();
  const allowed = (wanted: WantedPermission): Promise<boolean | null> => {
    const key = `${wanted.direction} ${wanted.probe}`;
    const tried = known.get(key) ?? tryOne(monitor, wanted, info);
    known.set(key, tried);
    return tried;
  };
  return (wanted) =>
    Promise.all(
      wanted.map(async (one): Promise<TriedPermission> => {
        const { direction, purpose, vital } = one;
        const subject = direction === "publish" ? inDomain(one.subject, monitor.domain) : one.subject;
        return { direction, subject, purpose, vital, allowed: await allowed(one) };
      }),
    );
}

function tryOne(
  monitor: ConnectionMonitor,
  wanted: WantedPermission,
  info: JsonObject | null,
): Promise<boolean | null> {
  if (wanted.direction === "subscribe") return maySubscribe(monitor, wanted.probe);
  if (wanted.trial === "never")
    return Promise.resolve(info === null ? null : mayPublish(info, inDomain(wanted.probe, monitor.domain)));
  return publishes(monitor, wanted.probe, wanted.trial === "garbage" ? "not JSON" : "");
}

/** `null` if the server does not support it, or this user may not request it. */
async function userInfo(monitor: ConnectionMonitor): Promise<JsonObject | null> {
  try {
    const answer = await request(monitor, USER_INFO, new Uint8Array(0), { timeoutMs: ANSWER_MS });
    return objectIn(parseObject(answer.data), "data");
  } catch {
    return null;
  }
}

/** Evaluates the user's permissions. Without any, everything is allowed. */
export function mayPublish(info: JsonObject, subject: string): boolean {
  const permissions = objectIn(objectIn(info, "permissions"), "publish");
  const covered = (field: string): boolean =>
    textsIn(permissions, field).some((pattern) => covers(pattern, subject));
  if (covered("deny")) return false;
  return textsIn(permissions, "allow").length === 0 || covered("allow");
}

/** Whether a subject with wildcards matches a subject without. */
export function covers(pattern: string, subject: string): boolean {
  const wanted = pattern.split(".");
  const tokens = subject.split(".");
  for (const [index, token] of wanted.entries()) {
    if (token === ">") return tokens.length > index;
    if (tokens[index] === undefined || (token !== "*" && token !== tokens[index])) return false;
  }
  return wanted.length === tokens.length;
}

/** True if the subscription for answers was denied, not the request. */
export function isInboxRefused(thrown: unknown): boolean {
  return thrown instanceof RequestFailure && isSubscriptionRefused(thrown);
}

function isSubscriptionRefused({ message }: Error): boolean {
  return /Subscription to/i.test(message);
}

/** `null`: neither an answer nor a denial, or the inbox was denied, which does not decide about the subject. */
async function publishes(monitor: ConnectionMonitor, subject: string, text: string): Promise<boolean | null> {
  try {
    await request(monitor, subject, new TextEncoder().encode(text), { timeoutMs: ANSWER_MS });
    return true;
  } catch (thrown) {
    const kind = thrown instanceof RequestFailure ? thrown.kind : "failed";
    if (kind === "no-responders") return true;
    return kind === "denied" && !isInboxRefused(thrown) ? false : null;
  }
}

/**
 * Subscribes and unsubscribes at once, so that no request of another client is delivered here. The server sends a denial
 * before it answers the ping of the flush.
 */
async function maySubscribe(monitor: ConnectionMonitor, subject: string): Promise<boolean | null> {
  let denied = false;
  const unlisten = monitor.listen((change) => {
    // Publishing to the same subject may be tried at the same time.
    if (change.type === "denied" && change.subject === subject && isSubscriptionRefused(change.error))
      denied = true;
  });
  try {
    monitor.connection.subscribe(subject, { callback: () => {} }).unsubscribe();
    await flushed(monitor.connection);
    // The client emits the denial as an event, one turn after the flush.
    await new Promise((resolve) => setImmediate(resolve));
    return monitor.connected ? !denied : null;
  } finally {
    unlisten();
  }
}
