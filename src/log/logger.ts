/** Where log lines go, and the guard every one of them passes: nothing secret is ever logged. */
import { JsonLines } from "./json-lines.ts";

/**
 * What this library needs of a logger: pino's shape. `(fields, message)`, in this order; pino, bunyan and `console` fit
 * as they are. Calls are synchronous and expected to return soon; one that throws is reported once as a process
 * warning and never disturbs the election.
 */
export interface Logger {
  debug(fields: object, message?: string): void;
  info(fields: object, message?: string): void;
  warn(fields: object, message?: string): void;
  error(fields: object, message?: string): void;
}

/** Who is speaking. Part of every line below the logger it was given to. */
export interface LogBindings {
  readonly cluster?: string;
  readonly node?: string;
  readonly incarnation?: string;
}

/** A logger that redacts what it is given and can be bound to a node. */
export interface BoundLogger extends Logger {
  child(bindings: LogBindings): BoundLogger;
}

export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
type LogMethod = Exclude<LogLevel, "silent">;

export interface LoggerOptions {
  /** Of the built-in logger; a logger that is passed in has its own. Default: `LOG_LEVEL`, else `info`. */
  readonly level?: LogLevel | undefined;
  /** Takes the lines instead of the built-in logger; `false`: nobody does. */
  readonly logger?: Logger | false | undefined;
}

/** The built-in logger writes JSON lines to stderr, synchronously, so that the last line before an exit is there. */
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

/** `LOG_LEVEL` often belongs to the application as a whole: a level of another logger is mapped, not refused. */
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

  /** Bindings are merged here instead of by the sink's own `child`, which not every logger has. */
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

/** The election must go on whatever becomes of its log. */
function reportOnce(error: unknown): void {
  if (reported) return;
  reported = true;
  const why = redactText(error instanceof Error ? error.message : String(error));
  process.emitWarning(
    `the logger threw: ${why}; further failures of it are not reported`,
    "NatsLeaderWarning",
  );
}

// ------------------------------------------------------------------------------------------------- redaction

const HIDDEN = "***";

/** Names whose values are hidden, compared in lower case without `_` and `-`. Numbers pass: a fencing token is one. */
const SECRET_NAMES: ReadonlySet<string> = new Set([
  "pass",
  "password",
  "passwd",
  "passphrase",
  "token",
  "authtoken",
  "accesstoken",
  "nkeyseed",
  "seed",
  "creds",
  "credentials",
  "jwt",
  "secret",
  "authorization",
  "authenticator",
  "privatekey",
]);

/** Secrets that can be told by their look, wherever they turn up. */
const NKEY_SEED = /\bS[ACNOUX][A-Z2-7]{56}\b/g;
const JWT = /\beyJ[\w-]+\.[\w-]+\.[\w-]*/g;
const PRIVATE_KEY = /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g;
/**
 * Up to the last `@` before a blank, because a password that was not escaped may contain `@`, `/`, `:` and quotes.
 * Hiding a harmless part of a path is the better mistake.
 */
const USER_INFO = /:\/\/\S*@/g;

/** Deeper or wider than this, values are left out: a log line is no place for them. */
const MAX_DEPTH = 6;
const MAX_ITEMS = 100;

/** Free text without the secrets that can be told by their look: credentials in urls, nkey seeds, JWTs, private keys. */
export function redactText(text: string): string {
  return text
    .replace(USER_INFO, `://${HIDDEN}@`)
    .replace(NKEY_SEED, HIDDEN)
    .replace(JWT, HIDDEN)
    .replace(PRIVATE_KEY, HIDDEN);
}

/** A server's url, or anything given in its place, without whatever stands before its last `@`. */
export function redactUrl(url: string): string {
  return url.replace(/^(\s*[a-z][a-z0-9+.-]*:\/\/)?.*@/is, `$1${HIDDEN}@`);
}

/** A copy fit for a log: same shape, values of secret names and secrets inside strings replaced by `***`. */
export function redact(value: unknown): unknown {
  return copy(value, 0, new Set());
}

function copy(value: unknown, depth: number, parents: Set<object>): unknown {
  if (typeof value === "string") return redactText(value);
  if (typeof value === "bigint") return String(value);
  if (typeof value === "function" || typeof value === "symbol") return undefined;
  if (typeof value !== "object" || value === null) return value;
  if (parents.has(value)) return "[circular]";
  if (depth > MAX_DEPTH) return "[too deep]";
  parents.add(value);
  try {
    return copyObject(value, depth, parents);
  } finally {
    parents.delete(value);
  }
}

function copyObject(value: object, depth: number, parents: Set<object>): unknown {
  if (value instanceof Error) return copyError(value, depth, parents);
  // Bytes may be the content of a creds file.
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (value instanceof Date) return value;
  if (value instanceof Map) return copy(Object.fromEntries(value), depth + 1, parents);
  if (value instanceof Set) return copy([...value], depth + 1, parents);
  if (Array.isArray(value))
    return value.slice(0, MAX_ITEMS).map((item: unknown) => copy(item, depth + 1, parents));
  const result: Record<string, unknown> = {};
  copyFields(value, result, depth, parents);
  return result;
}

/** Stays an `Error` of its class, so that serialisers treat it as one. */
function copyError(error: Error, depth: number, parents: Set<object>): Error {
  const result = Object.create(Object.getPrototypeOf(error) as object) as Error & Record<string, unknown>;
  const hidden = (name: string, value: unknown): void => {
    Object.defineProperty(result, name, { value, enumerable: false, configurable: true, writable: true });
  };
  hidden("message", redactText(String(error.message)));
  if (typeof error.stack === "string") hidden("stack", redactText(error.stack));
  if (error.cause !== undefined) hidden("cause", copy(error.cause, depth + 1, parents));
  if (error instanceof AggregateError) hidden("errors", copy(error.errors, depth + 1, parents));
  copyFields(error, result, depth, parents);
  return result;
}

function copyFields(from: object, to: Record<string, unknown>, depth: number, parents: Set<object>): void {
  for (const [name, value] of Object.entries(from).slice(0, MAX_ITEMS)) {
    to[name] = isSecret(name, value) ? HIDDEN : copy(value, depth + 1, parents);
  }
}

function isSecret(name: string, value: unknown): boolean {
  if (value === null || value === undefined || typeof value === "number" || typeof value === "boolean") {
    return false;
  }
  return SECRET_NAMES.has(name.toLowerCase().replaceAll(/[_-]/g, ""));
}
