/** What the starter prints: a table that is redrawn in place on a terminal, lines for pipes and logs, or JSON. */
import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import type { Verdict } from "./count.ts";

export interface Snapshot {
  readonly sent: number;
  readonly stored: number;
  readonly sentPerSecond: number;
  readonly storedPerSecond: number;
  readonly duplicatesRemoved: number;
  readonly deadLetters: number;
  readonly refused: number;
  readonly lag: number;
  readonly instances: readonly InstanceRow[];
}

export interface InstanceRow {
  readonly number: number;
  readonly instance: string;
  readonly state: "starting" | "ready" | "frozen" | "stopping";
  readonly storedPerSecond: number;
  /** Of what all instances store, in per cent. */
  readonly share: number;
  readonly partitions: readonly {
    readonly partition: string;
    readonly lag: number;
    readonly paused: boolean;
  }[];
}

export interface ViewOptions {
  readonly out: NodeJS.WriteStream;
  readonly json: boolean;
  readonly snapshot: () => Snapshot;
  /** A line that was typed. `null`: no commands are read from stdin. */
  readonly onLine: ((line: string) => void) | null;
  readonly onInterrupt: () => void;
}

export interface View {
  note(text: string): void;
  status(): void;
  result(verdict: Verdict): void;
  close(): void;
}

const STATUS_MS = { json: 1000, plain: 5000, live: 500 };
const DEFAULT_COLUMNS = 100;

export function openView(options: ViewOptions): View {
  const { out, json, onLine } = options;
  const { NO_COLOR, CI, TERM } = process.env;
  if (json) return jsonView(options);
  const isLive = out.isTTY && onLine !== null && process.stdin.isTTY && !NO_COLOR && !CI && TERM !== "dumb";
  return isLive ? liveView(options) : plainView(options);
}

function jsonView({ out, snapshot, onLine }: ViewOptions): View {
  const print = (line: object): void => void out.write(`${JSON.stringify(line)}\n`);
  const at = (): string => new Date().toISOString();
  const status = (): void => print({ type: "status", at: at(), ...snapshot() });
  const timer = setInterval(status, STATUS_MS.json);
  const closeInput = readLines(onLine);
  return {
    note: (text) => print({ type: "note", at: at(), text }),
    status,
    result: (verdict) => print({ type: "result", at: at(), ...verdict }),
    close() {
      clearInterval(timer);
      closeInput();
    },
  };
}

function plainView({ out, snapshot, onLine }: ViewOptions): View {
  const began = performance.now();
  const print = (lines: readonly string[]): void => void out.write(lines.map((line) => `${line}\n`).join(""));
  const status = (): void => print(table(snapshot()).map((line) => `          ${line}`));
  const timer = setInterval(status, STATUS_MS.plain);
  const closeInput = readLines(onLine);
  return {
    note: (text) => print([`${clock(began)}  ${text}`]),
    status,
    result: (verdict) => print(["", ...resultLines(verdict)]),
    close() {
      clearInterval(timer);
      closeInput();
    },
  };
}

function readLines(onLine: ViewOptions["onLine"]): () => void {
  if (onLine === null) return () => {};
  const lines = createInterface({ input: process.stdin }).on("line", onLine);
  return () => lines.close();
}

/** Notes scroll; the table and the line that is typed stay below them. */
function liveView({ out, snapshot, onLine, onInterrupt }: ViewOptions): View {
  const began = performance.now();
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const input = createInterface({ input: process.stdin, output: silent, terminal: true });
  let height = 0;
  const erase = (): string => (height === 0 ? "" : `\x1b[${Math.max(1, height - 1)}A\r\x1b[J`);
  const draw = (notes: readonly string[] = []): void => {
    const width = (out.columns || DEFAULT_COLUMNS) - 1;
    const lines = ["", ...table(snapshot()), `> ${input.line}`];
    const all = [...notes.map((note) => note.slice(0, width)), ...lines.map((line) => line.slice(0, width))];
    out.write(erase() + all.join("\r\n"));
    height = lines.length;
  };
  input.on("line", (line) => {
    draw([`> ${line}`]);
    onLine?.(line);
  });
  input.on("SIGINT", onInterrupt);
  const onKey = (): void => draw();
  process.stdin.on("keypress", onKey);
  const timer = setInterval(draw, STATUS_MS.live);
  const close = (): void => {
    clearInterval(timer);
    process.stdin.off("keypress", onKey);
    input.close();
    out.write(`${erase()}\r\n`);
  };
  return {
    note: (text) => draw([`${clock(began)}  ${text}`]),
    status: draw,
    result: (verdict) => draw(["", ...resultLines(verdict)]),
    close,
  };
}

/** The state of the bridge, as lines. */
export function table(now: Snapshot): string[] {
  const sums = [
    `${now.sentPerSecond}/s sent`,
    `${now.storedPerSecond}/s stored`,
    `lag ${now.lag}`,
    `duplicates removed ${now.duplicatesRemoved}`,
    `dead letters ${now.deadLetters}`,
    `late writes refused ${now.refused}`,
  ];
  const rows = now.instances.map(({ number, instance, state, storedPerSecond, share, partitions }) => {
    const owned = partitions.map(({ partition, paused }) => (paused ? `${partition} (paused)` : partition));
    return [
      String(number).padStart(2),
      instance.padEnd(16),
      state.padEnd(8),
      `${storedPerSecond}/s`.padStart(8),
      `${share} %`.padStart(5),
      ` partitions ${owned.join(" ") || "none"}`,
    ].join("  ");
  });
  return [sums.join("  "), ...rows];
}

export function resultLines(verdict: Verdict): string[] {
  const { messages, ticks, stored, duplicatesRemoved, deadLetters, lost, duplicates, staleAccepted } =
    verdict;
  const row = (name: string, value: number): string => `${name.padEnd(28)}${String(value).padStart(8)}`;
  return [
    row("messages in the stream", messages),
    row("different ticks", ticks),
    row("stored", stored),
    row("duplicates removed", duplicatesRemoved),
    row("dead letters", deadLetters),
    row("lost", lost),
    row("stored twice", duplicates),
    row("stale writes accepted", staleAccepted),
    ...verdict.problems.map((problem) => `PROBLEM: ${problem}`),
    verdict.ok
      ? "OK: every message was stored exactly once, or is a dead letter"
      : "FAILED: not every message was dealt with exactly once",
  ];
}

function clock(began: number): string {
  return `${((performance.now() - began) / 1000).toFixed(1).padStart(6)} s`;
}
