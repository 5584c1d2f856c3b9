/**
 * The lease on the wire (docs/wire.md): JSON under the key, headers on a delete marker. go-cluster reads and writes the same.
 *
 * Decoding never throws: a client that may write to the bucket can store anything, which must not stop a node.
 */

import { maxEpochAt } from "../../election/epochs.ts";
import type {
  LeaseEntry,
  LeaseRecord,
  LeaseWrite,
  SessionBinding,
  SilencePromise,
} from "../../election/types.ts";
import { messageOf } from "../../errors.ts";
import type { StoredMessage } from "../api/stored-message.ts";
import { isId, MAX_ID_LENGTH } from "../identity.ts";

const EPOCH_HEADER = "Nats-Leader-Epoch";
const INCARNATION_HEADER = "Nats-Leader-Incarnation";
const SUCCESSOR_HEADER = "Nats-Leader-Successor";
const OPERATION_HEADER = "KV-Operation";
/** Set by servers >= 2.11 on markers of their own, for expiry, purge and removal. */
const MARKER_HEADER = "Nats-Marker-Reason";

/** A record is about 400 bytes. A value above this limit is garbage and is not parsed. */
export const MAX_RECORD_BYTES: number = 16 * 1024;

/** `<stream>.<consumer>`: it becomes the end of a subject. NATS allows no longer names. */
const PRESENCE = /^[A-Za-z0-9_-]{1,255}\.[A-Za-z0-9_-]{1,255}$/;

/** `tagOf` an account. */
const ACCOUNT_TAG = /^[0-9a-f]{12}$/;

/** The end of the year 9999. Later times have no place in a table, and the latest are no dates for `Date`. */
export const MAX_ACQUIRED_AT: number = Date.UTC(9999, 11, 31, 23, 59, 59, 999);
/** A write per millisecond reaches it after 8 900 years. */
export const MAX_NONCE: number = 2 ** 48;
/** As option `leaseTtlMs`. A follower waits for the holder's TTL, so it must end. */
export const MAX_TTL_MS = 3_600_000;
/** A shorter silence would be promised for pauses that any process makes. */
export const MIN_SILENCE_MS = 500;

/** A message on the lease's subject, read or received. */
export interface LeaseMessage {
  readonly revision: number;
  readonly data: Uint8Array;
  /** A header's first value, `""` when it is missing. */
  header(name: string): string;
}

/** A message to write. */
export interface EncodedWrite {
  readonly data: Uint8Array;
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>;
}

/** The payload and headers of a write, without its expectation. */
export function encodeWrite(write: LeaseWrite): EncodedWrite {
  if (write.kind === "put") return { data: encodeRecord(write.record), headers: [] };
  const headers: [string, string][] = [
    [OPERATION_HEADER, "DEL"],
    [EPOCH_HEADER, String(write.epoch)],
    [INCARNATION_HEADER, write.incarnation],
  ];
  if (write.successor !== undefined) headers.push([SUCCESSOR_HEADER, write.successor]);
  return { data: new Uint8Array(0), headers };
}

/** A record as JSON. Undefined fields are omitted. */
export function encodeRecord(record: LeaseRecord): Uint8Array {
  const { session } = record;
  const json = JSON.stringify({
    node_id: record.nodeId,
    epoch: record.epoch,
    // A wall clock can show any time, and no decision depends on it.
    acquired_at: Math.min(Math.max(0, Math.trunc(record.acquiredAt)), MAX_ACQUIRED_AT),
    incarnation: record.incarnation,
    nonce: record.nonce,
    ttl_ms: record.ttlMs,
    session: session && {
      server_id: session.serverId,
      client_id: session.clientId,
      presence: session.presence,
      silence: session.silence && { ms: session.silence.ms, account: session.silence.account },
    },
  });
  return new TextEncoder().encode(json);
}

/** The entry in a message that was read from the stream. Never throws. */
export function decodeStored({ sequence, data, headers }: StoredMessage): LeaseEntry {
  return decodeEntry({ revision: sequence, data, header: (name) => headers.get(name) ?? "" });
}

/** The entry in a message on the lease's subject. Never throws. */
export function decodeEntry(message: LeaseMessage): LeaseEntry {
  const { revision } = message;
  if (message.header(MARKER_HEADER) !== "") return { kind: "deleted", revision };
  const operation = message.header(OPERATION_HEADER);
  if (operation === "DEL") return decodeMarker(message);
  if (operation === "PURGE") return { kind: "deleted", revision };
  try {
    return { kind: "record", revision, record: decodeRecord(message.data, revision) };
  } catch (error) {
    return { kind: "garbage", revision, reason: messageOf(error) };
  }
}

