/**
 * The lease on the wire (docs/wire.md): JSON under the key, headers on a delete marker. go-cluster reads and writes the same.
 *
 * Decoding never throws: a client that may write to the bucket can store anything, which must not stop a node.
 */

import { maxEpochAt } from "../../election/epochs.ts";
import type { LeaseEntry, LeaseRecord, LeaseWrite } from "../../election/types.ts";
import { messageOf } from "../../errors.ts";
import type { StoredMessage } from "../api/stored-message.ts";
import { isId } from "../identity.ts";
import {
  decodeSession,
  type EncodedMessage,
  encodeSession,
  id,
  MAX_NONCE,
  MAX_TTL_MS,
  markerOf,
  natural,
  OPERATION_HEADER,
  objectOf,
  optional,
  parseJson,
  type RecordMessage,
} from "../record-fields.ts";

const EPOCH_HEADER = "Nats-Leader-Epoch";
const INCARNATION_HEADER = "Nats-Leader-Incarnation";
const SUCCESSOR_HEADER = "Nats-Leader-Successor";

/** A record is about 400 bytes. A value above this limit is garbage and is not parsed. */
export const MAX_RECORD_BYTES: number = 16 * 1024;

/** The end of the year 9999. Later times have no place in a table, and the latest are no dates for `Date`. */
export const MAX_ACQUIRED_AT: number = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

/** The payload and headers of a write, without its expectation. */
export function encodeWrite(write: LeaseWrite): EncodedMessage {
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
    session: session && encodeSession(session),
  });
  return new TextEncoder().encode(json);
}

/** The entry in a message that was read from the stream. Never throws. */
export function decodeStored({ sequence, data, headers }: StoredMessage): LeaseEntry {
  return decodeEntry({ revision: sequence, data, header: (name) => headers.get(name) ?? "" });
}

/** The entry in a message on the lease's subject. Never throws. */
export function decodeEntry(message: RecordMessage): LeaseEntry {
  const { revision } = message;
  const marker = markerOf(message);
  if (marker === "DEL") return decodeMarker(message);
  if (marker !== null) return { kind: "deleted", revision };
  try {
    return { kind: "record", revision, record: decodeRecord(message.data, revision) };
  } catch (error) {
    return { kind: "garbage", revision, reason: messageOf(error) };
  }
}

/** A marker with a missing or invalid header is a plain delete. Nodes wait a full lease after one, which is always safe. */
function decodeMarker(message: RecordMessage): LeaseEntry {
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

function decodeRecord(data: Uint8Array, revision: number): LeaseRecord {
  const json = objectOf(parseJson(data, MAX_RECORD_BYTES), "the value");
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
