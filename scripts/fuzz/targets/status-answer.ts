/** The body of a node's status answer. */
import fc from "fast-check";
import { decodeStatus } from "../../../src/nats/service/status-codec.ts";
import { type FuzzTarget, fill } from "../target.ts";

const text = fc.oneof(
  { weight: 4, arbitrary: fc.stringMatching(/^[A-Za-z0-9_.-]{1,64}$/) },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 300 }) },
  { weight: 1, arbitrary: fc.constantFrom("", "leader", "on", "toString", "__proto__") },
);
const number = fc.oneof(fc.nat(), fc.maxSafeInteger(), fc.double());
const role = fc.oneof({ weight: 6, arbitrary: fc.constantFrom("PRIMARY", "PASSIVE") }, text);
const status = fc.record(
  {
    nodeId: text,
    role,
    leader: text,
    epoch: number,
    uptimeMs: number,
    connected: fc.boolean(),
    clusterId: text,
    incarnation: text,
    state: text,
    held: fc.boolean(),
    competes: fc.boolean(),
    presence: text,
    crashDetection: text,
    silenceMs: number,
    leaseTtlMs: number,
    version: text,
    blocked: text,
    duplicate: text,
    vipHeld: fc.boolean(),
  },
  { requiredKeys: ["nodeId", "role", "leader", "epoch", "uptimeMs", "connected"] },
);
const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

export const target: FuzzTarget<Uint8Array> = {
  name: "status answer",
  inputs: fc.oneof(
    { weight: 8, arbitrary: status.map(encode) },
    { weight: 1, arbitrary: fc.jsonValue().map(encode) },
    { weight: 1, arbitrary: fc.uint8Array() },
  ),
  show: (bytes) => {
    const decoded = decodeStatus(bytes);
    return Object.values(decoded ?? {}).filter((value) => typeof value === "string");
  },
  grown: (piece, size) =>
    encode({
      nodeId: "a",
      role: "PASSIVE",
      leader: fill(piece, size),
      epoch: 1,
      uptimeMs: 1,
      connected: true,
    }),
};
