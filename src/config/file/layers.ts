/**
 * Sources of settings, the strongest first: flags, our environment variables, the file, shared environment variables, those that a
 * platform sets by itself.
 */
import { convert, SETTINGS, type Setting } from "./settings.ts";
import { get, leaves, put, type Tree } from "./tree.ts";

/** One source of settings. */
export interface Layer {
  /** Completes "from ..." in an error. */
  readonly name: string;
  readonly values: Tree;
  /** Source of a single value, where it is more precise than the layer's name. */
  readonly sources?: ReadonlyMap<string, string>;
  /** By path: two ways to give this value that contradict each other. A problem only if this layer decides. */
  readonly conflicts?: ReadonlyMap<string, string>;
  /** By path: how the value differs from what was given. */
  readonly notes?: ReadonlyMap<string, string>;
}

/** The effective settings. */
export interface Merged {
  readonly values: Tree;
  /** Path to source: `--node-id`, `NATS_LEADER_NODE_ID`, a file's path. */
  readonly origins: ReadonlyMap<string, string>;
  /** Contradictions in the layers that decide. */
  readonly problems: readonly string[];
  readonly notes: readonly string[];
}

/** Settings of one authentication method. The strongest layer with any of them decides the method. */
const LOGIN_FAMILIES: readonly (readonly string[])[] = [
  ["nats.credentials"],
  ["nats.user", "nats.password", "nats.passwordFile"],
  ["nats.token", "nats.tokenFile"],
  ["nats.nkeyFile"],
];

/** Secrets that can be given directly or by file. The one in the stronger layer replaces the other. */
const EITHER_OR: readonly (readonly [string, string])[] = [
  ["nats.password", "nats.passwordFile"],
  ["nats.token", "nats.tokenFile"],
  ["http.token", "http.tokenFile"],
];

export type Environment = Readonly<Record<string, string | undefined>>;

/** Our environment variables. An empty one counts as not set. */
export function environmentLayer(env: Environment): Layer {
  const values: Tree = {};
  const sources = new Map<string, string>();
  for (const { path, kind, variable } of SETTINGS) {
    const text = env[variable];
    if (text === undefined || text === "") continue;
    put(values, path, convert(kind, text));
    sources.set(path, variable);
  }
  return { name: "the environment", values, sources };
}

/** `layers`: the strongest first. */
export function merge(layers: readonly Layer[]): Merged {
  const values: Tree = {};
  const origins = new Map<string, string>();
  const deciding = new Map<string, Layer>();
  const family = loginFamily(layers);
  for (const layer of [...layers].reverse()) {
    for (const path of leaves(layer.values)) {
      if (isLogin(path) && family !== null && !family.includes(path)) continue;
      for (const other of counterparts(path)) forget(values, origins, other);
      put(values, path, get(layer.values, path));
      origins.set(path, layer.sources?.get(path) ?? layer.name);
      deciding.set(path, layer);
    }
  }
  const said = (what: "conflicts" | "notes"): string[] =>
    [...deciding].flatMap(([path, layer]) => layer[what]?.get(path) ?? []);
  return { values, origins, problems: said("conflicts"), notes: said("notes") };
}

/**
 * `null`: no layer has credentials. An empty family: they are in the URLs. A layer with several methods keeps them all: validation
 * refuses them, where a silent choice would connect as another user than the operator expects.
 */
function loginFamily(layers: readonly Layer[]): readonly string[] | null {
  for (const { values } of layers) {
    const families = LOGIN_FAMILIES.filter((paths) => paths.some((path) => isGiven(get(values, path))));
    if (families.length > 0) return families.flat();
    const servers = get(values, "nats.servers");
    if (Array.isArray(servers) && servers.some((url) => String(url).includes("@"))) return [];
  }
  return null;
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== "";
}

function isLogin(path: string): boolean {
  return SETTINGS.some((setting: Setting) => setting.login === true && setting.path === path);
}

function counterparts(path: string): string[] {
  return EITHER_OR.flatMap(([a, b]) => (path === a ? [b] : path === b ? [a] : []));
}

function forget(values: Tree, origins: Map<string, string>, path: string): void {
  if (origins.delete(path)) put(values, path, undefined);
}
