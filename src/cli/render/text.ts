/**
 * Lines of output as values: text with styles. What they are made of may come from anywhere; `showLine` makes it printable,
 * so the only control characters in its result are its own colours.
 */
import { printable } from "../../log/printable.ts";

export type Style = "good" | "bad" | "dim" | "strong";

export interface Span {
  readonly text: string;
  readonly style: Style | null;
}

/** One line. Line breaks in it are shown as `\u000a`. */
export type Line = readonly Span[];

/** What a line can be made of. */
export type Part = string | number | boolean | Span | Line;

const CODES: Readonly<Record<Style, number>> = { good: 32, bad: 31, dim: 2, strong: 1 };

/** Wider lines are cut, on every output: no answer may flood it. */
export const MAX_COLUMNS = 2_000;

/** UTF-16 units that are more than a line has columns: what follows them is never shown. */
const MAX_UNITS = 2 * MAX_COLUMNS + 2;

/** One column each. */
const ASCII = /^[\x20-\x7e]*$/;
/** Code points from U+1100 to U+FFFF that take one column. All others from U+1100 on count as two. */
const NARROW =
  /^(?!\p{Emoji_Presentation})[\u1160-\u2328\u232b-\u2e7f\ufb00-\ufdff\ufe70-\ufeff\uff61-\uffdc\uffe8-\uffff]$/u;
const FIRST_WIDE = 0x1100;
const MAX_CHARACTER_COLUMNS = 2;
const ELLIPSIS = "…";

/** A template of parts: `` line`Leader:    ${strong(leader)}` ``. */
export function line(texts: TemplateStringsArray, ...values: readonly Part[]): Line {
  return texts.flatMap((text, index) => {
    const value = values[index];
    return [span(text), ...(value === undefined ? [] : lineOf(value))];
  });
}

export function lineOf(part: Part): Line {
  if (typeof part !== "object") return [span(String(part))];
  return "text" in part ? [part] : part;
}

export function good(text: string): Span {
  return span(text, "good");
}

export function bad(text: string): Span {
  return span(text, "bad");
}

export function dim(text: string): Span {
  return span(text, "dim");
}

export function strong(text: string): Span {
  return span(text, "strong");
}

/** The whole line in one style. */
export function styled(part: Part, style: Style): Line {
  return lineOf(part).map(({ text }) => span(text, style));
}

function span(text: string, style: Style | null = null): Span {
  return { text: printable(text.length > MAX_UNITS ? text.slice(0, MAX_UNITS) : text), style };
}

/** Columns that the text takes on a terminal, or more: what is not known to be narrow counts as wide. */
export function widthOf(part: Part): number {
  let width = 0;
  for (const { text } of lineOf(part)) {
    if (ASCII.test(text)) width += text.length;
    else for (const character of text) width += columnsOf(character);
  }
  return width;
}

function columnsOf(character: string): number {
  return (character.codePointAt(0) ?? 0) < FIRST_WIDE || NARROW.test(character) ? 1 : 2;
}

/** The line with at most this number of columns; `…` stands for what is cut off. */
export function cut(part: Part, columns: number): Line {
  const whole = lineOf(part);
  if (widthOf(whole) <= columns) return whole;
  const kept: Span[] = [];
  let left = columns - 1;
  for (const { text, style } of whole) {
    const head = headOf(text, left);
    kept.push({ text: head, style });
    left -= widthOf(head);
    if (head.length < text.length) break;
  }
  return [...kept, { text: ELLIPSIS, style: null }];
}

/** As much of the text as fits into this number of columns. */
function headOf(text: string, columns: number): string {
  let width = 0;
  let length = 0;
  for (const character of text) {
    width += columnsOf(character);
    if (width > columns) break;
    length += character.length;
  }
  return text.slice(0, length);
}

/**
 * The line as several lines of at most this number of columns, but at least 2, broken at blanks. All but the first are indented, by
 * no more than half of the columns.
 */
export function wrap(part: Part, most: number, wantedIndent: number): Line[] {
  const columns = Math.max(MAX_CHARACTER_COLUMNS, most);
  const indent = Math.min(wantedIndent, Math.floor(columns / 2) - 1);
  const lines: Span[][] = [[]];
  let width = 0;
  const put = (text: string, style: Style | null): void => {
    lines.at(-1)?.push({ text, style });
    width += widthOf(text);
  };
  const breakLine = (): void => {
    lines.push([]);
    width = 0;
    put(" ".repeat(indent), null);
  };
  for (const { text, style } of cut(part, MAX_COLUMNS)) {
    for (const word of text.split(/(?<= )(?=[^ ])/)) {
      if (width + widthOf(word.trimEnd()) > columns && width > indent) breakLine();
      let rest = word;
      while (rest !== "" && widthOf(rest.trimEnd()) > columns - width) {
        const head = headOf(rest, Math.max(MAX_CHARACTER_COLUMNS, columns - width));
        put(head, style);
        rest = rest.slice(head.length);
        breakLine();
      }
      put(rest, style);
    }
  }
  return lines;
}

/** The line as a string. `colours`: whether the styles become escape sequences. */
export function showLine(part: Part, colours: boolean): string {
  return cut(part, MAX_COLUMNS)
    .map(({ text, style }) => {
      const safe = printable(text);
      return colours && style !== null ? `\x1b[${CODES[style]}m${safe}\x1b[0m` : safe;
    })
    .join("")
    .trimEnd();
}

/** The lines of a text of the program's own: help, a script, JSON. They are not cut. */
export function safeLines(text: string): string[] {
  return text.split("\n").map((one) => printable(one));
}
