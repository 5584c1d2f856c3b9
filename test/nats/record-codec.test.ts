import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EPOCH_SLACK, MAX_EPOCH, maxEpochAt } from "../../src/election/epochs.ts";
import type { LeaseRecord, LeaseWrite } from "../../src/election/types.ts";
import { parseHeaders } from "../../src/nats/api/stored-message.ts";
import {
  decodeEntry,
  encodeRecord,
  encodeWrite,
  MAX_ACQUIRED_AT,
  MAX_RECORD_BYTES,
} from "../../src/nats/lease/record-codec.ts";
import { tagOf } from "../../src/nats/presence/connz-answer.ts";
import { MAX_NONCE, MAX_TTL_MS, MIN_SILENCE_MS } from "../../src/nats/record-fields.ts";
import { record } from "../support/nats/store-and-session.ts";

function decode(data: Uint8Array | string, headers: Record<string, string> = {}) {
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
  return decodeEntry({ revision: 5, data: bytes, header: (name) => headers[name] ?? "" });
}

const id = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/);
const positive = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const presence = fc.tuple(id, id).map(([stream, consumer]) => `${stream}.${consumer}`);
const silence = fc.record({
  ms: fc.integer({ min: MIN_SILENCE_MS, max: MAX_TTL_MS }),
  account: fc.stringMatching(/^[0-9a-f]{12}$/),
});
const session = fc.record(
  { serverId: id, clientId: positive, presence, silence },
  { requiredKeys: ["serverId", "clientId"] },
);
const records: fc.Arbitrary<LeaseRecord> = fc.record(
  {
    nodeId: id,
    epoch: fc.integer({ min: 1, max: maxEpochAt(5) }),
    acquiredAt: fc.integer({ min: 0, max: MAX_ACQUIRED_AT }),
    incarnation: id,
    nonce: fc.integer({ min: 0, max: MAX_NONCE }),
    ttlMs: fc.integer({ min: 1, max: MAX_TTL_MS }),
    session,
  },
  { requiredKeys: ["nodeId", "epoch", "acquiredAt"] },
);

