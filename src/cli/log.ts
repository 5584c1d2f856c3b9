/** The log of `daemon` and `run`: go-cluster's format (slog's text format), or JSON lines. */
import { LineWriter } from "../log/line-writer.ts";
import type { Logger, LogLevel } from "../log/logger.ts";

type Level = Exclude<LogLevel, "silent">;

const RANK: Readonly<Record<Level, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

/** Events of the node that the daemon also logs, with go-cluster's message. The node's own line is shown at debug level. */
const LOGGED_BY_DAEMON: ReadonlySet<unknown> = new Set([
  "become-leader",
  "leader-change",
  "nats-reconnect",
  "stopped",
]);

export interface LogOptions {
  /** Asked for each line. */
  readonly level: () => LogLevel;
  readonly json: boolean;
  readonly write: (line: string) => void;
}

/** Writes without waiting for the reader, and survives its end and a full disk: a log must not end a node. */
export function logTo(fd: 1 | 2): (line: string) => void {
  const name = fd === 1 ? "stdout" : "stderr";
  const writer = new LineWriter(fd, (dropped) =>
    textLine("warn", { dropped }, `log lines were dropped: ${name} did not accept them`),
  );
  return (line) => writer.write(line);
}

export function cliLogger({ level, json, write }: LogOptions): Logger {
  const at =
    (own: Level) =>
    (fields: object, message = ""): void => {
      const { event } = fields as { readonly event?: unknown };
      const shown: Level = own === "info" && LOGGED_BY_DAEMON.has(event) ? "debug" : own;
      const least = level();
      if (least === "silent" || RANK[shown] < RANK[least]) return;
      write(json ? jsonLine(shown, fields, message) : textLine(shown, fields, message));
    };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

function jsonLine(level: Level, fields: object, message: string): string {
  const shown = Object.entries(fields).map(([name, value]) => [
    name,
    value instanceof Error ? value.message : value,
  ]);
  return JSON.stringify({
    time: new Date().toISOString(),
    level,
    msg: message,
    ...Object.fromEntries(shown),
  });
}

function textLine(level: Level, fields: object, message: string): string {
  const rest = Object.entries(fields).flatMap(([name, value]) =>
    value === undefined || value === null ? [] : [`${name}=${cell(value)}`],
  );
  const head = `time=${new Date().toISOString()} level=${level.toUpperCase()} msg=${cell(message)}`;
  return [head, ...rest].join(" ");
}

function cell(value: unknown): string {
  const text =
    value instanceof Error
      ? value.message
      : Array.isArray(value)
        ? `[${value.join(" ")}]`
        : typeof value === "object"
          ? JSON.stringify(value)
          : String(value);
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text);
}
