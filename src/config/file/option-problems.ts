/** Problems of a node's options, in the words of the configuration: the setting in place of the option, and its source. */
import { ClusterError } from "../../errors.ts";
import { show } from "../check.ts";
import { type NodeOptions, resolveOptions } from "../resolve.ts";
import { SETTINGS } from "./settings.ts";
import { get, type Tree } from "./tree.ts";

type Origins = ReadonlyMap<string, string>;

interface Settings {
  readonly values: Tree;
  readonly origins: Origins;
  /** False: a problem of this setting has been reported already. */
  readonly isValid: (path: string) => boolean;
}

/** Contradictions between options are found by the node's own checks. */
export function optionProblems(options: NodeOptions, { values, origins, isValid }: Settings): string[] {
  try {
    resolveOptions(options);
    return [];
  } catch (error) {
    if (!(error instanceof ClusterError)) throw error;
    const lines = error.message.split("\n  ").slice(1);
    return lines
      .filter((line) => isValid(pathOf(nameIn(line), origins)))
      .map((line) => inSettings(line, values, origins));
  }
}

/** An option whose value is a secret, and the setting with the path of its file. */
const SECRET_FILES: Readonly<Record<string, string>> = {
  pass: "nats.passwordFile",
  token: "nats.tokenFile",
  nkeySeed: "nats.nkeyFile",
};

/** The other settings whose path does not end with the name of their option. */
const PATHS: Readonly<Record<string, string>> = {
  credsFile: "nats.credentials",
  service: "service.enabled",
  serviceVersion: "service.version",
  tls: "nats.tls",
  "tls.ca": "nats.tls.ca",
  "tls.cert": "nats.tls.cert",
  "tls.key": "nats.tls.key",
};

/** What a rule calls an option, and what an operator can set. */
const RULES: readonly (readonly [string, string])[] = [
  ["must come with pass", "must come with nats.passwordFile or NATS_LEADER_PASSWORD"],
  ["must come with user", "must come with nats.user"],
  [" (its text belongs in creds)", ""],
];

const METHODS = "must be one authentication method";

function inSettings(problem: string, values: Tree, origins: Origins): string {
  const methods = problem.indexOf(METHODS);
  if (methods >= 0) return `${loginsIn(values, origins)} (hidden): ${problem.slice(methods)}`;
  const name = nameIn(problem);
  const path = pathOf(name, origins);
  const rest = RULES.reduce((text, [ours, theirs]) => text.replace(ours, theirs), problem.slice(name.length));
  const file = Object.hasOwn(SECRET_FILES, name) ? get(values, path) : undefined;
  if (typeof file !== "string") return withSource(`${path}${rest}`, origins);
  const rule = rest
    .slice((VALUE.exec(`x${rest}`)?.[0].length ?? 1) - 1)
    .replace(/^ must be /, " must contain ");
  return withSource(`${path} ${show(file)}${rule}`, origins);
}

/** The settings of all login methods that are given. */
function loginsIn(values: Tree, origins: Origins): string {
  const logins = SETTINGS.filter(({ path, login }) => login === true && origins.has(path));
  const paths = logins.map(({ path }) => path);
  if (JSON.stringify(get(values, "nats.servers") ?? "").includes("@")) paths.push("nats.servers");
  return paths.map((path) => `${path}${source(path, origins)}`).join(", ");
}

/** The setting that an option is from. */
function pathOf(name: string, origins: Origins): string {
  const file = Object.hasOwn(SECRET_FILES, name) ? SECRET_FILES[name] : undefined;
  if (file !== undefined) {
    const direct = file.slice(0, -"File".length);
    return origins.has(direct) ? direct : file;
  }
  const path = SETTINGS.find((setting) => setting.path.split(".").at(-1) === name)?.path;
  return (Object.hasOwn(PATHS, name) ? PATHS[name] : undefined) ?? path ?? name;
}

function nameIn(problem: string): string {
  return /^[\w.]+/.exec(problem)?.[0] ?? "";
}

/** A name and the value that follows it: a string, a list, a word in brackets or a number. */
const VALUE = /^[\w.]+ ("(?:[^"\\]|\\.)*"|\[(?:"(?:[^"\\]|\\.)*"|[^\]"])*\]|\([^)]*\)|-?\d+)/;
/** In a relation between durations. */
const DURATION = /\b([a-z][A-Za-z]*Ms) \d+/g;

/** Adds the source of the value that a problem quotes, and of the other durations in its rule that are from elsewhere. */
export function withSource(problem: string, origins: Origins): string {
  const path = nameIn(problem);
  const head = VALUE.exec(problem)?.[0];
  if (head === undefined) return problem;
  const rule = problem.slice(head.length).replaceAll(DURATION, (text, name: string) => {
    const other = pathOf(name, origins);
    return origins.get(other) === origins.get(path) ? text : `${text}${source(other, origins)}`;
  });
  return `${head}${source(path, origins)}${rule}`;
}

function source(path: string, origins: Origins): string {
  const from = origins.get(path);
  return from === undefined ? "" : ` (from ${from})`;
}
