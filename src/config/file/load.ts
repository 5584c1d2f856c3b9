/** Reads, merges and checks a configuration. All problems are reported together. */
import { accessSync, constants, statSync } from "node:fs";
import { ClusterError, messageOf } from "../../errors.ts";
import { printable } from "../../log/printable.ts";
import { show } from "../check.ts";
import { listProblems } from "../group.ts";
import type { NodeOptions } from "../resolve.ts";
import { platformLayer, sharedLayer } from "./foreign-variables.ts";
import { httpOf, tokenProblems } from "./http.ts";
import { type Environment, environmentLayer, type Layer, type Merged, merge } from "./layers.ts";
import { type Secrets, toNodeOptions } from "./node-options.ts";
import { optionProblems, withSource } from "./option-problems.ts";
import { schemaProblems } from "./problems.ts";
import { type FileLayer, readLayer, settingsIn } from "./read.ts";
import { SETTINGS } from "./settings.ts";
import { respell } from "./spellings.ts";
import { get, prune, put, type Tree } from "./tree.ts";
import type { FileConfig, HttpConfig, VipConfig } from "./types.ts";
import { unknownVariables } from "./variables.ts";
import { vipOf, vipProblems } from "./vip.ts";

/** Placeholders in commands that need no node of their own. */
const NO_NODE = "cli";
const NO_CLUSTER = "none";
const DEFAULT_SERVER = "nats://localhost:4222";

export interface LoadOptions {
  /** The file; `null`: none. */
  readonly path: string | null;
  /** A missing file counts as empty. */
  readonly optional?: boolean;
  /** From the command line, by path. The strongest layer. */
  readonly flags?: ReadonlyMap<string, { readonly value: unknown; readonly flag: string }>;
  readonly env?: Environment;
  /** False: the command runs no node: the node id may be missing, and the server has a default. */
  readonly forNode?: boolean;
  /**
   * Whether the name of the host (`HOSTNAME`) is the node id if nothing else names it.
   * @default `forNode`
   */
  readonly namedByHost?: boolean;
  /**
   * False: the command also works without a cluster id. `"or-group"`: with the id of a group instead. `origins` has it only if it was
   * given.
   */
  readonly forCluster?: boolean | "or-group";
  /**
   * Also require files that are opened only later: `"to-connect"` credentials and certificates, `"all"` also that of the HTTP token.
   * @default `"none"`
   */
  readonly requireFiles?: RequiredFiles;
  /** Why no host can take the IP address as a virtual IP, completing "vip.address ..."; `null`: a host can. */
  readonly unusableAddress?: ((address: string) => string | null) | undefined;
}

export type RequiredFiles = "none" | "to-connect" | "all";

export interface LoadedConfig {
  readonly config: FileConfig;
  /** `null`: not given, and not required. */
  readonly nodeId: string | null;
  /** The file that was read. */
  readonly path: string | null;
  /** Source of each value, by path. */
  readonly origins: ReadonlyMap<string, string>;
  /** Values that are ignored or changed, with the reason. */
  readonly notes: readonly string[];
  readonly vip: VipConfig | null;
  /** Contains a secret: must not be printed. `null`: there is no HTTP server. */
  readonly http: HttpConfig | null;
  /** Contains secrets: must not be printed. */
  readonly nodeOptions: NodeOptions;
}

/** @throws ClusterError `INVALID_CONFIG`, with path, value, rule and source of every problem. */
export function loadConfig(options: LoadOptions): LoadedConfig {
  const { path, optional = false } = options;
  return loadLayer(path === null ? null : readLayer(path, optional), options);
}

/** As `loadConfig()`, with a file that has been read; `null`: none. */
export function loadLayer(file: FileLayer | null, options: LoadOptions): LoadedConfig {
  const { env = {}, path } = options;
  const layers: Layer[] = [
    flagLayer(options.flags),
    environmentLayer(env),
    ...(file === null ? [] : [file]),
    sharedLayer(env),
    platformLayer(env, { nodeId: options.namedByHost ?? options.forNode !== false }),
  ];
  const merged = merge(layers);
  const mayLackCluster =
    options.forCluster === false ||
    (options.forCluster === "or-group" && get(merged.values, "group.id") !== undefined);
  if (mayLackCluster && get(merged.values, "clusterId") === undefined) {
    put(merged.values, "clusterId", NO_CLUSTER);
  }
  return finish(merged, {
    path: file === null ? null : path,
    forNode: options.forNode !== false,
    problems: [...(file?.problems ?? []), ...merged.problems],
    notes: [...merged.notes, ...unknownVariables(env)],
    requireFiles: options.requireFiles ?? "none",
    unusableAddress: options.unusableAddress,
  });
}

/** Checks a configuration that a program passes as an object. */
export function checkConfig(config: FileConfig): LoadedConfig {
  const { values, problems } = settingsIn(structuredClone(config) as unknown as Tree);
  const { conflicts } = respell(values);
  const merged = { values, origins: new Map<string, string>(), problems: [...conflicts.values()], notes: [] };
  return finish(merged, {
    path: null,
    forNode: true,
    problems: [...problems, ...merged.problems],
    notes: [],
    requireFiles: "none",
  });
}

interface Finishing {
  readonly path: string | null;
  readonly forNode: boolean;
  /** Found before. */
  readonly problems: readonly string[];
  readonly notes: readonly string[];
  readonly requireFiles: RequiredFiles;
  readonly unusableAddress?: LoadOptions["unusableAddress"];
}

