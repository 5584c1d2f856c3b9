/**
 * The only place that writes to stdout and stderr, apart from the log of `daemon` and `run`. Everything it writes is printable:
 * text of records, answers and errors cannot reach the terminal as control characters.
 */
import { writeSync } from "node:fs";
import { type ScreenSize, sizeToKeep } from "./render/fit-screen.ts";
import { type Line, type Part, safeLines, showLine } from "./render/text.ts";
import { beforeTerminalStop } from "./signals.ts";

const HOME = "\x1b[H";
const CLEAR_SCREEN = "\x1b[2J";
const CLEAR_LINE = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";
/** The alternate screen without a cursor: what the terminal showed before is there again afterwards. */
const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";

/** A terminal that does not say its size. */
const DEFAULT_SIZE: ScreenSize = { columns: 80, rows: 24 };

/** Follows https://no-color.org and https://force-color.org; otherwise colours only a terminal that is not dumb. */
export function hasColours(
  stream: { readonly isTTY?: boolean },
  env: NodeJS.ProcessEnv = process.env,
): boolean {
  if ((env["NO_COLOR"] ?? "") !== "") return false;
  if ((env["FORCE_COLOR"] ?? "0") !== "0") return true;
  return stream.isTTY === true && env["TERM"] !== "dumb";
}

export function isTerminal(): boolean {
  return process.stdout.isTTY === true;
}

/** Columns for a table on stdout: unlimited unless it is a terminal. */
export function columnsOfOutput(): number {
  return isTerminal() ? sizeOfTerminal().columns : Number.POSITIVE_INFINITY;
}

function sizeOfTerminal(): ScreenSize {
  const { columns, rows } = process.stdout;
  return {
    columns: columns > 0 ? columns : DEFAULT_SIZE.columns,
    rows: rows > 0 ? rows : DEFAULT_SIZE.rows,
  };
}

export function print(part: Part): void {
  printLines([part]);
}

export function printLines(lines: readonly Part[]): void {
  write(process.stdout, lines);
}

/** A message for people. It goes to stderr because a program may read stdout. */
export function note(part: Part): void {
  noteLines([part]);
}

export function noteLines(lines: readonly Part[]): void {
  write(process.stderr, lines);
}

/** Indented like go-cluster's output. */
export function printJson(value: unknown): void {
  printText(JSON.stringify(value, null, 2));
}

/** One value per line, for commands that print more than one. */
export function printJsonLine(value: unknown): void {
  printText(JSON.stringify(value));
}

export function noteJson(value: unknown): void {
  noteText(JSON.stringify(value));
}

/** Several lines of the program's own, such as a script. Not cut. */
export function printText(text: string): void {
  process.stdout.write(`${safeLines(text).join("\n")}\n`);
}

export function noteText(text: string): void {
  process.stderr.write(`${safeLines(text).join("\n")}\n`);
}

function write(stream: NodeJS.WriteStream, lines: readonly Part[]): void {
  const colours = hasColours(stream);
  stream.write(lines.map((line) => `${showLine(line, colours)}\n`).join(""));
}

/**
 * The whole terminal, redrawn also when its size changes. It is given back at the end, whatever ends the process but SIGKILL, and while the process
 * is stopped (Ctrl-Z).
 */
export class Screen {
  readonly #content: (size: ScreenSize) => readonly Line[];
  readonly #onResize = (): void => this.#redraw();
  readonly #onExit = (): void => this.#leaveNow();
  readonly #endStops: () => void;
  /** The alternate screen is on. */
  #isOn = false;
  #drawn = false;
  #closed = false;

  /** @param content the lines for a size: at most `rows` lines of at most `columns` columns; all lines for `sizeToKeep`. */
  constructor(content: (size: ScreenSize) => readonly Line[]) {
    this.#content = content;
    process.stdout.on("resize", this.#onResize);
    process.on("exit", this.#onExit);
    this.#endStops = beforeTerminalStop(
      () => this.#leaveNow(),
      () => this.#redraw(),
    );
  }

  /** Other content may be where this one was. */
  #redraw(): void {
    if (!this.#drawn || this.#closed) return;
    process.stdout.write(CLEAR_SCREEN);
    this.draw();
  }

  /** Does not wait for the stream: nothing is written after an exit, or while the process is stopped. */
  #leaveNow(): void {
    if (!this.#isOn) return;
    this.#isOn = false;
    try {
      writeSync(process.stdout.fd, LEAVE);
    } catch {
      // The terminal is gone.
    }
  }

  draw(): void {
    if (this.#closed) return;
    const lines = this.#content(sizeOfTerminal());
    const colours = hasColours(process.stdout);
    // Overwriting line by line and clearing the rest avoids the flicker of clearing the screen first.
    const text = lines.map((one) => `${showLine(one, colours)}${CLEAR_LINE}`).join("\r\n");
    process.stdout.write(`${this.#isOn ? "" : `${ENTER}${CLEAR_SCREEN}`}${HOME}${text}${CLEAR_BELOW}`);
    this.#isOn = true;
    this.#drawn = true;
  }

  /** Gives the terminal back, and prints the whole last content on it. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    process.stdout.off("resize", this.#onResize);
    process.off("exit", this.#onExit);
    this.#endStops();
    if (!this.#drawn) return;
    process.stdout.write(this.#isOn ? LEAVE : "");
    this.#isOn = false;
    printLines(this.#content(sizeToKeep(sizeOfTerminal().columns)));
  }
}
