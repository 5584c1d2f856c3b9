/** Against a real server: test/nats/partition-mapping.test.ts. */
import { expect, test } from "vitest";
import { partitionOf } from "../../src/group/partition.ts";

const HASHES = 2 ** 31 - 1;

test.each([
  // Test vectors of FNV-1a, 32 bits (Noll): "", "a", "b", "foobar".
  ["", 0x811c9dc5],
  ["a", 0xe40c292c],
  ["b", 0xe70c2de5],
  ["foobar", 0xbf9cf968],
])("the hash of %j is FNV-1a", (key, hash) => {
  expect(partitionOf(key, HASHES)).toBe(hash % HASHES);
  expect(partitionOf(key, 10)).toBe(hash % 10);
});

test("tokens count as one text, and a text as its UTF-8 bytes", () => {
  expect(partitionOf(["foo", "bar"], HASHES)).toBe(partitionOf("foobar", HASHES));
  expect(partitionOf(["fo", "", "obar"], HASHES)).toBe(partitionOf("foobar", HASHES));
  expect(partitionOf([], HASHES)).toBe(partitionOf("", HASHES));
  const bytes = new TextEncoder().encode("a\u{e4}\u{1f600}b");
  const hash = bytes.reduce((all, byte) => Math.imul(all ^ byte, 16_777_619), 0x811c9dc5) >>> 0;
  expect(partitionOf("a\u{e4}\u{1f600}b", HASHES)).toBe(hash % HASHES);
  expect(partitionOf(["a", "\u{e4}\u{1f600}", "b"], HASHES)).toBe(hash % HASHES);
});

test.each([0, -1, 1.5, Number.NaN, 2 ** 31, "6" as never])("%j partitions are refused", (partitions) => {
  expect(() => partitionOf("a", partitions)).toThrow(
    `number of partitions is ${partitions}: it must be a whole number from 1 to 2147483647`,
  );
});
