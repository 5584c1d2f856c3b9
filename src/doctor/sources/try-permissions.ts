/**
 * Which permissions a user lacks, found by trying. Nothing is written: see `roles.ts` for how. The lease itself is never
 * tried; where the server tells a user its own permissions (2.10 and later) they say whether it could be written.
 */
import { randomBytes } from "node:crypto";
import { type JsonObject, parseObject } from "../../nats/api/js-api.ts";
import { RequestFailure, request } from "../../nats/api/request.ts";
import { flushed } from "../../nats/connection/connection.ts";
import type { ConnectionMonitor } from "../../nats/connection/connection-monitor.ts";
import { PERMISSION_ROLES, type PermissionRole } from "../../nats/permissions.ts";
import type { BucketFacts, PermissionFacts, TriedPermission } from "../facts.ts";
import { objectIn, textsIn } from "./json.ts";
import { type WantedPermission, wantedBy } from "./roles.ts";

const USER_INFO = "$SYS.REQ.USER.INFO";
/** Who is refused hears of it at once; this is for answers. */
const ANSWER_MS = 1_000;

export interface Candidate {
  readonly clusterId: string;
  readonly nodeId: string | null;
  readonly bucket: BucketFacts | null;
  /** `null`: the one that it lacks least for. */
  readonly role: PermissionRole | null;
}

export async function tryPermissions(monitor: ConnectionMonitor, who: Candidate): Promise<PermissionFacts> {
  const unique = `doctor_${randomBytes(6).toString("hex")}`;
  const roles = who.role === null ? PERMISSION_ROLES : [who.role];
  const info = await userInfo(monitor);
  const known = new Map<string, Promise<boolean | null>>();
  const allowed = (wanted: WantedPermission): Promise<boolean | null> => {
    const key = `${wanted.direction} ${wanted.probe}`;
    const tried = known.get(key) ?? tryOne(monitor, wanted, info);
    known.set(key, tried);
    return tried;
  };
  const found = await Promise.all(
    roles.map(async (role): Promise<PermissionFacts> => {
      const wanted = wantedBy(role, { ...who, unique });
      const tried = await Promise.all(
        wanted.map(async (one): Promise<TriedPermission> => {
          const { direction, subject, purpose, vital } = one;
          return { direction, subject, purpose, vital, allowed: await allowed(one) };
        }),
      );
      return { role, tried };
    }),
  );
  const lacks = ({ tried }: PermissionFacts): number => tried.filter((one) => one.allowed === false).length;
  const [best] = [...found].sort((a, b) => lacks(a) - lacks(b));
  if (best === undefined) throw new Error("bug: no role");
  return best;
}

function tryOne(
  monitor: ConnectionMonitor,
  wanted: WantedPermission,
  info: JsonObject | null,
): Promise<boolean | null> {
  if (wanted.direction === "subscribe") return maySubscribe(monitor, wanted.probe);
  if (wanted.way === "never") return Promise.resolve(info === null ? null : mayPublish(info, wanted.probe));
  return publishes(monitor, wanted.probe, wanted.way === "garbage" ? "not JSON" : "");
}

/** `null` when the server does not say, or this user may not ask. */
async function userInfo(monitor: ConnectionMonitor): Promise<JsonObject | null> {
  try {
    const answer = await request(monitor, USER_INFO, new Uint8Array(0), { timeoutMs: ANSWER_MS });
    return objectIn(parseObject(answer.data), "data");
  } catch {
    return null;
  }
}

/** What the user's own permissions say. Without any, everything is allowed. */
export function mayPublish(info: JsonObject, subject: string): boolean {
  const permissions = objectIn(objectIn(info, "permissions"), "publish");
  const covered = (field: string): boolean =>
    textsIn(permissions, field).some((pattern) => covers(pattern, subject));
  if (covered("deny")) return false;
  return textsIn(permissions, "allow").length === 0 || covered("allow");
}

/** Does a subject with wildcards match one without? */
export function covers(pattern: string, subject: string): boolean {
  const wanted = pattern.split(".");
  const tokens = subject.split(".");
  for (const [index, token] of wanted.entries()) {
    if (token === ">") return tokens.length > index;
    if (tokens[index] === undefined || (token !== "*" && token !== tokens[index])) return false;
  }
  return wanted.length === tokens.length;
}

/** Not the question was refused, but the right to hear answers. */
export function isInboxRefused(thrown: unknown): boolean {
  return thrown instanceof RequestFailure && /Subscription to/i.test(thrown.message);
}

/** `null`: no answer and no refusal, or the inbox was refused, which says nothing about the subject. */
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
 * Subscribed and given up in one breath, so that nobody's request comes here. The server has refused before it answers the
 * ping of the flush.
 */
async function maySubscribe(monitor: ConnectionMonitor, subject: string): Promise<boolean | null> {
  let denied = false;
  const unlisten = monitor.listen((change) => {
    if (change.type === "denied" && change.subject === subject) denied = true;
  });
  try {
    monitor.connection.subscribe(subject, { callback: () => {} }).unsubscribe();
    await flushed(monitor.connection);
    // The refusal is an event, which arrives a turn later than the flush.
    await new Promise((resolve) => setImmediate(resolve));
    return monitor.connected ? !denied : null;
  } finally {
    unlisten();
  }
}
