import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { maxEpochAt } from "../../src/election/epochs.ts";
import type { GroupEntry, GroupKey, GroupRecord } from "../../src/group/core/types.ts";
import { MAX_PLAN_BYTES } from "../../src/group/plan/plan-codec.ts";
import { MAX_WEIGHT } from "../../src/group/plan/problem.ts";
import {
  decodeEntry,
  encodeRecord,
  MAX_RECORD_BYTES,
  MAX_REFUSED,
} from "../../src/nats/group/group-codec.ts";
import { MAX_RESOURCE_BYTES, resourceProblem } from "../../src/nats/group/group-keys.ts";
import { MAX_NONCE, MAX_TTL_MS, MIN_SILENCE_MS } from "../../src/nats/record-fields.ts";
import { claim, sessionRecord } from "../support/nats/group-store.ts";

const REVISION = 5;
const SESSION: GroupKey = { kind: "session", memberId: "a" };
const OWNER: GroupKey = { kind: "owner", resource: "r" };
const PLAN: GroupKey = { kind: "plan" };

function decode(key: GroupKey, data: Uint8Array | string, headers: Record<string, string> = {}): GroupEntry {
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
  return decodeEntry(key, { revision: REVISION, data: bytes, header: (name) => headers[name] ?? "" });
}

function throughWire(key: GroupKey, record: GroupRecord): GroupEntry {
  const { data, headers } = encodeRecord(record);
  return decode(key, data, Object.fromEntries(headers));
}

function jsonOf(record: GroupRecord): Record<string, unknown> {
  return JSON.parse(new TextDecoder().decode(encodeRecord(record).data));
}

const id = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/);
const most = maxEpochAt(REVISION);
const number = fc.integer({ min: 1, max: most });
const author = {
  memberId: id,
  incarnation: id,
  nonce: fc.integer({ min: 0, max: MAX_NONCE }),
  generation: fc.constantFrom(
    "2026-11-30T05:00:00Z",
    "2026-11-30T05:00:00.123456789Z",
    "2026-11-30T05:00:00+01:00",
  ),
  above: fc.integer({ min: 0, max: most }),
};
const resource = fc
  .string({ unit: "grapheme", minLength: 1, maxLength: 20 })
  .filter((name) => resourceProblem(name) === null);
const binding = fc.record(
  {
    serverId: id,
    clientId: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    presence: fc.tuple(id, id).map(([stream, consumer]) => `${stream}.${consumer}`),
    silence: fc.record({
      ms: fc.integer({ min: MIN_SILENCE_MS, max: MAX_TTL_MS }),
      account: fc.stringMatching(/^[0-9a-f]{12}$/),
    }),
  },
  { requiredKeys: ["serverId", "clientId"] },
);
const sessions = fc.record(
  {
    kind: fc.constant("session" as const),
    ...author,
    memberId: fc.constant("a"),
    number: fc.option(number),
    ttlMs: fc.integer({ min: 1, max: MAX_TTL_MS }),
    session: binding,
    weight: fc.integer({ min: 0, max: MAX_WEIGHT }),
    zone: fc.constantFrom("eu-1", "Zürich 2"),
    maxOwned: fc.nat(),
    draining: fc.boolean(),
    refused: fc.array(resource, { maxLength: MAX_REFUSED }),
    listHash: id,
  },
  {
    requiredKeys: [
      ...(["kind", "memberId", "incarnation", "nonce", "generation", "above", "number", "ttlMs"] as const),
      ...(["weight", "draining", "refused", "listHash"] as const),
    ],
  },
);
const ends = fc.record({
  kind: fc.constant("session-end" as const),
  ...author,
  of: fc.constant("a"),
  number,
  reason: fc.constantFrom("left", "restarting", "expired", "closed", "silent"),
});
const owners = fc.oneof(
  fc.record(
    { kind: fc.constant("claim" as const), ...author, session: number },
    { requiredKeys: ["kind", "memberId", "incarnation", "nonce", "generation", "above", "session"] },
  ),
  fc.record(
    { kind: fc.constant("release" as const), ...author, epoch: number, successor: id },
    { requiredKeys: ["kind", "memberId", "incarnation", "nonce", "generation", "above", "epoch"] },
  ),
);
const plans = fc.record({
  kind: fc.constant("plan" as const),
  ...author,
  coordinator: number,
  plan: fc.uint8Array(),
});