describe("a record", () => {
  test("is decoded as it was encoded", () => {
    fc.assert(
      fc.property(records, (written) => {
        expect(decode(encodeRecord(written))).toEqual({ kind: "record", revision: 5, record: written });
      }),
    );
  });

  test("is go-cluster's JSON with additional fields", () => {
    expect(JSON.parse(new TextDecoder().decode(encodeRecord(record())))).toEqual({
      node_id: "a",
      epoch: 1,
      acquired_at: 1_700_000_000_000,
      incarnation: "inc-a",
      nonce: 1,
      ttl_ms: 10_000,
      session: { server_id: "S1", client_id: 7, presence: "KV_X.presence_1" },
    });
  });

  test("names its promise of silence in the session", () => {
    const account = tagOf("A");
    const bytes = encodeRecord(
      record({ session: { serverId: "S1", clientId: 7, silence: { ms: 2_000, account } } }),
    );
    expect(JSON.parse(new TextDecoder().decode(bytes))).toMatchObject({
      session: { server_id: "S1", client_id: 7, silence: { ms: 2_000, account } },
    });
  });

  const ACCOUNT = "0123456789ab";
  test.each([
    ["", null],
    ["", []],
    ["", "x"],
    ["", {}],
    ["", { ms: 2_000 }],
    ["", { account: ACCOUNT }],
    ["a time below the least", { ms: MIN_SILENCE_MS - 1, account: ACCOUNT }],
    ["a time above the most", { ms: MAX_TTL_MS + 1, account: ACCOUNT }],
    ["no whole time", { ms: 2_000.5, account: ACCOUNT }],
    ["no number", { ms: "2000", account: ACCOUNT }],
    ["no tag", { ms: 2_000, account: "A" }],
    ["a tag in upper case", { ms: 2_000, account: ACCOUNT.toUpperCase() }],
    ["a longer tag", { ms: 2_000, account: `${ACCOUNT}c` }],
    ["a tag with a line end", { ms: 2_000, account: `${ACCOUNT}\n` }],
    ["a number as tag", { ms: 2_000, account: 123_456_789_012 }],
  ])("with a malformed promise of silence is a record without one: %s %j", (_, silence) => {
    const session = { server_id: "S", client_id: 1, presence: "a.b", silence };
    expect(decode(JSON.stringify({ node_id: "a", epoch: 1, acquired_at: 1, session }))).toEqual({
      kind: "record",
      revision: 5,
      record: {
        nodeId: "a",
        epoch: 1,
        acquiredAt: 1,
        session: { serverId: "S", clientId: 1, presence: "a.b" },
      },
    });
  });

  test.each([MIN_SILENCE_MS, MAX_TTL_MS])("may promise silence of %i ms, and know more of it", (ms) => {
    const silence = { ms, account: ACCOUNT, more: 1 };
    const session = { server_id: "S", client_id: 1, silence };
    expect(decode(JSON.stringify({ node_id: "a", epoch: 1, acquired_at: 1, session }))).toEqual({
      kind: "record",
      revision: 5,
      record: {
        nodeId: "a",
        epoch: 1,
        acquiredAt: 1,
        session: { serverId: "S", clientId: 1, silence: { ms, account: ACCOUNT } },
      },
    });
  });

  test("of go-cluster is decoded to its three fields", () => {
    expect(decode('{"node_id":"n1","epoch":3,"acquired_at":1700000000000}')).toEqual({
      kind: "record",
      revision: 5,
      record: { nodeId: "n1", epoch: 3, acquiredAt: 1_700_000_000_000 },
    });
  });

  test("may contain unknown fields", () => {
    expect(decode('{"node_id":"n1","epoch":3,"acquired_at":1,"region":"eu"}').kind).toBe("record");
  });

  test.each([
    ["", "empty"],
    ["null", "not a JSON object"],
    ["[]", "not a JSON object"],
    ['"x"', "not a JSON object"],
    ["{", "JSON"],
    ["{}", "node_id"],
    ['{"node_id":"","epoch":1,"acquired_at":1}', "node_id"],
    ['{"node_id":7,"epoch":1,"acquired_at":1}', "node_id"],
    ['{"node_id":"a","epoch":0,"acquired_at":1}', "epoch"],
    ['{"node_id":"a","epoch":-1,"acquired_at":1}', "epoch"],
    ['{"node_id":"a","epoch":1.5,"acquired_at":1}', "epoch"],
    ['{"node_id":"a","epoch":"1","acquired_at":1}', "epoch"],
    ['{"node_id":"a","epoch":9007199254740993,"acquired_at":1}', "epoch"],
    ['{"node_id":"a","epoch":1}', "acquired_at"],
    ['{"node_id":"a","epoch":1,"acquired_at":1,"incarnation":""}', "incarnation"],
    ['{"node_id":"a","epoch":1,"acquired_at":1,"nonce":null}', "nonce"],
    ['{"node_id":"a","epoch":1,"acquired_at":1,"ttl_ms":0}', "ttl_ms"],
    ['{"node_id":"a","epoch":1,"acquired_at":1,"session":[]}', "session"],
    ['{"node_id":"a","epoch":1,"acquired_at":1,"session":{"server_id":"S"}}', "session.client_id"],
    [
      '{"node_id":"a","epoch":1,"acquired_at":1,"session":{"server_id":"S","client_id":1,"presence":"a.>"}}',
      "session.presence",
    ],
  ])("that is %j is garbage, and the reason names the problem", (value, reason) => {
    const entry = decode(value);
    expect(entry).toMatchObject({ kind: "garbage", revision: 5 });
    expect(entry.kind === "garbage" && entry.reason).toContain(reason);
  });

  test("may have an epoch up to 2^40 above its own revision, whatever the node remembers", () => {
    const withEpoch = (epoch: number) => decode(JSON.stringify({ node_id: "a", epoch, acquired_at: 1 }));
    expect(withEpoch(5 + EPOCH_SLACK)).toMatchObject({ kind: "record", record: { epoch: 5 + EPOCH_SLACK } });
    expect(withEpoch(5 + EPOCH_SLACK + 1)).toEqual({
      kind: "garbage",
      revision: 5,
      reason: "epoch 1099511627782 is impossible at revision 5: at most 1099511627781",
    });
    expect(withEpoch(Number.MAX_SAFE_INTEGER).kind).toBe("garbage");
    expect(maxEpochAt(Number.MAX_SAFE_INTEGER)).toBe(MAX_EPOCH);
  });

  test.each([
    ["acquired_at", MAX_ACQUIRED_AT],
    ["nonce", MAX_NONCE],
    ["ttl_ms", MAX_TTL_MS],
    ["node_id", "n".repeat(64)],
    ["incarnation", "i".repeat(64)],
  ])("may have %s up to %s, and no more", (field, most) => {
    const go = { node_id: "a", epoch: 1, acquired_at: 1 };
    expect(decode(JSON.stringify({ ...go, [field]: most })).kind).toBe("record");
    const beyond = typeof most === "number" ? most + 1 : `${most}x`;
    const entry = decode(JSON.stringify({ ...go, [field]: beyond }));
    expect(entry).toMatchObject({ kind: "garbage", reason: expect.stringContaining(field) });
  });

  test.each(["a b", "a.b", "*", "a>", "\u001b[2J", "a\u0000", "\u202egnp", "é", "", "__proto__ "])(
    "with the node id %j is garbage, and the reason quotes nothing of it",
    (node_id) => {
      const entry = decode(JSON.stringify({ node_id, epoch: 1, acquired_at: 1 }));
      expect(entry).toEqual({
        kind: "garbage",
        revision: 5,
        reason: "node_id is not 1 to 64 of the characters A-Z a-z 0-9 _ -",
      });
    },
  );

  test("is written with a time within the limits, whatever the wall clock shows", () => {
    for (const acquiredAt of [-1, 8.64e15, 17.5])
      expect(decode(encodeRecord({ ...record(), acquiredAt })).kind).toBe("record");
  });

  test("that is not JSON is garbage whose reason quotes nothing of it", () => {
    expect(decode("\u001b[31mred")).toEqual({
      kind: "garbage",
      revision: 5,
      reason: "the value is not JSON",
    });
    expect(decode(Uint8Array.of(0xff))).toMatchObject({ reason: "the value is not UTF-8" });
  });

  test("of more than 16 KiB is garbage without being parsed", () => {
    const huge = `{"node_id":"a","epoch":1,"acquired_at":1,"x":"${"y".repeat(MAX_RECORD_BYTES)}"}`;
    expect(decode(huge)).toMatchObject({ kind: "garbage", reason: expect.stringContaining("bytes") });
  });

  test("never makes the decoder throw, whatever the bytes and headers", () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.json().map((json) => new TextEncoder().encode(json)),
      fc
        .record({
          node_id: fc.anything(),
          epoch: fc.anything(),
          acquired_at: fc.anything(),
          session: fc.anything(),
        })
        .map((value) => new TextEncoder().encode(safeJson(value))),
    );
    const headers = fc.dictionary(
      fc.constantFrom("KV-Operation", "Nats-Marker-Reason", "Nats-Leader-Epoch", "Nats-Leader-Incarnation"),
      fc.oneof(fc.string(), fc.constantFrom("DEL", "PURGE", "1", "0", "-1", "1e3")),
    );
    fc.assert(
      fc.property(bytes, headers, (data, hdrs) => void decode(data, hdrs)),
      { numRuns: 1000 },
    );
  });
});