/** A marker with a missing or invalid header is a plain delete. Nodes wait a full lease after one, which is always safe. */
function decodeMarker(message: LeaseMessage): LeaseEntry {
  const { revision } = message;
  const epoch = decimal(message.header(EPOCH_HEADER));
  const incarnation = message.header(INCARNATION_HEADER);
  const successor = message.header(SUCCESSOR_HEADER);
  if (epoch === null || epoch > maxEpochAt(revision) || !isId(incarnation))
    return { kind: "deleted", revision };
  const released = { kind: "released", revision, epoch, incarnation } as const;
  if (successor === "") return released;
  return isId(successor) ? { ...released, successor } : { kind: "deleted", revision };
}

function decimal(text: string): number | null {
  if (!/^[1-9]\d{0,15}$/.test(text)) return null;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : null;
}

type Json = Readonly<Record<string, unknown>>;

function decodeRecord(data: Uint8Array, revision: number): LeaseRecord {
  const json = objectOf(parse(data), "the value");
  const nodeId = id(json["node_id"], "node_id");
  const epoch = natural(json["epoch"], "epoch", { least: 1 });
  const most = maxEpochAt(revision);
  if (epoch > most) throw new Error(`epoch ${epoch} is impossible at revision ${revision}: at most ${most}`);
  const incarnation = optional(json, "incarnation", id);
  const nonce = optional(json, "nonce", (value, name) => natural(value, name, { most: MAX_NONCE }));
  const ttlMs = optional(json, "ttl_ms", (value, name) =>
    natural(value, name, { least: 1, most: MAX_TTL_MS }),
  );
  const session = optional(json, "session", decodeSession);
  return {
    nodeId,
    epoch,
    acquiredAt: natural(json["acquired_at"], "acquired_at", { most: MAX_ACQUIRED_AT }),
    ...(incarnation === undefined ? {} : { incarnation }),
    ...(nonce === undefined ? {} : { nonce }),
    ...(ttlMs === undefined ? {} : { ttlMs }),
    ...(session === undefined ? {} : { session }),
  };
}

/** The errors name the problem and quote nothing: the reason is shown to people. */
function parse(data: Uint8Array): unknown {
  if (data.length === 0) throw new Error("the value is empty");
  if (data.length > MAX_RECORD_BYTES) throw new Error(`the value has ${data.length} bytes`);
  let decoded: string;
  try {
    decoded = new TextDecoder("utf-8", { fatal: true }).decode(data);
  } catch {
    throw new Error("the value is not UTF-8");
  }
  try {
    return JSON.parse(decoded);
  } catch {
    throw new Error("the value is not JSON");
  }
}

function decodeSession(value: unknown, name: string): SessionBinding {
  const json = objectOf(value, name);
  const serverId = id(json["server_id"], `${name}.server_id`);
  const clientId = natural(json["client_id"], `${name}.client_id`, { least: 1 });
  const presence = optional(json, "presence", presenceName, `${name}.presence`);
  const silence = decodeSilence(json["silence"]);
  return {
    serverId,
    clientId,
    ...(presence === undefined ? {} : { presence }),
    ...(silence === null ? {} : { silence }),
  };
}

/**
 * `null`: no promise, or a malformed one. The record stays valid: without the promise its reader waits for the lease, which is what
 * a reader does that does not know the field.
 */
function decodeSilence(value: unknown): SilencePromise | null {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  const { ms, account } = value as Json;
  if (typeof ms !== "number" || !Number.isInteger(ms)) return null;
  if (ms < MIN_SILENCE_MS || ms > MAX_TTL_MS) return null;
  return typeof account === "string" && ACCOUNT_TAG.test(account) ? { ms, account } : null;
}

function optional<T>(
  json: Json,
  key: string,
  decode: (value: unknown, name: string) => T,
  name: string = key,
): T | undefined {
  return Object.hasOwn(json, key) ? decode(json[key], name) : undefined;
}

function objectOf(value: unknown, name: string): Json {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error(`${name} is not a JSON object`);
  }
  return value as Json;
}

function id(value: unknown, name: string): string {
  if (isId(value)) return value;
  throw new Error(`${name} is not 1 to ${MAX_ID_LENGTH} of the characters A-Z a-z 0-9 _ -`);
}

function presenceName(value: unknown, name: string): string {
  if (typeof value === "string" && PRESENCE.test(value)) return value;
  throw new Error(`${name} is not <stream>.<consumer>`);
}

interface Range {
  /** @default 0 */
  readonly least?: number;
  /** Default: the largest number that is held exactly. */
  readonly most?: number;
}

function natural(
  value: unknown,
  name: string,
  { least = 0, most = Number.MAX_SAFE_INTEGER }: Range = {},
): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return value;
  throw new Error(`${name} is not a whole number from ${least} to ${most}`);
}
