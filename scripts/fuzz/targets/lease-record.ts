/** The lease record and the delete marker, read from the stream or received. */
import fc from "fast-check";
import { decodeEntry } from "../../../src/nats/lease/record-codec.ts";
import type { RecordMessage } from "../../../src/nats/record-fields.ts";
import { type FuzzTarget, fill } from "../target.ts";

const id = fc.oneof(
  { weight: 4, arbitrary: fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/) },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 80 }) },
);
const number = fc.oneof(
  { weight: 3, arbitrary: fc.nat() },
  { weight: 1, arbitrary: fc.maxSafeInteger() },
  { weight: 1, arbitrary: fc.double() },
);
const presence = fc.oneof(
  fc.tuple(id, id).map(([stream, consumer]) => `${stream}.${consumer}`),
  fc.string({ unit: "binary" }),
);
const account = fc.oneof(fc.stringMatching(/^[0-9a-f]{12}$/), fc.string({ unit: "binary" }));
const silence = fc.oneof(
  { weight: 4, arbitrary: fc.record({ ms: number, account }, { requiredKeys: [] }) },
  { weight: 1, arbitrary: fc.jsonValue() },
);
const session = fc.record(
  { server_id: id, client_id: number, presence, silence },
  { requiredKeys: ["server_id", "client_id"] },
);
const record = fc.record(
  {
    node_id: id,
    epoch: number,
    acquired_at: number,
    incarnation: id,
    nonce: number,
    ttl_ms: number,
    session,
  },
  { requiredKeys: ["node_id", "epoch", "acquired_at"] },
);
const json = fc.oneof(
  { weight: 6, arbitrary: record },
  { weight: 1, arbitrary: fc.dictionary(fc.constantFrom("node_id", "epoch", "session"), fc.jsonValue()) },
  { weight: 1, arbitrary: fc.jsonValue() },
);
const data = fc.oneof(
  {
    weight: 6,
    arbitrary: json.map((value) => new TextEncoder().encode(JSON.stringify(value))),
  },
  { weight: 1, arbitrary: fc.string({ unit: "binary" }).map((text) => new TextEncoder().encode(text)) },
  { weight: 1, arbitrary: fc.uint8Array() },
);
const HEADERS = [
  "KV-Operation",
  "Nats-Marker-Reason",
  "Nats-Leader-Epoch",
  "Nats-Leader-Incarnation",
  "Nats-Leader-Successor",
];
const headers = fc.dictionary(
  fc.constantFrom(...HEADERS),
  fc.oneof(fc.constantFrom("DEL", "PURGE", "1", "9007199254740991"), id),
  { maxKeys: 5 },
);

function messageOf(bytes: Uint8Array, fields: Readonly<Record<string, string>> = {}): RecordMessage {
  return { revision: 7, data: bytes, header: (name) => fields[name] ?? "" };
}

export const target: FuzzTarget<RecordMessage> = {
  name: "lease record",
  inputs: fc
    .tuple(data, fc.option(headers, { nil: {}, freq: 3 }))
    .map(([bytes, fields]) => messageOf(bytes, fields)),
  show: (message) => {
    const entry = decodeEntry(message);
    switch (entry.kind) {
      case "record": {
        const { nodeId, incarnation = "", session: binding } = entry.record;
        const { serverId = "", presence: name = "", silence: promise } = binding ?? {};
        return [nodeId, incarnation, serverId, name, promise?.account ?? ""];
      }
      case "released":
        return [entry.incarnation ?? "", entry.successor ?? ""];
      case "garbage":
        return [entry.reason];
      default:
        return [];
    }
  },
  grown: (piece, size) => {
    const text = JSON.stringify({ node_id: fill(piece, size), epoch: 1, acquired_at: 1 });
    return messageOf(new TextEncoder().encode(text));
  },
};
