/** The plan of a group, as its coordinator stores it. */
import { deflateSync } from "node:zlib";
import fc from "fast-check";
import { decodePlan } from "../../../src/group/plan/plan-codec.ts";
import { type FuzzTarget, fill } from "../target.ts";

const text = fc.string({ unit: "binary", maxLength: 4 });
const ascending = fc.uniqueArray(text, { maxLength: 5 }).map((names) => names.toSorted());
const list = fc.oneof(
  { weight: 6, arbitrary: ascending },
  { weight: 1, arbitrary: fc.array(fc.oneof(text, fc.jsonValue())) },
  { weight: 1, arbitrary: fc.jsonValue() },
);
const owner = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: -1, max: 4 }) },
  { weight: 1, arbitrary: fc.oneof(fc.double(), fc.jsonValue()) },
);
const columns = fc.record(
  { members: list, resources: list, owners: fc.oneof(fc.array(owner, { maxLength: 5 }), fc.jsonValue()) },
  { requiredKeys: ["members", "resources"] },
);
const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

export const target: FuzzTarget<Uint8Array> = {
  name: "stored plan",
  inputs: fc.oneof(
    { weight: 8, arbitrary: columns.map((value) => deflateSync(encode(value))) },
    { weight: 1, arbitrary: fc.uint8Array().map((bytes) => deflateSync(bytes)) },
    { weight: 1, arbitrary: fc.uint8Array() },
  ),
  show: (bytes) => {
    const decoded = decodePlan(bytes);
    if (decoded.kind === "garbage") return [decoded.reason];
    const members = new Set(decoded.plan.members);
    for (const id of decoded.plan.owners.values())
      if (!members.has(id)) throw new Error("an unknown owner is accepted");
    return [];
  },
  // Not compressed: the cost of a size is measured, not that of a short text which grows to it.
  grown: (piece, size) => {
    const nameAt = (index: number): string => `${String(index).padStart(7, "0")}${fill(piece, 25)}`;
    const names = Array.from({ length: size / 64 }, (_, index) => nameAt(index));
    const grown = { members: names, resources: names, owners: names.map((_, index) => index) };
    return deflateSync(encode(grown), { level: 0 });
  },
};
