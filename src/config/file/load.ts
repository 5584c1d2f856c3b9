/** Reads, merges and checks a configuration. All problems are reported together. */
import { readFileSync } from "node:fs";
import { isIPv6 } from "node:net";
import { ClusterError, messageOf } from "../../errors.ts";
import { type NodeOptions, resolveOptions } from "../resolve.ts";
import { type Environment, environmentLayer, type Layer, type Merged, merge } from "./layers.ts";
import { fittingReconnectWaitMs, type Secrets, toNodeOptions } from "./node-options.ts";
import { schemaProblems } from "./problems.ts";
import { SETTINGS } from "./settings.ts";
import { get, isTree, put, type Tree } from "./tree.ts";
import type { FileConfig, VipConfig } from "./types.ts";

/** Placeholders in commands that need no node of their own. */
const NO_NODE = "cli";
const NO_CLUSTER = "none";
const DEFAULT_SERVER = "nats://localhost:4222";

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
  /** False: the command also works without a cluster id. `origins` has it only if it was given. */
  readonly forCluster?: boolean;
}

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
  /** Contains secrets: must not be printed. */
  readonly nodeOptions: NodeOptions;
}

/** @throws ClusterError `INVALID_CONFIG`, with path, value, rule and source of every problem. */
export function loadConfig(options: LoadOptions): LoadedConfig {
  const file = readLayer(options);
  const layers: Layer[] = [
    flagLayer(options.flags),
    environmentLayer(options.env ?? {}, "variable"),
    ...(file === null ? [] : [file]),
    environmentLayer(options.env ?? {}, "shared"),
  ];
  const merged = merge(layers);
  if (options.forCluster === false && get(merged.values, "clusterId") === undefined) {
    put(merged.values, "clusterId", NO_CLUSTER);
  }
  return finish(merged, file === null ? null : options.path, options.forNode !== false);
}

/** Checks a configuration that a program passes as an object. */
export function checkConfig(config: FileConfig): LoadedConfig {
  const values = withoutZeros(structuredClone(config) as unknown as Tree);
  return finish({ values, origins: new Map() }, null, true);
}

function finish(merged: Merged, path: string | null, forNode: boolean): LoadedConfig {
  const { values, origins } = merged;
  const secrets = takeSecrets(merged, path);
  const hasNode = get(values, "nodeId") !== undefined;
  if (!forNode) {
    if (!hasNode) put(values, "nodeId", NO_NODE);
    if (get(values, "nats.servers") === undefined) put(values, "nats.servers", [DEFAULT_SERVER]);
  }
  prune(values);
  const problems = [...schemaProblems(values, origins), ...vipProblems(values)];
  if (problems.length > 0) throw invalid(path, problems);
  const config = values as unknown as FileConfig;
  const nodeOptions = optionsOf(config, secrets, path);
  const vip = vipOf(config);
  const nodeId = hasNode ? config.nodeId : null;
  return { config, nodeId, path, origins, notes: notesOn(config), vip, nodeOptions };
}

function readLayer({ path, optional = false }: LoadOptions): Layer | null {
  if (path === null) return null;
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (optional && code === "ENOENT") return null;
    const todo = code === "ENOENT" ? '; create one with "nats-leader init"' : "";
    const why = code === "ENOENT" ? "the file does not exist" : messageOf(error);
    throw new ClusterError("INVALID_CONFIG", `cannot read configuration ${path}: ${why}${todo}`, {
      cause: error,
    });
  }
  return { name: path, values: withoutZeros(parse(path, text)) };
}

/** A zero value must not hide the value of a weaker source. */
function withoutZeros(values: Tree): Tree {
  for (const path of ZERO_MEANS_ABSENT) {
    const value = get(values, path);
    if (value === 0 || value === "") put(values, path, undefined);
  }
  prune(values);
  return values;
}

function parse(path: string, text: string): Tree {
  try {
    const value: unknown = JSON.parse(text.replace(/^\uFEFF/, ""));
    if (isTree(value)) return value;
  } catch (error) {
    throw new ClusterError(
      "INVALID_CONFIG",
      `${path}${place(text, error)} is not JSON: ${messageOf(error)}`,
      {
        cause: error,
      },
    );
  }
  throw invalid(path, ['it must be an object, such as {"clusterId":"billing", ...}']);
}

