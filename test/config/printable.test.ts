import fc from "fast-check";
import { expect, test } from "vitest";
import { printable } from "../../src/log/printable.ts";

const TEXTS: readonly (readonly [string, string])[] = [
  ["billing-1", "billing-1"],
  ["Grüße, 日本, 👩", "Grüße, 日本, 👩"],
  ["\u001b[31mred", "\\u001b[31mred"],
  ["two\r\nlines\t", "two\\u000d\\u000alines\\u0009"],
  ["\u009b31m\u007f", "\\u009b31m\\u007f"],
  ["abc\u202egnp.exe", "abc\\u202egnp.exe"],
  ["a\u200bb\ufeffc\u2028d", "a\\u200bb\\ufeffc\\u2028d"],
  ["half \ud83d", "half \\ud83d"],
  ["tag \u{e0041}", "tag \\udb40\\udc41"],
];

test.each(TEXTS)("%j is printed as %j", (text, expected) => {
  expect(printable(text)).toBe(expected);
});

test("a text above the limit is cut", () => {
  expect(printable("abcdef", 3)).toBe("abc...");
  expect(printable("abc", 3)).toBe("abc");
  // A cut through a pair leaves no half of it.
  expect(printable("a👩b", 2)).toBe("a\\ud83d...");
});

test("what was made printable stays as it is", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const once = printable(text);
      expect(printable(once)).toBe(once);
    }),
  );
});
