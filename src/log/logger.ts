/** Where log lines go. Every line passes `redact`, so that no secret is logged. */
import { messageOf } from "../errors.ts";
import { JsonLines } from "./json-lines.ts";
import { redact, redactText } from "./redact.ts";

/**
 * A logger in pino's shape: `(fields, message)`, in this order. pino, bunyan and `console` can be passed as they are. Secrets
 * have been removed from both arguments.
 *
 * Calls are synchronous and should return soon. The first one that throws is reported as a process warning
 * (`NatsLeaderWarning`); the election is unaffected. A logger with pino's `isLevelEnabled(level)` is asked before each line.
 *
 * `fields` has `event` (docs/reference.md lists all), `cluster`, `node`, `incarnation` and, depending on the event, `epoch`,
 * `reason`, `code` or `err`.
 *
 * @example
 * ```ts
 * const node = new Node({ clusterId: "billing", nodeId: "a", servers: "nats://localhost:4222", logger: pino() });
 * ```
 */
export interface Logger {
  debug(fields: object, message?: string): void;
  info(fields: object, message?: string): void;
  warn(fields: object, message?: string): void;
  error(fields: object, message?: string): void;
}

/** Fields that a logger adds to each line. */
export interface LogBindings {
  readonly cluster?: string;
  readonly node?: string;
  readonly group?: string;
  readonly member?: string;
  readonly incarnation?: string;
}

/** A logger that removes secrets, and of which a child can be bound to a node. */
export interface BoundLogger extends Logger {
  child(bindings: LogBindings): BoundLogger;
}

export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
type LogMethod = Exclude<LogLevel, "silent">;

export interface LoggerOptions {
  /**
   * Level of the built-in logger; a logger that is passed in has its own.
   *
   * @default The environment variable `LOG_LEVEL`, else `"info"`.
   */
  readonly level?: LogLevel | undefined;
  /** Replaces the built-in logger; `false`: nothing is logged. */
  readonly logger?: Logger | false | undefined;
}

/** The built-in logger writes JSON lines to stderr without waiting for its reader; at the exit it writes what is accepted at once. */
export function createLogger(options: LoggerOptions = {}): BoundLogger {
  const { logger } = options;
  if (logger === false) return SILENT;
  if (logger !== undefined) return new GuardedLogger(logger, {});
  const level = options.level ?? levelFromEnv(process.env["LOG_LEVEL"]);
  return level === "silent" ? SILENT : new GuardedLogger(new JsonLines(level), {});
}

const SILENT: BoundLogger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child() {
    return SILENT;
  },
};

/** `LOG_LEVEL` may be set for another logger of the application: its levels are mapped, and unknown ones ignored. */
function levelFromEnv(value: string | undefined): LogLevel {
  const level = value?.trim().toLowerCase() ?? "";
  if (level === "trace") return "debug";
  if (level === "fatal") return "error";
  return LOG_LEVELS.find((known) => known === level) ?? "info";
}

class GuardedLogger implements BoundLogger {
  readonly #sink: Logger & { isLevelEnabled?: unknown };
  readonly #bindings: LogBindings;

  constructor(sink: Logger, bindings: LogBindings) {
    this.#sink = sink;
    this.#bindings = bindings;
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

  child(bindings: LogBindings): BoundLogger {
    return new GuardedLogger(this.#sink, { ...this.#bindings, ...bindings });
  }

  /** Bindings are merged here: not every logger has a `child` method. */
  #write(method: LogMethod, fields: object, message: string | undefined): void {
    try {
      const { isLevelEnabled } = this.#sink;
      if (typeof isLevelEnabled === "function" && isLevelEnabled.call(this.#sink, method) === false) return;
      const own = fields instanceof Error ? { err: fields } : fields;
      const line = redact({ ...this.#bindings, ...own }) as object;
      if (message === undefined) this.#sink[method](line);
      else this.#sink[method](line, redactText(message));
    } catch (error) {
      reportOnce(error);
    }
  }
}

let reported = false;

/** A failing log must not affect the election. */
function reportOnce(error: unknown): void {
  if (reported) return;
  reported = true;
  const why = redactText(messageOf(error));
  process.emitWarning(`the logger threw: ${why}; further failures are not reported`, "NatsLeaderWarning");
}
