/**
 * The records of a group on the wire (docs/wire.md): JSON under its key; of a plan the bytes of the plan, with the rest in a header.
 *
 * Decoding never throws: a client that may write to the bucket can store anything, which must not stop a member.
 */
import { maxEpochAt } from "../../election/epochs.ts";
import { messageOf } from "../../errors.ts";
import type {
  Authorship,
  Claim,
  GroupEntry,
  GroupKey,
  GroupRecord,
  PlanRecord,
  Release,
  SessionEnd,
  SessionEndReason,
  SessionRecord,
} from "../../group/core/types.ts";
import { MAX_PLAN_BYTES } from "../../group/plan/plan-codec.ts";
import { MAX_WEIGHT } from "../../group/plan/problem.ts";
import { isPrintable } from "../identity.ts";
import {
  decodeSession,
  type EncodedMessage,
  encodeSession,
  id,
  type Json,
  MAX_NONCE,
  MAX_TTL_MS,
  markerOf,
  natural,
  objectOf,
  optional,
  parseJson,
  type RecordMessage,
} from "../record-fields.ts";
import { resourceProblem } from "./group-keys.ts";

/** Everything about a plan but its bytes, as JSON. */
const PLAN_HEADER = "Nats-Leader-Plan";

/** A record is about 300 bytes, one with 16 refused resources at most 26 KiB. A value above this limit is garbage and is not parsed. */
export const MAX_RECORD_BYTES: number = 32 * 1024;
export const MAX_REFUSED = 16;
const MAX_OWNED: number = 2 ** 31 - 1;
const MAX_ZONE_LENGTH = 64;

/** The creation time of a stream as a server writes it: RFC 3339. */
const GENERATION = /^[0-9A-Za-z:.+-]{1,64}$/;

const END_REASONS: readonly SessionEndReason[] = ["left", "restarting", "expired", "closed", "silent"];

export function encodeRecord(record: GroupRecord): EncodedMessage {
  if (record.kind === "plan") {
    const rest = JSON.stringify({ ...authorship(record), coordinator: record.coordinator });
    return { data: record.plan, headers: [[PLAN_HEADER, rest]] };
  }
  const json = JSON.stringify({ kind: record.kind, ...authorship(record), ...fieldsOf(record) });
  return { data: new TextEncoder().encode(json), headers: [] };
}

function authorship({ memberId, incarnation, nonce, generation, above }: Authorship): Json {
  return { member_id: memberId, incarnation, nonce, generation, above };
}

/** Undefined fields are omitted. */
function fieldsOf(record: Exclude<GroupRecord, PlanRecord>): Json {
  switch (record.kind) {
    case "session":
      return {
        number: record.number,
        ttl_ms: record.ttlMs,
        session: record.session && encodeSession(record.session),
        weight: record.weight,
        zone: record.zone,
        max_owned: record.maxOwned,
        draining: record.draining,
        refused: record.refused,
        list_hash: record.listHash,
      };
    case "session-end":
      return { of: record.of, number: record.number, reason: record.reason };
    case "claim":
      return { session: record.session };
    case "release":
      return { epoch: record.epoch, successor: record.successor };
    default:
      return record satisfies never;
  }
}

/** The entry in a message on a key. Never throws. */
export function decodeEntry(key: GroupKey, message: RecordMessage): GroupEntry {
  const { revision } = message;
  if (markerOf(message) !== null) return { kind: "deleted", key, revision };
  try {
    return { kind: "record", key, revision, record: decodeRecord(key, message) };
  } catch (error) {
    return { kind: "garbage", key, revision, reason: messageOf(error) };
  }
}

function decodeRecord(key: GroupKey, message: RecordMessage): GroupRecord {
  const most = maxEpochAt(message.revision);
  if (key.kind === "plan") return decodePlan(message, most);
  const json = objectOf(parseJson(message.data, MAX_RECORD_BYTES), "the value");
  const kind = json["kind"];
  if (key.kind === "session") {
    if (kind === "session") return requireMember(decodeMember(json, most), key.memberId, "member_id");
    if (kind === "session-end") return requireMember(decodeEnd(json, most), key.memberId, "of");
    throw new Error('kind is neither "session" nor "session-end"');
  }
  if (kind === "claim") return decodeClaim(json, most);
  if (kind === "release") return decodeRelease(json, most);
  throw new Error('kind is neither "claim" nor "release"');
}

