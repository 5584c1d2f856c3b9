/** A message of the stream of past terms, and the terms that are made of several. */
import fc from "fast-check";
import { parseHistoryEntry, termsOf } from "../../../src/manager/history-record.ts";
import { parseObject } from "../../../src/nats/api/js-api.ts";
import { type FuzzTarget, fill } from "../target.ts";

const id = fc.oneof(
  { weight: 4, arbitrary: fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/) },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 80 }) },
);
const number = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 20 }) },
  { weight: 1, arbitrary: fc.maxSafeInteger() },
  { weight: 1, arbitrary: fc.double() },
);
const previous = fc.record({ node_id: id, epoch: number, acquired_at: number });
const begin = fc.record(
  { kind: fc.constant("begin"), node_id: id, epoch: number, at: number, previous },
  { requiredKeys: ["kind", "node_id", "epoch", "at"] },
);
const reason = fc.oneof(fc.constantFrom("released", "expired"), id);
const end = fc.record(
  { kind: fc.constant("end"), node_id: id, epoch: number, at: number, reason, by: id },
  { requiredKeys: ["kind", "node_id", "epoch", "at", "reason"] },
);
const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const message = fc.oneof(
  { weight: 5, arbitrary: begin.map(encode) },
  { weight: 5, arbitrary: end.map(encode) },
  { weight: 1, arbitrary: fc.jsonValue().map(encode) },
  { weight: 1, arbitrary: fc.uint8Array() },
);

export const target: FuzzTarget<readonly Uint8Array[]> = {
  name: "history entry",
  inputs: fc.array(message, { maxLength: 6 }),
  show: (messages) => {
    const entries = messages
      .map((bytes) => parseHistoryEntry(parseObject(bytes)))
      .filter((entry) => entry !== null);
    const shown = termsOf(entries, 3).flatMap(({ nodeId, why }) => [nodeId, why ?? ""]);
    return [...shown, ...entries.map((entry) => (entry.kind === "end" ? (entry.by ?? "") : ""))];
  },
  grown: (piece, size) => [
    encode({ kind: "end", node_id: fill(piece, size), epoch: 1, at: 1, reason: piece }),
  ],
};
