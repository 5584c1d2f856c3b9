/**
 * The built-in logger: one JSON object per line on stderr, with pino's field names and level numbers. pino itself and its ten
 * packages would be most of a bundled library. It never waits for the reader of stderr (`line-writer.ts`).
 */
import { hostname } from "node:os";
import type { LogFields } from "./events.ts";
import { LineWriter } from "./line-writer.ts";

const LEVELS = { debug: 20, info: 30, warn: 40, error: 50 } as const;

export type JsonLineLevel = keyof typeof LEVELS;

/** Writes lines of `level` and above. Fields must be free of cycles. */
export class JsonLines {
  readonly #least: number;

  constructor(level: JsonLineLevel) {
    this.#least = LEVELS[level];
  }

  isLevelEnabled(level: JsonLineLevel): boolean {
    return LEVELS[level] >= this.#least;
  }

  debug(fields: object, message?: string): void {
    this.#write("debug", fields, message);
  }

  info(fields: object, message?: string): void {
    this.#write("info", fields, message);
  }

  warn(fields: object, message?: string): void {
    this.#write("warn", fields, message);
  }

  error(fields: object, message?: string): void {
    this.#write("error", fields, message);
  }

  #write(level: JsonLineLevel, fields: object, msg: string | undefined): void {
    if (!this.isLevelEnabled(level)) return;
    writeLine(jsonLine(level, fields, msg), level === "error");
  }
}

/** One line as pino formats it. Without a message, the message is that of the error in `err`. */
export function jsonLine(level: JsonLineLevel, fields: object, message: string | undefined): string {
  const msg = message ?? ("err" in fields && fields.err instanceof Error ? fields.err.message : undefined);
  const { pid } = process;
  const line = {
    level: LEVELS[level],
    time: Date.now(),
    pid,
    hostname: host(),
    name: "nats-leader",
    ...fields,
    msg,
  };
  return JSON.stringify(line, (_, value: unknown) => (value instanceof Error ? plainError(value) : value));
}

let hostName: string | undefined;

/** Read with the first line: an import does no I/O. */
function host(): string {
  hostName ??= hostname();
  return hostName;
}

/** An error as pino's serializer writes it: the messages and stacks of its causes are appended to its own. */
function plainError(error: Error): object {
  const chain = causesOf(error);
  return {
    ...error,
    ...(error instanceof AggregateError ? { aggregateErrors: error.errors } : {}),
    type: error.constructor.name,
    message: chain.map(({ message }) => message).join(": "),
    stack: chain.map(({ stack }) => stack ?? "").join("\ncaused by: "),
  };
}

function causesOf(error: Error): Error[] {
  const chain: Error[] = [];
  for (let next: unknown = error; next instanceof Error; next = next.cause) chain.push(next);
  return chain;
}

let stderr: LineWriter | undefined;

/** One for all loggers of the process: the bound holds for their sum. */
function writeLine(line: string, urgent: boolean): void {
  stderr ??= new LineWriter(2, (dropped) =>
    jsonLine(
      "warn",
      { event: "log-dropped", dropped } satisfies LogFields,
      `${dropped} log lines were dropped: stderr did not accept them`,
    ),
  );
  stderr.write(line, urgent);
}
