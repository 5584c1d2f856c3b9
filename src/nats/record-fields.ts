/**
 * The messages that records are in, and the fields of records. A client that may write to a bucket can store anything: each function that
 * decodes a field throws an error that names the field and the rule, and quotes nothing, since its message is shown to people.
 */
import type { SessionBinding, SilencePromise } from "../election/types.ts";
import { isId, MAX_ID_LENGTH } from "./identity.ts";

/** As option `leaseTtlMs`. A follower waits for the holder's TTL, so it must end. */
export const MAX_TTL_MS = 3_600_000;
/** A shorter silence would be promised for pauses that any process makes. */
export const MIN_SILENCE_MS = 500;
/** A write per millisecond reaches it after 8 900 years. */
export const MAX_NONCE: number = 2 ** 48;

/** `<stream>.<consumer>`: it becomes the end of a subject. NATS allows no longer names. */
const PRESENCE = /^[A-Za-z0-9_-]{1,255}\.[A-Za-z0-9_-]{1,255}$/;

/** `tagOf` an account. */
const ACCOUNT_TAG = /^[0-9a-f]{12}$/;

export type Json = Readonly<Record<string, unknown>>;

/** A message on a key, read or received. */
export interface RecordMessage {
  readonly revision: number;
  readonly data: Uint8Array;
  /** A header's first value, `""` when it is missing. */
  header(name: string): string;
}

/** A message to write. */
export interface EncodedMessage {
  readonly data: Uint8Array;
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>;
}

/** Header of a marker, whose value is the operation. */
export const OPERATION_HEADER = "KV-Operation";
/** Set by servers >= 2.11 on markers of their own, for expiry, purge and removal. */
const MARKER_HEADER = "Nats-Marker-Reason";

/** Which marker the message is, if its key has no value: the operation of a client, or one of the server. `null`: it is none. */
export function markerOf(message: RecordMessage): "DEL" | "PURGE" | "server" | null {
  if (message.header(MARKER_HEADER) !== "") return "server";
  const operation = message.header(OPERATION_HEADER);
  return operation === "DEL" || operation === "PURGE" ? operation : null;
}

/** The JSON value of a message. */
export function parseJson(data: Uint8Array, mostBytes: number): unknown {
  if (data.length === 0) throw new Error("the value is empty");
  if (data.length > mostBytes) throw new Error(`the value has ${data.length} bytes`);
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

export function objectOf(value: unknown, name: string): Json {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error(`${name} is not a JSON object`);
  }
  return value as Json;
}

export function optional<T>(
  json: Json,
  key: string,
  decode: (value: unknown, name: string) => T,
  name: string = key,
): T | undefined {
  return Object.hasOwn(json, key) ? decode(json[key], name) : undefined;
}

export function id(value: unknown, name: string): string {
  if (isId(value)) return value;
  throw new Error(`${name} is not 1 to ${MAX_ID_LENGTH} of the characters A-Z a-z 0-9 _ -`);
}

export interface Range {
  /** @default 0 */
  readonly least?: number;
  /** Default: the largest number that is held exactly. */
  readonly most?: number;
}

export function natural(
  value: unknown,
  name: string,
  { least = 0, most = Number.MAX_SAFE_INTEGER }: Range = {},
): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) return value;
  throw new Error(`${name} is not a whole number from ${least} to ${most}`);
}

/** The binding of a holder as JSON. `undefined` fields are omitted. */
export function encodeSession({ serverId, clientId, presence, silence }: SessionBinding): Json {
  return {
    server_id: serverId,
    client_id: clientId,
    presence,
    silence: silence && { ms: silence.ms, account: silence.account },
  };
}

export function decodeSession(value: unknown, name: string): SessionBinding {
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

function presenceName(value: unknown, name: string): string {
  if (typeof value === "string" && PRESENCE.test(value)) return value;
  throw new Error(`${name} is not <stream>.<consumer>`);
}
