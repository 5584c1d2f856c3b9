/** Reads a configuration file. Names in it become paths only if they can be names of settings: it may be written by others. */
import { closeSync, openSync, readSync } from "node:fs";
import { ClusterError, messageOf } from "../../errors.ts";
import { printable } from "../../log/printable.ts";
import { respelledLayer } from "./find-servers.ts";
import type { Layer } from "./layers.ts";
import { MAX_UNKNOWN, unknownSetting } from "./problems.ts";
import { SETTINGS } from "./settings.ts";
import { get, isTree, MAX_DEPTH, prune, put, type Tree } from "./tree.ts";

const MAX_BYTES = 1024 * 1024;
const MAX_SECRET_BYTES = 64 * 1024;
const CHUNK_BYTES = 16 * 1024;
const NAME = /^[A-Za-z$][A-Za-z0-9_-]{0,63}$/;

/** Settings whose zero value in go-cluster's file means "not given". */
const ZERO_MEANS_ABSENT: readonly string[] = [
  "nats.credentials",
  "nats.reconnectWaitMs",
  "nats.maxReconnects",
  "vip.address",
  "vip.netmask",
  "vip.interface",
  "election.leaseTtlMs",
  "election.heartbeatIntervalMs",
  "service.version",
];

/** A file's settings, and the names in it that cannot be settings. */
export interface FileLayer extends Layer {
  readonly problems: readonly string[];
}

/** `null`: the file does not exist, and `optional` is true. */
export function readLayer(path: string, optional: boolean): FileLayer | null {
  let text: string;
  try {
    text = readText(path, MAX_BYTES);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (optional && code === "ENOENT") return null;
    const todo = code === "ENOENT" ? '; create one with "nats-leader init"' : "";
    const why = code === "ENOENT" ? "the file does not exist" : messageOf(error);
    if (path === "")
      throw invalidFile(
        "cannot read the configuration: the path in --config or NATS_LEADER_CONFIG is empty",
        error,
      );
    throw invalidFile(`cannot read configuration ${path}: ${why}${todo}`, error);
  }
  return layerOf(path, text);
}

/** The settings in the text of the file `path`. */
export function layerOf(path: string, text: string): FileLayer {
  const { values, problems } = settingsIn(parse(path, text));
  return { ...respelledLayer(path, values), problems };
}

/** The file's text. Throws if it has more than `maxBytes`. Also reads pipes, whose size is not known before. */
export function readText(path: string, maxBytes: number): string {
  const file = openSync(path, "r");
  try {
    const chunks: Buffer[] = [];
    for (let length = 0; ; ) {
      const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, maxBytes + 1 - length));
      const read = readSync(file, chunk, 0, chunk.length, null);
      if (read === 0) return Buffer.concat(chunks).toString("utf8");
      chunks.push(chunk.subarray(0, read));
      length += read;
      if (length > maxBytes) throw new Error(`it has more than ${maxBytes} bytes`);
    }
  } finally {
    closeSync(file);
  }
}

/** The trimmed text of a file with a secret. Throws an error whose message completes "nats.passwordFile PATH ...". */
export function readSecret(file: string): string {
  let text: string;
  try {
    text = readText(file, MAX_SECRET_BYTES).trim();
  } catch (error) {
    throw new Error(`cannot be read: ${messageOf(error)}`);
  }
  if (text === "") throw new Error("is an empty file");
  return text;
}

/**
 * Settings of a file or of an object in its format. A secret is refused here: a stronger source may replace it, and it is in the file
 * all the same. Zero values are left out: they must not hide the value of a weaker source.
 */
export function settingsIn(tree: Tree): { readonly values: Tree; readonly problems: readonly string[] } {
  const problems: string[] = [];
  const values = copyOf(tree, [], problems);
  for (const path of ZERO_MEANS_ABSENT) {
    const value = get(values, path);
    if (value === 0 || value === "") put(values, path, undefined);
  }
  prune(values);
  for (const { path, secret } of SETTINGS) {
    if (secret === true && get(values, path) !== undefined) problems.push(unknownSetting("", path));
  }
  return { values, problems };
}

/** A name with a dot would become another setting's path, `__proto__` the prototype, and deep nesting is no setting. */
function copyOf(tree: Tree, above: readonly string[], problems: string[]): Tree {
  const copy: Tree = {};
  for (const [name, value] of Object.entries(tree)) {
    if (!NAME.test(name)) {
      if (problems.length < MAX_UNKNOWN) problems.push(unknownSetting(above.join("."), name));
      continue;
    }
    const isSection = isTree(value) && above.length + 1 < MAX_DEPTH;
    put(copy, name, isSection ? copyOf(value, [...above, name], problems) : value);
  }
  return copy;
}

function parse(path: string, text: string): Tree {
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch (error) {
    throw invalidFile(`${path}${place(text, error)} is not JSON: ${syntaxProblem(error)}`);
  }
  if (isTree(value)) return value;
  throw invalidFile(
    `configuration ${path} is not valid:\n  it must be an object, such as {"clusterId":"billing", ...}`,
  );
}

/** Without the quoted part of the file, which can contain a password. For the same reason the error is no `cause`. */
function syntaxProblem(error: unknown): string {
  const message = messageOf(error);
  const quoted = message.search(/, (\.\.\.)?"/);
  return quoted < 0 ? message : message.slice(0, quoted);
}

/** Line and column, if the parser reports a position. */
function place(text: string, error: unknown): string {
  const at = /position (\d{1,9})/.exec(messageOf(error))?.[1];
  if (at === undefined) return "";
  const lines = text.slice(0, Number(at)).split("\n");
  return `:${lines.length}:${(lines.at(-1)?.length ?? 0) + 1}`;
}

function invalidFile(message: string, cause?: unknown): ClusterError {
  const lines = message.split("\n").map((line) => printable(line));
  return new ClusterError("INVALID_CONFIG", lines.join("\n"), cause === undefined ? {} : { cause });
}