function finish(
  merged: Merged,
  { path, forNode, requireFiles, unusableAddress, ...before }: Finishing,
): LoadedConfig {
  const { values, origins } = merged;
  const secrets = takeSecrets(merged);
  const hasNode = get(values, "nodeId") !== undefined;
  if (!forNode) {
    if (!hasNode) put(values, "nodeId", NO_NODE);
    if (get(values, "nats.servers") === undefined) put(values, "nats.servers", [DEFAULT_SERVER]);
  }
  prune(values);
  const found = schemaProblems(values, origins);
  const built = toNodeOptions(values, secrets);
  const refused = [...found.keys(), ...built.problems.keys()];
  const isValid = (setting: string): boolean => !refused.some((bad) => overlap(bad, setting));
  const related = [
    ...built.problems.values(),
    ...(requireFiles === "none" ? [] : unusableFiles(values, FILES_TO_CONNECT)),
    ...(requireFiles === "all" ? unusableFiles(values, ["http.tokenFile"]) : []),
    ...(requireFiles === "all" && isValid("http") ? tokenProblems(values, secrets["http.token"]) : []),
    ...vipProblems(values, isValid, unusableAddress),
    ...resourceProblems(values, isValid),
  ];
  const problems = [
    ...before.problems,
    ...found.values(),
    ...urlSecrets(values, origins, path),
    ...related.map((line) => withSource(line, origins)),
    ...optionProblems(built.options, { values, origins, isValid }),
  ];
  if (problems.length > 0) throw invalid(path, problems);
  const config = values as unknown as FileConfig;
  const nodeId = hasNode ? config.nodeId : null;
  const notes = [...notesOn(config, built.options), ...before.notes.map((line) => printable(line))];
  const http = httpOf(config, secrets["http.token"]);
  return { config, nodeId, path, origins, notes, vip: vipOf(config), http, nodeOptions: built.options };
}

/** Whether one of the two paths contains the other. */
function overlap(a: string, b: string): boolean {
  return a === b || a.startsWith(`${b}.`) || b.startsWith(`${a}.`);
}

function flagLayer(flags: LoadOptions["flags"] = new Map()): Layer {
  const values: Tree = {};
  const sources = new Map<string, string>();
  for (const [path, { value, flag }] of flags) {
    put(values, path, value);
    sources.set(path, flag);
  }
  return { name: "the command line", values, sources };
}

/** Moves secrets out of the settings. One of a file counts as given, so that its refusal is the only problem. */
function takeSecrets({ values }: Merged): Secrets {
  const taken: Record<string, string> = {};
  for (const { path, secret } of SETTINGS) {
    const value = secret === true ? get(values, path) : undefined;
    if (value === undefined) continue;
    if (typeof value === "string") taken[path] = value;
    put(values, path, undefined);
  }
  return taken;
}

/** A URL with a password is a secret like any other. */
function urlSecrets(values: Tree, origins: ReadonlyMap<string, string>, file: string | null): string[] {
  const inFile = (path: string): string | null => {
    const urls = get(values, path);
    const from = origins.get(path) ?? "";
    if (file === null || !(from === file || from.startsWith(`${file}: `)) || !Array.isArray(urls))
      return null;
    return urls.some((url) => typeof url === "string" && url.includes("@")) ? from : null;
  };
  const servers = inFile("nats.servers");
  const monitors = inFile("nats.monitors");
  const what = "has a URL with a password or token (hidden)";
  return [
    ...(servers === null
      ? []
      : [
          `nats.servers ${what} (from ${servers}), which must not be in the file: use nats.user and nats.passwordFile, nats.tokenFile, or NATS_LEADER_SERVERS`,
        ]),
    ...(monitors === null
      ? []
      : [`nats.monitors ${what} (from ${monitors}), which must not be in the file: use NATS_LEADER_MONITOR`]),
  ];
}

function resourceProblems(values: Tree, isValid: (path: string) => boolean): string[] {
  const list = get(values, "group.resources");
  if (!Array.isArray(list) || !isValid("group.resources")) return [];
  return listProblems(list).map((problem) => `group.${problem}`);
}

/** Settings that name a file which is opened only when a node connects. */
const FILES_TO_CONNECT = ["nats.credentials", "nats.tls.ca", "nats.tls.cert", "nats.tls.key"];

function unusableFiles(values: Tree, paths: readonly string[]): string[] {
  return paths.flatMap((path) => {
    const file = get(values, path);
    if (typeof file !== "string" || file.includes("-----BEGIN")) return [];
    const why = whyUnusable(file);
    return why === null ? [] : [`${path} ${show(file)}: ${why}`];
  });
}

function whyUnusable(file: string): string | null {
  try {
    if (statSync(file).isDirectory()) return "it is a folder";
    accessSync(file, constants.R_OK);
    return null;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === "ENOENT" ? "the file does not exist" : `it cannot be read: ${messageOf(error)}`;
  }
}

function notesOn(config: FileConfig, { reconnectWaitMs: inForce }: NodeOptions): string[] {
  const notes: string[] = [];
  const { reconnectWaitMs, maxReconnects } = config.nats;
  if (reconnectWaitMs !== undefined && inForce !== reconnectWaitMs) {
    notes.push(
      `nats.reconnectWaitMs ${reconnectWaitMs} is reduced to ${inForce}: a leader must be able to reconnect before its deadline`,
    );
  }
  if (maxReconnects !== undefined && maxReconnects >= 0) {
    notes.push(`nats.maxReconnects ${maxReconnects} is ignored: a node never stops reconnecting`);
  }
  return notes;
}

function invalid(path: string | null, problems: readonly string[]): ClusterError {
  const what = path === null ? "the configuration" : `configuration ${printable(path)}`;
  return new ClusterError(
    "INVALID_CONFIG",
    `${what} is not valid:${problems.map((line) => `\n  ${printable(line)}`).join("")}`,
  );
}
