/** Everything that a command prints goes through src/cli/output.ts. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test, vi } from "vitest";
import * as output from "../../src/cli/output.ts";
import { line, strong } from "../../src/cli/render/text.ts";
import { HOSTILE, UNSAFE, withoutStyles } from "./hostile.ts";

const SOURCE = fileURLToPath(new URL("../../src/", import.meta.url));
/** Ways to write to stdout and stderr. */
const WRITES =
  /process\.(?:stdout|stderr)(?:\.write|\s*[,;)\]])|\bconsole\.|\bwriteSync\(|\bwriteFileSync\(\s*[12]\b/;
/** The printer, and the log of a node, whose lines go through src/log/printable.ts, too. */
const WRITERS = ["cli/output.ts", "log/line-writer.ts"];

function filesBelow(folder: string): string[] {
  return readdirSync(join(SOURCE, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => `${folder}/${name}`);
}

test("no other file of the command line writes to stdout or stderr", () => {
  const files = ["cli", "doctor", "manager", "log"].flatMap(filesBelow);
  const writing = files.filter((file) => {
    const code = readFileSync(join(SOURCE, file), "utf8").replaceAll(/^\s*(?:\/\/|\/?\*).*$/gm, "");
    return WRITES.test(code);
  });
  expect(writing.sort()).toEqual(WRITERS);
});

/** What `print` writes to stdout and stderr. */
function writtenBy(print: () => void): string {
  let written = "";
  const spies = [process.stdout, process.stderr].map((stream) =>
    vi.spyOn(stream, "write").mockImplementation((text) => {
      written += String(text);
      return true;
    }),
  );
  try {
    print();
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
  return written;
}

test.each(HOSTILE)("no function of the printer lets %j through", (text) => {
  const printers = [
    () => output.print(text),
    () => output.printLines([text, strong(text)]),
    () => output.note(text),
    () => output.noteLines([text]),
    () => output.printJson({ [text]: text }),
    () => output.printJsonLine({ text }),
    () => output.noteJson({ text }),
    () => output.printText(text),
    () => output.noteText(text),
  ];
  // A new function of the printer belongs into this list.
  const others = ["hasColours", "isTerminal", "columnsOfOutput", "Screen"];
  expect(Object.keys(output)).toHaveLength(printers.length + others.length);
  for (const print of printers) expect(withoutStyles(writtenBy(print))).not.toMatch(UNSAFE);
});

test("text of several lines stays as it is", () => {
  expect(writtenBy(() => output.printText("one\ntwo\n  three"))).toBe("one\ntwo\n  three\n");
});

test("a screen has only the control sequences that draw it", () => {
  const drawn = writtenBy(() => {
    const screen = new output.Screen(() => HOSTILE.map((text) => line`${text}`));
    screen.draw();
    screen.close();
  });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the sequences of the screen
  expect(drawn.replaceAll(/\x1b\[(?:2J|H|K|J|\?1049[hl]|\?25[hl])|\r\n/g, "")).not.toMatch(UNSAFE);
});

test("rendering is pure: it reads no clock, no environment and no terminal", () => {
  for (const file of filesBelow("cli/render")) {
    const code = readFileSync(join(SOURCE, file), "utf8");
    expect([file, code.match(/\bprocess\.|\bDate\.now|\bnew Date\(\)|\bsetTimeout|from "node:/g)]).toEqual([
      file,
      null,
    ]);
  }
});
