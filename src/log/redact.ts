/** The only place that strips secrets from what is shown: log lines, errors, server URLs. */

const HIDDEN = "***";
/** In place of what throws when it is read. */
const UNREADABLE = "[unreadable]";

/** Names whose values are hidden, in lower case without `_` and `-`. Numbers are shown: a fencing token is one. */
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

/** Longer names are no such names. */
const MAX_SECRET_NAME = 64;

/**
 * Secrets with a recognisable form, wherever they occur. Text comes from records, answers and files of others: every pattern here
 * takes linear time, because each of its repetitions has a limit or ends at a character that no other part of the pattern accepts.
 */
const NKEY_SEED = /\bS[ACNOUX][A-Z2-7]{56}\b/g;
const PRIVATE_KEY =
  /-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|$)/g;
const WORD = /\S+/g;
const BLANK = /\s/;
const DOTTED = /[\w.-]+/g;
const JWT_START = /\beyJ[\w-]/;

/** A longer text is cut, and its length added. */
const MAX_TEXT = 64 * 1024;
/** What a cut may have left of a secret: the last word of the text, up to this length. */
const MAX_TORN = 8 * 1024;
/** Values nested deeper, and items and fields beyond this number, are omitted from a log line. */
const MAX_DEPTH = 6;
const MAX_ITEMS = 100;
/** Values in one log line. Those beyond it are omitted: few objects that refer to each other can have millions of paths. */
const MAX_VALUES = 5_000;

/**
 * Hides secrets with a recognisable form in free text: credentials in URLs, nkey seeds, JWTs, private keys. A text of more than
 * 64 Ki characters is cut.
 */
export function redactText(text: string): string {
  const [kept, note] = text.length > MAX_TEXT ? cut(text) : [text, ""];
  const redacted = kept
    .replace(WORD, withoutUserInfo)
    .replace(NKEY_SEED, HIDDEN)
    .replace(DOTTED, withoutJwts)
    .replace(PRIVATE_KEY, HIDDEN);
  return redacted + note;
}

function cut(text: string): [kept: string, note: string] {
  let end = MAX_TEXT;
  while (end > MAX_TEXT - MAX_TORN && !BLANK.test(text.charAt(end - 1))) end -= 1;
  return [text.slice(0, end), `... [${text.length} characters]`];
}

/**
 * Up to the last `@` before a blank: a password that was not escaped may contain `@`, `/`, `:` and quotes. Hiding a harmless
 * part of a path is better than showing a part of a password.
 */
function withoutUserInfo(word: string): string {
  const from = word.indexOf("://");
  const to = word.lastIndexOf("@");
  return from < 0 || to < from + 3 ? word : `${word.slice(0, from)}://${HIDDEN}${word.slice(to)}`;
}

/** Three parts, the first of which begins with the base64 of `{"`. The third may be empty. */
function withoutJwts(run: string): string {
  if (!run.includes("eyJ")) return run;
  const parts = run.split(".");
  const shown: string[] = [];
  for (let at = 0; at < parts.length; at++) {
    const part = parts[at] ?? "";
    const start = part.search(JWT_START);
    const isJwt = start >= 0 && at + 2 < parts.length && parts[at + 1] !== "";
    shown.push(isJwt ? part.slice(0, start) + HIDDEN : part);
    if (isJwt) at += 2;
  }
  return shown.join(".");
}

const BEFORE_HOST = /^(\s*[a-z][a-z0-9+.-]*:\/\/)?.*@/is;

/** A server URL, or any text given in its place, with `***` for everything up to the last `@`. */
export function redactUrl(url: string): string {
  return url.replace(BEFORE_HOST, `$1${HIDDEN}@`);
}

/** A server URL without its login. */
export function withoutLogin(url: string): string {
  return url.replace(BEFORE_HOST, "$1");
}

/**
 * A copy for the log: the same shape, with `***` for values of secret names and for secrets inside strings. Values that throw when
 * they are read become `[unreadable]`.
 */
export function redact(value: unknown): unknown {
  return copy(value, 0, { parents: new Set(), left: MAX_VALUES });
}

interface Copying {
  readonly parents: Set<object>;
  /** Values that may still be copied. */
  left: number;
}

function copy(value: unknown, depth: number, state: Copying): unknown {
  state.left -= 1;
  if (state.left < 0) return "[omitted]";
  if (typeof value === "string") return redactText(value);
  if (typeof value === "bigint") return String(value);
  if (typeof value === "function" || typeof value === "symbol") return undefined;
  if (typeof value !== "object" || value === null) return value;
  const { parents } = state;
  if (parents.has(value)) return "[circular]";
  if (depth > MAX_DEPTH) return "[too deep]";
  parents.add(value);
  try {
    return copyObject(value, depth, state);
  } catch {
    return UNREADABLE;
  } finally {
    parents.delete(value);
  }
}

function copyObject(value: object, depth: number, state: Copying): unknown {
  if (value instanceof Error) return copyError(value, depth, state);
  // Bytes can be the content of a creds file.
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (value instanceof Date) return value;
  if (value instanceof Map) return copy(Object.fromEntries(value), depth + 1, state);
  if (value instanceof Set) return copy([...value], depth + 1, state);
  if (Array.isArray(value))
    return value.slice(0, MAX_ITEMS).map((item: unknown) => copy(item, depth + 1, state));
  const result: Record<string, unknown> = {};
  copyFields(value, result, depth, state);
  return result;
}

/** The copy has the class of the original, so that serialisers treat it as an error. */
function copyError(error: Error, depth: number, state: Copying): Error {
  const result = Object.create(Object.getPrototypeOf(error) as object) as Error & Record<string, unknown>;
  const hidden = (name: string, value: unknown): void => {
    Object.defineProperty(result, name, { value, enumerable: false, configurable: true, writable: true });
  };
  hidden("message", redactText(String(error.message)));
  if (typeof error.stack === "string") hidden("stack", redactText(error.stack));
  if (error.cause !== undefined) hidden("cause", copy(error.cause, depth + 1, state));
  if (error instanceof AggregateError) hidden("errors", copy(error.errors, depth + 1, state));
  copyFields(error, result, depth, state);
  return result;
}

function copyFields(from: object, to: Record<string, unknown>, depth: number, state: Copying): void {
  for (const name of Object.keys(from).slice(0, MAX_ITEMS)) {
    const field = fieldOf(from, name);
    const value = isSecret(name, field) ? HIDDEN : copy(field, depth + 1, state);
    // An assignment to "__proto__" would replace the prototype.
    if (name === "__proto__")
      Object.defineProperty(to, name, { value, enumerable: true, configurable: true });
    else to[name] = value;
  }
}

function fieldOf(from: object, name: string): unknown {
  try {
    return (from as Readonly<Record<string, unknown>>)[name];
  } catch {
    return UNREADABLE;
  }
}

function isSecret(name: string, value: unknown): boolean {
  if (value === null || value === undefined || typeof value === "number" || typeof value === "boolean") {
    return false;
  }
  return name.length <= MAX_SECRET_NAME && SECRET_NAMES.has(name.toLowerCase().replaceAll(/[_-]/g, ""));
}
