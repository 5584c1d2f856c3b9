/** The record codec with Go's records, numbers beyond 2^53, both sources of headers, and damaged bytes. */
import { headers } from "@nats-io/transport-node";
import fc from "fast-check";
import { expect, test } from "vitest";
import { maxEpochAt } from "../../src/election/epochs.ts";
import type { LeaseEntry, LeaseRecord } from "../../src/election/types.ts";
import { parseHeaders } from "../../src/nats/api/stored-message.ts";
import {
  decodeEntry,
  encodeRecord,
  encodeWrite,
  MAX_ACQUIRED_AT,
} from "../../src/nats/lease/record-codec.ts";
import { MAX_NONCE, MAX_TTL_MS } from "../../src/nats/record-fields.ts";

const REVISION = 5;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const decode = (data: Uint8Array, header: (name: string) => string = () => ""): LeaseEntry =>
  decodeEntry({ revision: REVISION, data, header });

const nodeId = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/);
const positive = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const epoch = fc.integer({ min: 1, max: maxEpochAt(REVISION) });
const token = fc.stringMatching(/^[A-Za-z0-9_-]{1,20}$/);
const session = fc.record(
  {
    serverId: token,
    clientId: positive,
    presence: fc.tuple(token, token).map(([stream, consumer]) => `${stream}.${consumer}`),
  },
  { requiredKeys: ["serverId", "clientId"] },
);
const records: fc.Arbitrary<LeaseRecord> = fc.record(
  {
    nodeId,
    epoch,
    acquiredAt: fc.integer({ min: 0, max: MAX_ACQUIRED_AT }),
    incarnation: token,
    nonce: fc.integer({ min: 0, max: MAX_NONCE }),
    ttlMs: fc.integer({ min: 1, max: MAX_TTL_MS }),
    session,
  },
  { requiredKeys: ["nodeId", "epoch", "acquiredAt"] },
);

const OURS = ["node_id", "epoch", "acquired_at", "incarnation", "nonce", "ttl_ms", "session"];

test("a record of Go is decoded with any field order, whitespace and fields of a later version", () => {
  const go = fc.record({ node_id: nodeId, epoch, acquired_at: fc.nat() });
  const key = fc.oneof(fc.string(), fc.constantFrom("Epoch", "nodeId", "ttlMs", "toString", "__proto__"));
  const unknown = fc.dictionary(
    key.filter((name) => !OURS.includes(name)),
    fc.jsonValue(),
    { maxKeys: 4 },
  );
  fc.assert(
    fc.property(go, unknown, fc.nat(4), fc.infiniteStream(fc.nat()), (record, more, indent, shuffle) => {
      const fields = Object.entries({ ...more, ...record }).sort(() => ((shuffle.next().value ?? 0) % 3) - 1);
      const text = JSON.stringify(Object.fromEntries(fields), null, indent);
      const { node_id, epoch, acquired_at } = record;
      const expected = { nodeId: node_id, epoch, acquiredAt: acquired_at };
      expect(decode(bytes(text))).toEqual({ kind: "record", revision: REVISION, record: expected });
    }),
  );
});

test("Go can decode an encoded record: its three fields, with numbers as digits that fit an int64", () => {
  fc.assert(
    fc.property(records, (record) => {
      const text = new TextDecoder().decode(encodeRecord(record));
      const found = /^\{"node_id":"([\w-]+)","epoch":(\d+),"acquired_at":(\d+)[,}]/.exec(text);
      expect(found?.slice(1)).toEqual([record.nodeId, String(record.epoch), String(record.acquiredAt)]);
      expect(text).not.toMatch(/:-?\d+[.eE]|null|undefined/);
    }),
  );
});

test("a number that is not a safe integer makes a record garbage, and is never rounded", () => {
  const huge = fc.bigInt({ min: 2n ** 53n, max: 2n ** 80n });
  const text = fc.oneof(
    huge.map(String),
    huge.map((value) => `-${value}`),
    fc.constantFrom("1e400", "-1e400", "9007199254740992.0", "1.5", "-0.1"),
  );
  const field = fc.constantFrom("epoch", "acquired_at", "nonce", "ttl_ms", "client_id");
  fc.assert(
    fc.property(field, text, (name, number) => {
      const numbers: Record<string, string> = {
        epoch: "1",
        acquired_at: "1",
        nonce: "1",
        ttl_ms: "1",
        client_id: "1",
      };
      numbers[name] = number;
      const { client_id, ...outer } = numbers;
      const fields = Object.entries(outer).map(([key, value]) => `"${key}":${value}`);
      const json = `{"node_id":"a",${fields.join()},"session":{"server_id":"S","client_id":${client_id}}}`;
      const entry = decode(bytes(json));
      expect(entry).toMatchObject({ kind: "garbage", revision: REVISION });
      expect(entry.kind === "garbage" && entry.reason).toContain(name);
    }),
  );
});