test("the records of docs/wire.md are decoded as such", () => {
  const text = readFileSync(join(import.meta.dirname, "../../docs/wire.md"), "utf8");
  const [, block = ""] = /```json\n(\{"kind":"session"[^`]*)```/.exec(text) ?? [];
  const records = block.replaceAll("...", "0").replaceAll("\n ", "").trim().split("\n");
  const kinds = records.map((record) => {
    const { kind } = JSON.parse(record) as { kind: string };
    expect(decode(kind.startsWith("session") ? SESSION : OWNER, record)).toMatchObject({ record: { kind } });
    return kind;
  });
  expect(kinds).toEqual(["session", "session-end", "claim", "release"]);
});

describe("a record", () => {
  test.each<[string, GroupKey, fc.Arbitrary<GroupRecord>]>([
    ["of a session", SESSION, sessions as fc.Arbitrary<GroupRecord>],
    ["of a session's end", SESSION, ends as fc.Arbitrary<GroupRecord>],
    ["of an owner", OWNER, owners as fc.Arbitrary<GroupRecord>],
    ["of the coordinator", { kind: "coordinator" }, owners as fc.Arbitrary<GroupRecord>],
    ["of a plan", PLAN, plans],
  ])("%s is decoded as it was encoded", (_, key, records) => {
    fc.assert(
      fc.property(records, (record) => {
        expect(throughWire(key, record)).toEqual({ kind: "record", key, revision: REVISION, record });
      }),
    );
  });

  test("of a claim is small, since every member receives every one", () => {
    expect(jsonOf(claim())).toEqual({
      kind: "claim",
      member_id: "a",
      incarnation: "inc-a",
      nonce: 1,
      generation: "2026-11-30T05:00:00Z",
      above: 0,
      session: 1,
    });
  });

  test("of a session with the longest refused names that JSON makes longest fits", () => {
    const refused = Array.from({ length: MAX_REFUSED }, () => "\u0001".repeat(MAX_RESOURCE_BYTES));
    expect(throughWire(SESSION, sessionRecord({ refused }))).toMatchObject({
      kind: "record",
      record: { refused },
    });
  });

  test("may have unknown fields", () => {
    expect(decode(OWNER, JSON.stringify({ ...jsonOf(claim()), more: 1 })).kind).toBe("record");
  });

  test("may have the position that older members pass on", () => {
    const old = { ...jsonOf(claim()), position: 7 };
    expect(decode(OWNER, JSON.stringify(old))).toEqual(decode(OWNER, JSON.stringify(jsonOf(claim()))));
  });

  test.each([
    ["member_id", "a.b"],
    ["member_id", undefined],
    ["incarnation", ""],
    ["nonce", -1],
    ["nonce", MAX_NONCE + 1],
    ["generation", ""],
    ["generation", "\u001b[2J"],
    ["generation", "x".repeat(65)],
    ["above", -1],
    ["above", 1.5],
    ["above", most + 1],
    ["session", 0],
    ["session", "1"],
    ["session", most + 1],
    ["kind", "session"],
    ["kind", undefined],
  ])("of a claim with %s %j is garbage, and the reason names the field", (field, value) => {
    const entry = decode(OWNER, JSON.stringify({ ...jsonOf(claim()), [field]: value }));
    expect(entry).toMatchObject({ kind: "garbage", reason: expect.stringContaining(field) });
  });

  test.each([
    ["number", 0],
    ["number", undefined],
    ["ttl_ms", 0],
    ["ttl_ms", MAX_TTL_MS + 1],
    ["session", {}],
    ["weight", -1],
    ["weight", MAX_WEIGHT + 1],
    ["zone", ""],
    ["zone", "\u202egnp"],
    ["zone", "z".repeat(65)],
    ["max_owned", -1],
    ["draining", 0],
    ["refused", "r"],
    ["refused", Array.from({ length: MAX_REFUSED + 1 }, () => "r")],
    ["refused", [""]],
    ["refused", ["x".repeat(MAX_RESOURCE_BYTES + 1)]],
    ["list_hash", ""],
  ])("of a session with %s %j is garbage, and the reason names the field", (field, value) => {
    const entry = decode(SESSION, JSON.stringify({ ...jsonOf(sessionRecord()), [field]: value }));
    expect(entry).toMatchObject({ kind: "garbage", reason: expect.stringContaining(field) });
  });

  test("of a session under the key of another member is garbage", () => {
    const other: GroupKey = { kind: "session", memberId: "b" };
    expect(throughWire(other, sessionRecord())).toMatchObject({
      kind: "garbage",
      reason: "member_id is not the member of the key",
    });
    const end = { ...claim(), kind: "session-end", of: "a", number: 1, reason: "expired" } as const;
    expect(throughWire(other, end)).toMatchObject({
      kind: "garbage",
      reason: "of is not the member of the key",
    });
    expect(throughWire(SESSION, { ...end, memberId: "b" })).toMatchObject({ kind: "record" });
  });

  test.each<[string, GroupKey, GroupRecord]>([
    ["a claim under a session", SESSION, claim()],
    ["a session under an owner", OWNER, sessionRecord()],
    ["a session under a plan", PLAN, sessionRecord()],
  ])("%s is garbage", (_, key, record) => {
    expect(throughWire(key, record).kind).toBe("garbage");
  });

  test.each([
    ["", "the value is empty"],
    ["{", "the value is not JSON"],
    ["[]", "the value is not a JSON object"],
    [`"${"x".repeat(MAX_RECORD_BYTES)}"`, `the value has ${MAX_RECORD_BYTES + 2} bytes`],
  ])("of %j is garbage", (data, reason) => {
    expect(decode(OWNER, data)).toEqual({ kind: "garbage", key: OWNER, revision: REVISION, reason });
  });

  test("of a plan may have so many bytes, and no more", () => {
    const { headers } = encodeRecord({ ...claim(), kind: "plan", coordinator: 1, plan: new Uint8Array(0) });
    const entry = (bytes: number) => decode(PLAN, new Uint8Array(bytes), Object.fromEntries(headers));
    expect(entry(MAX_PLAN_BYTES).kind).toBe("record");
    expect(entry(MAX_PLAN_BYTES + 1)).toMatchObject({ reason: `the plan has ${MAX_PLAN_BYTES + 1} bytes` });
    expect(decode(PLAN, new Uint8Array(3))).toMatchObject({
      reason: "the header Nats-Leader-Plan is missing",
    });
  });

  test.each([
    ["a delete marker", { "KV-Operation": "DEL" }],
    ["a purge marker", { "KV-Operation": "PURGE" }],
    ["a marker of the server", { "Nats-Marker-Reason": "MaxAge" }],
  ])("that is %s is deleted", (_, headers) => {
    expect(decode(OWNER, encodeRecord(claim()).data, headers)).toEqual({
      kind: "deleted",
      key: OWNER,
      revision: REVISION,
    });
  });
});
