/** The only place that strips secrets from what is shown: log lines, errors, server URLs. */

const HIDDEN = "***";

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

/** Secrets with a recognisable form, wherever they occur. */
const NKEY_SEED = /\bS[ACNOUX][A-Z2-7]{56}\b/g;
const JWT = /\beyJ[\w-]+\.[\w-]+\.[\w-]*/g;
const PRIVATE_KEY = /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g;
/**
 * Up to the last `@` before a blank: a password that was not escaped may contain `@`, `/`, `:` and quotes. Hiding a harmless
 * part of a path is better than showing a part of a password.
 */
const USER_INFO = /:\/\/\S*@/g;

/** Values nested deeper, and items and fields beyond this number, are omitted from a log line. */
const MAX_DEPTH = 6;
const MAX_ITEMS = 100;

/** Hides secrets with a recognisable form in free text: credentials in URLs, nkey seeds, JWTs, private keys. */
export function redactText(text: string): string {
  return text
    .replace(USER_INFO, `://${HIDDEN}@`)
    .replace(NKEY_SEED, HIDDEN)
    .replace(JWT, HIDDEN)
    .replace(PRIVATE_KEY, HIDDEN);
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

/** A copy for the log: the same shape, with `***` for values of secret names and for secrets inside strings. */
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
  // Bytes can be the content of a creds file.
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

/** The copy has the class of the original, so that serialisers treat it as an error. */
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