test("a decoded record is the same after encoding it again", () => {
  fc.assert(
    fc.property(records, fc.dictionary(fc.string(), fc.jsonValue()), (record, more) => {
      const json = { ...more, ...(JSON.parse(new TextDecoder().decode(encodeRecord(record))) as object) };
      const entry = decode(bytes(JSON.stringify(json)));
      if (entry.kind !== "record") return; // a known field with an invalid value
      expect(decode(encodeRecord(entry.record))).toEqual(entry);
    }),
  );
});

test("damaged bytes are garbage or a record with the right revision, never an error", () => {
  const damage = fc.record({ at: fc.nat(400), cut: fc.nat(6), put: fc.uint8Array({ maxLength: 6 }) });
  let garbage = 0;
  fc.assert(
    fc.property(records, fc.array(damage, { minLength: 1, maxLength: 3 }), (record, damages) => {
      let data = [...encodeRecord(record)];
      for (const { at, cut, put } of damages) data = data.toSpliced(at % (data.length + 1), cut, ...put);
      const entry = decode(Uint8Array.from(data));
      expect(["record", "garbage"]).toContain(entry.kind);
      expect(entry.revision).toBe(REVISION);
      if (entry.kind === "garbage") {
        garbage += 1;
        expect(entry.reason).not.toBe("");
      } else if (entry.kind === "record")
        for (const number of [entry.record.epoch, entry.record.ttlMs ?? 1]) expect(number).toBeGreaterThan(0);
    }),
    { numRuns: 1000 },
  );
  expect(garbage).toBeGreaterThan(100);
});

const NAMES = [
  "KV-Operation",
  "Nats-Marker-Reason",
  "Nats-Leader-Epoch",
  "Nats-Leader-Incarnation",
  "Nats-Leader-Successor",
];

test("a message is the same entry for a read, whose headers are bytes, and for the watch", () => {
  const name = fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...NAMES) },
    { weight: 1, arbitrary: fc.stringMatching(/^[A-Za-z][A-Za-z-]{0,12}$/) },
  );
  const value = fc.oneof(
    fc.constantFrom("DEL", "PURGE", "MaxAge", "1", "42", "0", "-1", "01", "9007199254740993"),
    fc.stringMatching(/^[!-~]([ -~]{0,20}[!-~])?$/),
  );
  const data = fc.oneof(fc.constant(new Uint8Array(0)), records.map(encodeRecord));
  const marker = fc
    .tuple(fc.constantFrom("DEL", "PURGE"), fc.constantFrom("7", "07", "7.0"), value)
    .map(([operation, epoch, incarnation]): [string, string][] => [
      ["KV-Operation", operation],
      ["Nats-Leader-Epoch", epoch],
      ["Nats-Leader-Incarnation", incarnation],
    ]);
  const kinds = new Set<string>();
  fc.assert(
    fc.property(
      fc.oneof(fc.array(fc.tuple(name, value), { maxLength: 5 }), marker),
      data,
      (fields, payload) => {
        const block = `NATS/1.0\r\n${fields.map(([field, text]) => `${field}: ${text}\r\n`).join("")}\r\n`;
        const stored = parseHeaders(bytes(block));
        const delivered = headers();
        for (const [field, text] of fields) delivered.append(field, text);
        const read = decode(payload, (field) => stored.get(field) ?? "");
        expect(decode(payload, (field) => delivered.get(field))).toEqual(read);
        kinds.add(read.kind);
      },
    ),
    { numRuns: 1000 },
  );
  expect([...kinds].sort()).toEqual(["deleted", "garbage", "record", "released"]);
});

test("a release is decoded as it was encoded, by a read and by the watch", () => {
  const successor = fc.option(nodeId, { nil: undefined });
  fc.assert(
    fc.property(epoch, token, successor, (epoch, incarnation, heir) => {
      const next = heir === undefined ? {} : { successor: heir };
      const written = encodeWrite({ kind: "release", epoch, incarnation, ...next, expect: { revision: 4 } });
      const block = `NATS/1.0\r\n${written.headers.map(([name, text]) => `${name}: ${text}\r\n`).join("")}\r\n`;
      const stored = parseHeaders(bytes(block));
      const expected = { kind: "released", revision: REVISION, epoch, incarnation, ...next };
      expect(decode(written.data, (name) => stored.get(name) ?? "")).toEqual(expected);
    }),
  );
});