/** Line and column, if the parser reports a position. */
function place(text: string, error: unknown): string {
  const at = /position (\d+)/.exec(messageOf(error))?.[1];
  if (at === undefined) return "";
  const lines = text.slice(0, Number(at)).split("\n");
  return `:${lines.length}:${(lines.at(-1)?.length ?? 0) + 1}`;
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

/** Moves secrets out of the settings. A secret in the file stays, and validation refuses it. */
function takeSecrets({ values, origins }: Merged, file: string | null): Secrets {
  const taken: Record<string, string> = {};
  for (const { path, secret } of SETTINGS) {
    const value = secret === true ? get(values, path) : undefined;
    const origin = origins.get(path);
    if (typeof value !== "string" || origin === undefined || origin === file) continue;
    taken[path.split(".").at(-1) ?? path] = value;
    put(values, path, undefined);
  }
  return taken;
}

/** Removes `undefined` members: only given values are checked and printed. */
function prune(tree: Tree): void {
  for (const [name, value] of Object.entries(tree)) {
    if (value === undefined) delete tree[name];
    else if (isTree(value)) prune(value);
  }
}

function vipProblems(values: Tree): string[] {
  const address = get(values, "vip.address");
  if (typeof address !== "string") return [];
  const problems: string[] = [];
  if (get(values, "vip.interface") === undefined) {
    problems.push(
      "vip.interface is missing; it must be the name of a network interface, because vip.address is set",
    );
  }
  const netmask = get(values, "vip.netmask");
  if (typeof netmask === "number" && netmask > 32 && !isIPv6(address)) {
    problems.push(`vip.netmask ${netmask} must be from 0 to 32 for the IPv4 address "${address}"`);
  }
  return problems;
}

function vipOf({ vip }: FileConfig): VipConfig | null {
  if (vip?.address === undefined || vip.interface === undefined) return null;
  const netmask = vip.netmask ?? (isIPv6(vip.address) ? 64 : 24);
  return { address: vip.address, netmask, interface: vip.interface };
}

/** Contradictions between options are found by the node's own checks; here option names are replaced by paths in the file. */
function optionsOf(config: FileConfig, secrets: Secrets, path: string | null): NodeOptions {
  try {
    const options = toNodeOptions(config, secrets);
    resolveOptions(options);
    return options;
  } catch (error) {
    if (!(error instanceof ClusterError)) throw error;
    const lines = error.message.split("\n  ");
    const problems = lines.length > 1 ? lines.slice(1).map(withPath) : lines;
    throw invalid(path, problems);
  }
}

const OPTION_PATHS: Readonly<Record<string, string>> = {
  credsFile: "nats.credentials",
  pass: "the password (nats.passwordFile)",
  token: "the token (nats.tokenFile)",
  nkeySeed: "the seed in nats.nkeyFile",
  serviceVersion: "service.version",
  "tls.cert": "nats.tls.cert",
  "tls.key": "nats.tls.key",
};

function withPath(problem: string): string {
  const [name = ""] = /^[\w.]+/.exec(problem) ?? [];
  const setting = SETTINGS.find(({ path }) => path.split(".").at(-1) === name)?.path;
  return `${OPTION_PATHS[name] ?? setting ?? name}${problem.slice(name.length)}`;
}

function notesOn(config: FileConfig): string[] {
  const notes: string[] = [];
  const { reconnectWaitMs, maxReconnects } = config.nats;
  const fitting = fittingReconnectWaitMs(config);
  if (reconnectWaitMs !== undefined && fitting !== reconnectWaitMs) {
    notes.push(
      `nats.reconnectWaitMs ${reconnectWaitMs} is reduced to ${fitting}: a leader must be able to reconnect before its deadline`,
    );
  }
  if (maxReconnects !== undefined && maxReconnects >= 0) {
    notes.push(`nats.maxReconnects ${maxReconnects} is ignored: a node never stops reconnecting`);
  }
  return notes;
}

function invalid(path: string | null, problems: readonly string[]): ClusterError {
  const what = path === null ? "the configuration" : `configuration ${path}`;
  return new ClusterError(
    "INVALID_CONFIG",
    `${what} is not valid:${problems.map((line) => `\n  ${line}`).join("")}`,
  );
}
