/** Errors as text and as JSON. */
import { bad, type Line, line } from "./text.ts";

const INDENT = "  ";

/** All lines but the first are indented: a message with text of other nodes cannot look like several messages. */
export function errorLines(message: string): Line[] {
  const [first = "", ...rest] = message.split("\n");
  return [line`${bad("Error:")} ${first}`, ...rest.map((one) => line`${INDENT}${one.trimStart()}`)];
}

/** What `--json` prints to stderr. */
export function errorJson(code: string, message: string, exitCode: number): object {
  return { ok: false, code, message, exitCode };
}
