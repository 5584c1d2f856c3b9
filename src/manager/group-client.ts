/** Access to the groups of an account from outside, for the command line. It never joins a group and never writes to its bucket. */
import type { Msg } from "@nats-io/transport-node";
import { ClusterError } from "../errors.ts";
import type { GroupEntry } from "../group/core/types.ts";
import { printable } from "../log/printable.ts";
import { callApi, isJsError, JsCode, parseObject } from "../nats/api/js-api.ts";
import { jsonBody, RequestFailure, request } from "../nats/api/request.ts";
import { readBulk } from "../nats/group/bulk-read.ts";
import { groupRepublish } from "../nats/group/group-bucket.ts";
import { decodeEntry } from "../nats/group/group-codec.ts";
import { decodeKey } from "../nats/group/group-keys.ts";
import {
  groupBucketName,
  groupStreamName,
  groupSubject,
  memberControlSubject,
  newMemberReplySubject,
} from "../nats/names.ts";
import { accountIds } from "./account-ids.ts";
import type { ClusterClient } from "./cluster-client.ts";
import { commandError } from "./command-error.ts";

/** An entry, and when the server stored it: Unix milliseconds by its clock. */
export interface StoredEntry {
  readonly entry: GroupEntry;
  readonly at: number;
}

/** What is in the bucket of a group. */
export interface GroupContent {
  /** Creation time of the bucket's stream, as the server writes it. */
  readonly created: string;
  /** The last message of every key, by subject. */
  readonly entries: ReadonlyMap<string, StoredEntry>;
  /** Everything up to this sequence is in it. */
  readonly upTo: number;
  /** The time at which it was read: by the server's clock if its answers contain it (2.10 and later), else by this one's. */
  readonly now: number;
}

/** What has changed in the bucket of a group since an earlier read; after none, or of another bucket: everything. */
export interface GroupUpdate extends GroupContent {
  /** Whether `entries` are everything that is in the bucket. */
  readonly whole: boolean;
}

/**
 * Reads everything that is in the bucket, or what has changed since `before`.
 *
 * @returns `null`: the bucket does not exist.
 * @throws ClusterError
 */
export async function readGroup(
  client: ClusterClient,
  groupId: string,
  before: GroupContent | null = null,
): Promise<GroupContent | null> {
  const update = await readGroupUpdate(client, groupId, before);
  if (update === null) return null;
  const { created, upTo, now, whole, entries } = update;
  if (whole || before === null) return { created, entries, upTo, now };
  return { created, entries: new Map([...before.entries, ...entries]), upTo, now };
}

/** As `readGroup()`, without what has not changed. */
export async function readGroupUpdate(
  client: ClusterClient,
  groupId: string,
  before: Pick<GroupContent, "created" | "upTo"> | null,
): Promise<GroupUpdate | null> {
  const { monitor, timeoutMs } = client;
  const stream = groupStreamName(groupId);
  const prefix = groupSubject(groupId, "");
  try {
    const info = await callApi(monitor, `STREAM.INFO.${stream}`, {}, { timeoutMs });
    const created = String(info["created"] ?? "");
    const stated = Date.parse(String(info["ts"] ?? ""));
    const known = before?.created === created ? before : null;
    const entries = new Map<string, StoredEntry>();
    const upTo = await readBulk(monitor, {
      stream,
      filter: groupRepublish(groupId).src,
      after: known?.upTo ?? 0,
      timeoutMs,
      signal: new AbortController().signal,
      created: () => {},
      message: (message, revision) => {
        const stored = storedEntry(message, revision, prefix);
        if (stored !== null) entries.set(message.subject, stored);
      },
    });
    const now = Number.isNaN(stated) ? Date.now() : stated;
    return { created, entries, upTo, now, whole: known === null };
  } catch (thrown) {
    if (isJsError(thrown, JsCode.streamNotFound)) return null;
    throw commandError(client.monitor, thrown, `read bucket ${groupBucketName(groupId)}`, { groupId });
  }
}

/** `null`: not a key of a group. */
function storedEntry(message: Msg, revision: number, prefix: string): StoredEntry | null {
  const key = message.subject.startsWith(prefix) ? decodeKey(message.subject.slice(prefix.length)) : null;
  if (key === null) return null;
  const { data, headers } = message;
  const entry = decodeEntry(key, { revision, data, header: (name) => headers?.get(name) ?? "" });
  return { entry, at: storedAt(message.reply) };
}

const NANOS_PER_MS = 1_000_000n;

/** The time in the reply subject of a message from a consumer: the token before the last one that counts, in nanoseconds. */
function storedAt(reply: string | undefined): number {
  const tokens = reply?.split(".") ?? [];
  const time = tokens[tokens.length === 9 ? 7 : 9] ?? "";
  return /^\d{1,20}$/.test(time) ? Number(BigInt(time) / NANOS_PER_MS) : Date.now();
}

/**
 * Ids of the groups that have a bucket in this account, in order.
 *
 * @throws ClusterError
 */
export async function groupIds(client: ClusterClient): Promise<string[]> {
  try {
    return (await accountIds(client)).groups;
  } catch (thrown) {
    throw commandError(client.monitor, thrown, "list the streams of this account", { groupId: "ID" });
  }
}

/** Of a reason that a member sends, more is not quoted. */
const MAX_REASON_LENGTH = 500;

/**
 * Sends a request to a member. Resolves when the member has begun.
 *
 * @throws ClusterError `NO_CONNECTION` if it does not answer, `HANDOVER_REFUSED` if it refuses.
 */
export async function askMember(
  client: ClusterClient,
  groupId: string,
  memberId: string,
  what: "drain" | "rejoin" | "move",
  body: object = {},
): Promise<void> {
  const { monitor, timeoutMs } = client;
  const subject = memberControlSubject(groupId, memberId, what);
  const member = `member "${memberId}" of group "${groupId}"`;
  try {
    const reply = newMemberReplySubject(groupId);
    const answer = parseObject((await request(monitor, subject, jsonBody(body), { timeoutMs, reply })).data);
    if (answer?.["ok"] === true) return;
    const reason =
      answer === null ? "its answer is not a JSON object" : String(answer["error"] ?? "no reason given");
    throw new ClusterError("HANDOVER_REFUSED", `${member} refused: ${printable(reason, MAX_REASON_LENGTH)}`);
  } catch (thrown) {
    if (thrown instanceof ClusterError) throw thrown;
    const kind = thrown instanceof RequestFailure ? thrown.kind : null;
    const hint = `"nats-leader group ${groupId}" lists the members`;
    if (kind === "no-responders")
      throw new ClusterError("NO_CONNECTION", `no process answers as ${member}; ${hint}`, {
        recoverable: true,
      });
    if (kind === "timeout") {
      const waited = `${member} did not answer within ${Math.round(timeoutMs)} ms; what was requested may still happen; ${hint}`;
      throw new ClusterError("NO_CONNECTION", waited, { recoverable: true });
    }
    throw commandError(client.monitor, thrown, `send a request to ${subject}`, { groupId });
  }
}