/** A session is that of the member whose key it is under. */
function requireMember<T extends SessionRecord | SessionEnd>(record: T, memberId: string, field: string): T {
  if ((record.kind === "session" ? record.memberId : record.of) === memberId) return record;
  throw new Error(`${field} is not the member of the key`);
}

function decodeAuthorship(json: Json, most: number): Authorship {
  return {
    memberId: id(json["member_id"], "member_id"),
    incarnation: id(json["incarnation"], "incarnation"),
    nonce: natural(json["nonce"], "nonce", { most: MAX_NONCE }),
    generation: generation(json["generation"]),
    above: natural(json["above"], "above", { most }),
  };
}

function decodeMember(json: Json, most: number): SessionRecord {
  const session = optional(json, "session", decodeSession);
  const zone = optional(json, "zone", zoneOf);
  const maxOwned = optional(json, "max_owned", (value, name) => natural(value, name, { most: MAX_OWNED }));
  return {
    kind: "session",
    ...decodeAuthorship(json, most),
    number: json["number"] === null ? null : natural(json["number"], "number", { least: 1, most }),
    ttlMs: natural(json["ttl_ms"], "ttl_ms", { least: 1, most: MAX_TTL_MS }),
    ...(session === undefined ? {} : { session }),
    weight: natural(json["weight"], "weight", { most: MAX_WEIGHT }),
    ...(zone === undefined ? {} : { zone }),
    ...(maxOwned === undefined ? {} : { maxOwned }),
    draining: flag(json["draining"], "draining"),
    refused: resources(json["refused"]),
    listHash: id(json["list_hash"], "list_hash"),
  };
}

function decodeEnd(json: Json, most: number): SessionEnd {
  const reason = END_REASONS.find((known) => known === json["reason"]);
  if (reason === undefined) throw new Error(`reason is none of ${END_REASONS.join(", ")}`);
  return {
    kind: "session-end",
    ...decodeAuthorship(json, most),
    of: id(json["of"], "of"),
    number: natural(json["number"], "number", { least: 1, most }),
    reason,
  };
}

function decodeClaim(json: Json, most: number): Claim {
  return {
    kind: "claim",
    ...decodeAuthorship(json, most),
    session: natural(json["session"], "session", { least: 1, most }),
  };
}

function decodeRelease(json: Json, most: number): Release {
  const successor = optional(json, "successor", id);
  return {
    kind: "release",
    ...decodeAuthorship(json, most),
    epoch: natural(json["epoch"], "epoch", { least: 1, most }),
    ...(successor === undefined ? {} : { successor }),
  };
}

function decodePlan({ data, header }: RecordMessage, most: number): PlanRecord {
  if (data.length > MAX_PLAN_BYTES) throw new Error(`the plan has ${data.length} bytes`);
  const text = header(PLAN_HEADER);
  if (text === "") throw new Error(`the header ${PLAN_HEADER} is missing`);
  const json = objectOf(
    parseJson(new TextEncoder().encode(text), MAX_RECORD_BYTES),
    `the header ${PLAN_HEADER}`,
  );
  return {
    kind: "plan",
    ...decodeAuthorship(json, most),
    coordinator: natural(json["coordinator"], "coordinator", { least: 1, most }),
    // A copy: `data` may be a part of what the socket has read.
    plan: Uint8Array.from(data),
  };
}

function generation(value: unknown): string {
  if (typeof value === "string" && GENERATION.test(value)) return value;
  throw new Error("generation is not the creation time of a stream");
}

function zoneOf(value: unknown, name: string): string {
  if (isPrintable(value) && value !== "" && value.length <= MAX_ZONE_LENGTH) return value;
  throw new Error(`${name} is not 1 to ${MAX_ZONE_LENGTH} printable characters`);
}

function flag(value: unknown, name: string): boolean {
  if (typeof value === "boolean") return value;
  throw new Error(`${name} is neither true nor false`);
}

function resources(value: unknown): readonly string[] {
  if (!Array.isArray(value) || value.length > MAX_REFUSED)
    throw new Error(`refused is not a list of at most ${MAX_REFUSED} resources`);
  return value.map((name: unknown) => {
    const problem = resourceProblem(name);
    if (problem !== null) throw new Error(`the name of a refused resource ${problem}`);
    return name as string;
  });
}
