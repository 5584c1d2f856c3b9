import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { GroupKey } from "../../src/group/core/types.ts";
import {
  decodeKey,
  encodeKey,
  MAX_RESOURCE_BYTES,
  resourceProblem,
} from "../../src/nats/group/group-keys.ts";

const ownerKey = (resource: string): GroupKey => ({ kind: "owner", resource });
const longest = (unit: string): string =>
  unit.repeat(Math.floor(MAX_RESOURCE_BYTES / Buffer.byteLength(unit)));

describe("the key of a resource", () => {
  test.each([
    ["orders-7", "owner.orders-7"],
    ["a.b", "owner.a=2Eb"],
    ["a b", "owner.a=20b"],
    ["=", "owner.=3D"],
    ["*", "owner.=2A"],
    [">", "owner.=3E"],
    ["é", "owner.=C3=A9"],
    ["\u{1F600}", "owner.=F0=9F=98=80"],
    ["\uFEFFx", "owner.=EF=BB=BFx"],
    ["coordinator", "owner.coordinator"],
    ["__proto__", "owner.__proto__"],
    ["\u0000", "owner.=00"],
  ])("%j is %s", (resource, key) => {
    expect(encodeKey(ownerKey(resource))).toBe(key);
    expect(decodeKey(key)).toEqual(ownerKey(resource));
  });

  test("is one token of a key that every client accepts, and reversible, whatever the name", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }), (resource) => {
        fc.pre(resourceProblem(resource) === null);
        const key = encodeKey(ownerKey(resource));
        expect(key).toMatch(/^owner\.[A-Za-z0-9_=-]+$/);
        expect(decodeKey(key)).toEqual(ownerKey(resource));
      }),
    );
  });

  test("differs for different names", () => {
    const name = fc.string({ unit: "binary", minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(name, name, (one, other) => {
        fc.pre(one !== other && resourceProblem(one) === null && resourceProblem(other) === null);
        expect(encodeKey(ownerKey(one))).not.toBe(encodeKey(ownerKey(other)));
      }),
    );
  });

  test.each(["x", "é", "漢", "\u{1F600}"])("may be of %j up to the limit, and no longer", (unit) => {
    const name = longest(unit);
    const key = encodeKey(ownerKey(name));
    expect(key.length).toBeLessThanOrEqual("owner.".length + MAX_RESOURCE_BYTES * 3);
    expect(decodeKey(key)).toEqual(ownerKey(name));
    expect(() => encodeKey(ownerKey(name + unit))).toThrow(
      `the name of a resource has ${Buffer.byteLength(name + unit)} bytes as UTF-8, at most ${MAX_RESOURCE_BYTES} are allowed`,
    );
  });

  test.each([
    ["", "is empty"],
    ["a\uD83D", "is not valid Unicode: it has half of a surrogate pair"],
    ["\uDE00", "is not valid Unicode: it has half of a surrogate pair"],
    [7, "is not a text"],
    [undefined, "is not a text"],
  ])("%j is not allowed: it %s", (name, problem) => {
    expect(resourceProblem(name)).toBe(problem);
  });
});

describe("a key", () => {
  test.each<[GroupKey, string]>([
    [{ kind: "coordinator" }, "coordinator"],
    [{ kind: "plan" }, "plan"],
    [{ kind: "session", memberId: "node-1" }, "session.node-1"],
  ])("%j is %s", (key, text) => {
    expect(encodeKey(key)).toBe(text);
    expect(decodeKey(text)).toEqual(key);
  });

  test.each([
    "",
    "owner",
    "owner.",
    "owner.a.b",
    "session.",
    "session.a.b",
    "session.a=2E",
    `session.${"a".repeat(65)}`,
    "presence.7",
    "plan.x",
    "Plan",
    "owner.=41", // A has one text
    "owner.=2e",
    "owner.=2",
    "owner.=",
    "owner.=C3",
    "owner.=C0=AF", // an overlong encoding
    "owner.=ED=A0=80", // half of a surrogate pair
    `owner.${"a".repeat(MAX_RESOURCE_BYTES + 1)}`,
    `owner.${"=C3=A9".repeat(MAX_RESOURCE_BYTES)}`,
  ])("of %j is none of ours", (text) => {
    expect(decodeKey(text)).toBeNull();
  });

  test("never makes the decoder throw, and has one text only", () => {
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc
        .string({ unit: fc.constantFrom(..."owner.=0123456789ABCDEFé".split("")) })
        .map((tail) => `owner.${tail}`),
    );
    fc.assert(
      fc.property(text, (given) => {
        const key = decodeKey(given);
        if (key !== null) expect(encodeKey(key)).toBe(given);
      }),
      { numRuns: 2000 },
    );
  });
});