function safeJson(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "";
  } catch {
    return "";
  }
}

describe("a delete marker", () => {
  const release: LeaseWrite = { kind: "release", epoch: 4, incarnation: "inc-a", expect: { revision: 9 } };

  function decodeEncoded(write: LeaseWrite) {
    const { data, headers } = encodeWrite(write);
    expect(data).toHaveLength(0);
    return decode(data, Object.fromEntries(headers));
  }

  test("of a release names the term, and the successor of a handover", () => {
    expect(decodeEncoded(release)).toEqual({ kind: "released", revision: 5, epoch: 4, incarnation: "inc-a" });
    expect(decodeEncoded({ ...release, successor: "b" })).toMatchObject({ kind: "released", successor: "b" });
  });

  test.each([
    ["go-cluster's", { "KV-Operation": "DEL" }],
    ["a purge", { "KV-Operation": "PURGE", "Nats-Leader-Epoch": "4", "Nats-Leader-Incarnation": "i" }],
    ["the server's own", { "Nats-Marker-Reason": "MaxAge" }],
    ["without incarnation", { "KV-Operation": "DEL", "Nats-Leader-Epoch": "4" }],
    ["with epoch 0", { "KV-Operation": "DEL", "Nats-Leader-Epoch": "0", "Nats-Leader-Incarnation": "i" }],
    ["with epoch 1e3", { "KV-Operation": "DEL", "Nats-Leader-Epoch": "1e3", "Nats-Leader-Incarnation": "i" }],
    [
      "with a huge epoch",
      { "KV-Operation": "DEL", "Nats-Leader-Epoch": "9999999999999999", "Nats-Leader-Incarnation": "i" },
    ],
    [
      "with an epoch that is impossible at its revision",
      { "KV-Operation": "DEL", "Nats-Leader-Epoch": "9007199254740991", "Nats-Leader-Incarnation": "i" },
    ],
    [
      "with an incarnation that is no id",
      { "KV-Operation": "DEL", "Nats-Leader-Epoch": "4", "Nats-Leader-Incarnation": "\u001b[2J" },
    ],
    [
      "with a successor that is no node id",
      {
        "KV-Operation": "DEL",
        "Nats-Leader-Epoch": "4",
        "Nats-Leader-Incarnation": "i",
        "Nats-Leader-Successor": "b c",
      },
    ],
  ])("%s is a plain delete", (_name, headers) => {
    expect(decode("", headers)).toEqual({ kind: "deleted", revision: 5 });
  });
});

describe("stored headers", () => {
  test("are read by name, with their first values, trimmed", () => {
    const bytes = new TextEncoder().encode("NATS/1.0\r\nA: 1\r\nB:2 \r\nA: 3\r\nnonsense\r\n: x\r\n\r\n");
    expect([...parseHeaders(bytes)]).toEqual([
      ["A", "1"],
      ["B", "2"],
    ]);
  });

  test("never throw", () => {
    fc.assert(fc.property(fc.uint8Array(), (bytes) => void parseHeaders(bytes)));
  });
});
