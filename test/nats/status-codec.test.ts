import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeStatus, MAX_STATUS_BYTES, readStatus } from "../../src/nats/service/status-codec.ts";
import type { NodeStatus } from "../../src/runtime/backend.ts";

const GO = { nodeId: "a", role: "PRIMARY", leader: "a", epoch: 3, uptimeMs: 17, connected: true } as const;
const OURS: NodeStatus = {
  ...GO,
  clusterId: "billing",
  incarnation: "0123456789abcdef",
  state: "leader",
  held: true,
  competes: true,
  presence: "on",
  crashDetection: "silence",
  silenceMs: 2_000,
  leaseTtlMs: 10_000,
  version: "1.0.0",
  leastMarginMs: 6_411.5,
  suspensions: 1,
  suspicions: { closed: 1, silent: 0, alive: 2, unanswered: 0, overtaken: 3 },
  beatRoundTripMs: 0.4,
  server: "n1",
  vipHeld: false,
};

const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

test("a full status is decoded field by field, and unknown fields are dropped", () => {
  expect(decodeStatus(encode({ ...OURS, zone: "eu" }))).toEqual(OURS);
});

test("the six fields of a go-cluster node are a status", () => {
  expect(decodeStatus(encode(GO))).toEqual(GO);
  expect(decodeStatus(encode({ ...GO, leader: "", epoch: 0, uptimeMs: 0.5 }))).not.toBeNull();
});

describe("one of the six fields is missing or invalid: no status", () => {
  test.each(Object.keys(GO))("%s is missing", (field) => {
    const { [field]: _, ...rest } = GO as Record<string, unknown>;
    expect(decodeStatus(encode(rest))).toBeNull();
  });

  test.each([
    ["nodeId", ""],
    ["nodeId", "x".repeat(65)],
    ["nodeId", "a b"],
    ["nodeId", "\u001b[2J"],
    ["leader", "a.b"],
    ["nodeId", 7],
    ["role", "primary"],
    ["role", null],
    ["leader", null],
    ["leader", "x".repeat(65)],
    ["epoch", -1],
    ["epoch", 1.5],
    ["epoch", 2 ** 60],
    ["epoch", "3"],
    ["uptimeMs", -1],
    ["uptimeMs", "17"],
    ["connected", "true"],
    ["connected", 1],
  ])("%s is %j", (field, value) => {
    expect(decodeStatus(encode({ ...GO, [field]: value }))).toBeNull();
  });
});

test.each([
  ["clusterId", 1],
  ["incarnation", null],
  ["state", {}],
  ["held", "yes"],
  ["competes", 0],
  ["standby", "asleep"],
  ["standbyMs", -1],
  ["presence", "maybe"],
  ["leaseTtlMs", -1],
  ["version", "x".repeat(256)],
  ["version", "1.0.0\u001b[2J"],
  ["version", `1.0.0-${"0".repeat(300)}`],
  ["clusterId", "a*"],
  ["incarnation", "a\u202eb"],
  ["blocked", "onBecomeLeader\nfor 5 s"],
  ["duplicate", "\u0000"],
  ["leastMarginMs", -1],
  ["suspensions", 1.5],
  ["suspicions", [1]],
  ["suspicions", { closed: 1, silent: 0, alive: 2, unanswered: 0 }],
  ["suspicions", { closed: 1, silent: 0, alive: 2, unanswered: 0, overtaken: "3" }],
  ["beatRoundTripMs", "0.4"],
  ["server", "n1\n"],
  ["vipHeld", "no"],
])("an invalid %s is left out", (field, value) => {
  const { [field]: _, ...rest } = OURS as unknown as Record<string, unknown>;
  expect(decodeStatus(encode({ ...OURS, [field]: value }))).toEqual(rest);
});

test("anything but a JSON object of at most 16 KiB is no status", () => {
  for (const value of [null, [], [GO], "a", 1, true]) expect(decodeStatus(encode(value))).toBeNull();
  expect(decodeStatus(new Uint8Array(0))).toBeNull();
  expect(decodeStatus(encode({ ...GO, pad: "x".repeat(MAX_STATUS_BYTES) }))).toBeNull();
  expect(readStatus(null)).toBeNull();
});

test("decoding never throws", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void decodeStatus(bytes)));
  const fields = Object.fromEntries(Object.keys(OURS).map((key) => [key, fc.anything()]));
  fc.assert(fc.property(fc.record(fields), (json) => void readStatus(json as Record<string, unknown>)));
});
