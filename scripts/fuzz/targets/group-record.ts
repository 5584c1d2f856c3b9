/** A record of a group under its key, read from the stream or received. */
import fc from "fast-check";
import type { GroupEntry, GroupRecord } from "../../../src/group/core/types.ts";
import { decodeEntry } from "../../../src/nats/group/group-codec.ts";
import { decodeKey } from "../../../src/nats/group/group-keys.ts";
import { type FuzzTarget, fill } from "../target.ts";

/** A message on a subject of the bucket. */
interface Received {
  readonly key: string;
  readonly data: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
}

const id = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom("a", "b") },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 80 }) },
);
const number = fc.oneof(
  { weight: 4, arbitrary: fc.nat() },
  { weight: 1, arbitrary: fc.maxSafeInteger() },
  { weight: 1, arbitrary: fc.double() },
  { weight: 1, arbitrary: fc.constant(null) },
);
const generation = fc.oneof(
  { weight: 4, arbitrary: fc.constant("2026-11-30T05:00:00Z") },
  { weight: 1, arbitrary: fc.string({ unit: "binary" }) },
);
const text = fc.oneof(
  fc.constantFrom("eu-1", "left", "expired"),
  fc.string({ unit: "binary", maxLength: 300 }),
);
const author = { member_id: id, incarnation: id, nonce: number, generation, above: number };
const session = fc.oneof(
  { weight: 4, arbitrary: fc.record({ server_id: id, client_id: number }) },
  { weight: 1, arbitrary: fc.jsonValue() },
);
const record = fc.record(
  {
    kind: fc.oneof(fc.constantFrom("session", "session-end", "claim", "release"), fc.jsonValue()),
    ...author,
    number,
    ttl_ms: number,
    session: fc.oneof(number, session),
    weight: number,
    zone: text,
    max_owned: number,
    draining: fc.oneof(fc.boolean(), fc.jsonValue()),
    refused: fc.oneof(fc.array(text, { maxLength: 20 }), fc.jsonValue()),
    list_hash: id,
    of: id,
    reason: text,
    epoch: number,
    successor: id,
  },
  { requiredKeys: ["kind", "member_id", "incarnation", "nonce", "generation", "above"] },
);
const bytes = fc.oneof(
  {
    weight: 6,
    arbitrary: record.map((value) => new TextEncoder().encode(JSON.stringify(value))),
  },
  { weight: 1, arbitrary: fc.jsonValue().map((value) => new TextEncoder().encode(JSON.stringify(value))) },
  { weight: 1, arbitrary: fc.uint8Array() },
);
const planHeader = fc.oneof(
  fc.record({ ...author, coordinator: number }).map((value) => JSON.stringify(value)),
  fc.string({ unit: "binary" }),
);
const headers = fc.record(
  {
    "KV-Operation": fc.constantFrom("PUT", "DEL", "PURGE"),
    "Nats-Marker-Reason": fc.constantFrom("", "MaxAge"),
    "Nats-Leader-Plan": planHeader,
  },
  { requiredKeys: ["Nats-Leader-Plan"] },
);
const key = fc.oneof(
  fc.constantFrom("session.a", "owner.r", "owner.=C3=A9", "coordinator", "plan"),
  fc.string({ unit: "binary", maxLength: 80 }).map((tail) => `owner.${tail}`),
);

function decoded({ key: name, data, headers: fields }: Received): GroupEntry | null {
  const known = decodeKey(name);
  if (known === null) return null;
  return decodeEntry(known, { revision: 7, data, header: (header) => fields[header] ?? "" });
}

/** What may reach a person. Names of resources are any text, and are made printable where they are shown. */
function textsOf(stored: GroupRecord): string[] {
  const author = [stored.memberId, stored.incarnation, stored.generation];
  switch (stored.kind) {
    case "session":
      return [...author, stored.zone ?? "", stored.listHash, stored.session?.serverId ?? ""];
    case "session-end":
      return [...author, stored.of, stored.reason];
    case "release":
      return [...author, stored.successor ?? ""];
    default:
      return author;
  }
}

export const target: FuzzTarget<Received> = {
  name: "group record",
  inputs: fc.record({ key, data: bytes, headers }),
  show: (received) => {
    const entry = decoded(received);
    if (entry?.kind === "garbage") return [entry.reason];
    return entry?.kind === "record" ? textsOf(entry.record) : [];
  },
  grown: (piece, size) => ({
    key: `owner.${fill(piece, 80)}`,
    data: new TextEncoder().encode(JSON.stringify({ kind: "claim", member_id: fill(piece, size) })),
    headers: { "Nats-Leader-Plan": fill(piece, 80) },
  }),
};
