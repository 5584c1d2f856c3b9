/** Output to the terminal. */

type Paint = (text: string) => string;

export interface Colours {
  readonly good: Paint;
  readonly bad: Paint;
  readonly dim: Paint;
  readonly strong: Paint;
}

const PLAIN: Colours = { good: same, bad: same, dim: same, strong: same };
const BRIGHT: Colours = { good: paint(32), bad: paint(31), dim: paint(2), strong: paint(1) };

/** Follows https://no-color.org and https://force-color.org; otherwise colours only a terminal that is not dumb. */
export function coloursFor(
  stream: { readonly isTTY?: boolean },
  env: NodeJS.ProcessEnv = process.env,
): Colours {
  if ((env["NO_COLOR"] ?? "") !== "") return PLAIN;
  if ((env["FORCE_COLOR"] ?? "0") !== "0") return BRIGHT;
  return stream.isTTY === true && env["TERM"] !== "dumb" ? BRIGHT : PLAIN;
}

function same(text: string): string {
  return text;
}

function paint(code: number): Paint {
  return (text) => `\x1b[${code}m${text}\x1b[0m`;
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Indented like go-cluster's output. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}

/** One value per line, for commands that print more than one. */
export function printJsonLine(value: unknown): void {
  print(JSON.stringify(value));
}

/** A message for people. It goes to stderr because a program may read stdout. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences have no width
const ESCAPES = /\x1b\[\d+m/g;

/** Pads each column to its widest cell, except the last column. */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  colours: Colours,
): string[] {
  const width = (text: string): number => text.replace(ESCAPES, "").length;
  const widths = head.map((title, column) =>
    Math.max(width(title), ...rows.map((row) => width(row[column] ?? ""))),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) =>
        column === cells.length - 1 ? cell : cell + " ".repeat((widths[column] ?? 0) - width(cell)),
      )
      .join("  ")
      .trimEnd();
  return [colours.dim(line(head)), ...rows.map(line)];
}
