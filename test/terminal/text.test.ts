/** Lines and tables: printable, and never wider than asked for. */
import { describe, expect, test } from "vitest";
import { errorLines } from "../../src/cli/render/error-lines.ts";
import { table } from "../../src/cli/render/table.ts";
import {
  bad,
  cut,
  good,
  type Line,
  line,
  MAX_COLUMNS,
  showLine,
  strong,
  widthOf,
  wrap,
} from "../../src/cli/render/text.ts";
import { printable } from "../../src/log/printable.ts";
import { HOSTILE, UNSAFE, withoutStyles } from "./hostile.ts";

describe("printable text", () => {
  test.each(HOSTILE)("no character of %j is left that a terminal interprets", (text) => {
    expect(printable(text)).not.toMatch(UNSAFE);
    expect(printable(text)).not.toContain("\n");
  });

  test("is unchanged if it is safe, also a second time", () => {
    const safe = "node-a_1 ± … é 漢字 ✓ \\u001b 🙂";
    expect(printable(safe)).toBe(safe);
    for (const text of HOSTILE) expect(printable(printable(text))).toBe(printable(text));
  });

  test("inside JSON the value stays the same", () => {
    for (const text of HOSTILE) expect(JSON.parse(printable(JSON.stringify(text)))).toBe(text);
  });

  test("shows a character as its UTF-16 units", () => {
    expect(printable("\x1b[2J\u{e0041}")).toBe("\\u001b[2J\\udb40\\udc41");
  });
});

describe("lines", () => {
  test("have only the escape sequences of their own styles", () => {
    for (const text of HOSTILE) {
      const shown = showLine(line`Leader: ${strong(text)}, ${text}${{ text, style: "bad" }}`, true);
      expect(withoutStyles(shown)).not.toMatch(UNSAFE);
    }
    expect(showLine(line`a ${good("b")}`, true)).toBe("a \x1b[32mb\x1b[0m");
    expect(showLine(line`a ${good("b")}`, false)).toBe("a b");
  });

  test("a style in the text itself is not applied", () => {
    expect(showLine(bad("x\x1b[0m\x1b[32mok"), true)).toBe("\x1b[31mx\\u001b[0m\\u001b[32mok\x1b[0m");
  });

  test("are cut at the limit of every output", () => {
    for (const text of HOSTILE) expect(widthOf(showLine(text, false))).toBeLessThanOrEqual(MAX_COLUMNS);
  });

  test("wide characters count as two columns", () => {
    expect([widthOf("ab"), widthOf("漢字"), widthOf("🙂"), widthOf("±…é")]).toEqual([2, 4, 2, 3]);
    expect(showLine(cut("漢字漢字", 5), false)).toBe("漢字…");
    expect(showLine(cut("漢字漢字", 4), false)).toBe("漢…");
  });

  test("wrap at blanks, or inside a word that is too long, with an indent", () => {
    const texts = (lines: readonly Line[]): string[] => lines.map((one) => showLine(one, false));
    expect(texts(wrap("one two three four", 10, 2))).toEqual(["one two", "  three", "  four"]);
    expect(texts(wrap(`a ${"x".repeat(12)} b`, 8, 2))).toEqual(["a xxxxxx", "  xxxxxx", "  b"]);
    for (const columns of [1, 2, 3, 5])
      expect(wrap(HOSTILE.join(" "), columns, 10).length).toBeGreaterThan(1);
    for (const text of HOSTILE) {
      const lines = wrap(line`${good("WARNING")}  ${text}`, 60, 10);
      expect(lines.filter((one) => widthOf(showLine(one, false)) > 60)).toEqual([]);
    }
  });

  test("an error of several lines cannot look like several messages", () => {
    const lines = errorLines('node "x" refused: no\nSuccessfully demoted\r\n  \x1b[2J').map((one) =>
      showLine(one, false),
    );
    expect(lines).toEqual(['Error: node "x" refused: no', "  Successfully demoted\\u000d", "  \\u001b[2J"]);
  });
});

describe("tables", () => {
  const shown = (lines: readonly Line[]): string[] => lines.map((one) => showLine(one, false));

  test("pad each column but the last", () => {
    const rows = [
      ["a", good("leader"), 1],
      ["漢字", "follower", ""],
    ];
    expect(shown(table(["NODE", "ROLE", "EPOCH"], rows))).toEqual([
      "NODE  ROLE      EPOCH",
      "a     leader    1",
      "漢字  follower",
    ]);
  });

  test("that do not fit are printed in parts, each with the first column", () => {
    const rows = [["n1", "1234567890", "1234567890", "1234567890"]];
    expect(shown(table(["SERVER", "B", "C", "D"], rows, 32))).toEqual([
      "SERVER  B           C",
      "n1      1234567890  1234567890",
      "",
      "SERVER  D",
      "n1      1234567890",
    ]);
  });

  test.each([8, 20, 40, 60, 80, 200])("fit %i columns whatever the cells contain", (columns) => {
    const rows = HOSTILE.map((text, index) => [text, String(index), HOSTILE.at(-index) ?? "", text]);
    const lines = shown(table(["NODE", "EPOCH", "VERSION", "WHY"], rows, columns));
    expect(lines.filter((one) => widthOf(one) > columns)).toEqual([]);
    expect(lines.filter((one) => UNSAFE.test(one))).toEqual([]);
  });

  test("have cells of bounded width on an output without a width", () => {
    const lines = shown(table(["NODE", "EPOCH"], [["x".repeat(5_000), "1"]]));
    expect(lines[1]).toBe(`${"x".repeat(79)}…  1`);
  });
});
