/** Where the NATS servers of any program are: the sources of this library, in its order, for programs with a file of their own. */
import { parseServers } from "../servers.ts";
import { platformLayer, sharedLayer } from "./foreign-variables.ts";
import { environmentLayer, type Layer, merge } from "./layers.ts";
import { respell, SPELLINGS, serverList } from "./spellings.ts";
import { get, put, type Tree } from "./tree.ts";

/** What may name servers. */
export interface ServerSources {
  /** A flag of the command line, such as `{ name: "--servers", value: "n1,n2" }`. */
  readonly flag?: { readonly name: string; readonly value: string | undefined } | undefined;
  /**
   * A file that has been read. `nats.servers`, `nats.cluster_urls`, `nats.url`, `cluster_urls` and `url` name servers, as a list or as
   * one text with commas. Other settings are ignored.
   */
  readonly file?: { readonly name: string; readonly settings: object } | undefined;
  /** @default none */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
}

/** The servers, from the first source that names any. */
export interface FoundServers {
  /** `nats://host:port` or `tls://host:port`, without logins; `null`: no source names any. */
  readonly servers: readonly string[] | null;
  /** `--servers`, `bridge.json: cluster_urls`, `NATS_URL`, `NATS_HOST and NATS_PORT`; `null`: no source names any. */
  readonly from: string | null;
  /** The login in the URLs; empty if there is none. Contains secrets: must not be printed. */
  readonly login: {
    readonly user?: string | undefined;
    readonly pass?: string | undefined;
    readonly token?: string | undefined;
  };
  /** One line for each, with the source, the value and the rule. No secret is in it. */
  readonly problems: readonly string[];
}

/**
 * Finds the NATS servers as the configuration of a daemon does: in a flag, `NATS_LEADER_SERVERS`, a file, `NATS_URL` or `NATS_HOST` with
 * `NATS_PORT`, and `NATS_PORT` as Kubernetes sets it. The first of these that names servers decides; two ways of one source that name
 * different servers are a problem. Does no I/O.
 *
 * @example
 * ```ts
 * const { servers, problems } = findServers({ file: { name: "a.json", settings: { url: "n1,n2" } }, env: process.env });
 * ```
 */
export function findServers({ flag, file, env = {} }: ServerSources): FoundServers {
  const { values, origins, problems } = merge([
    ...(flag?.value === undefined ? [] : [flagLayer(flag.name, flag.value)]),
    environmentLayer(env),
    ...(file === undefined ? [] : [fileLayer(file.name, file.settings)]),
    sharedLayer(env),
    platformLayer(env, { nodeId: false }),
  ]);
  const found = get(values, PATH);
  const from = origins.get(PATH);
  if (found === undefined || from === undefined) return { servers: null, from: null, login: {}, problems };
  const isList = Array.isArray(found) && found.length > 0 && found.every((one) => typeof one === "string");
  if (!isList) {
    const rule =
      "must name servers, as a list or as one text with commas, such as nats://n1:4222,nats://n2:4222";
    return { servers: null, from, login: {}, problems: [...problems, `${from} ${rule}`] };
  }
  const parsed = parseServers(found as string[]);
  return {
    servers: parsed.urls,
    from,
    login: parsed.login,
    problems: [...problems, ...parsed.problems.map((line) => `${from}: ${line}`)],
  };
}

const PATH = "nats.servers";

function flagLayer(name: string, text: string): Layer {
  const values: Tree = {};
  put(values, PATH, serverList(text));
  return { name, values };
}

function fileLayer(name: string, settings: object): Layer {
  const values: Tree = {};
  const spelling = SPELLINGS.find(({ path }) => path === PATH);
  for (const path of [PATH, ...(spelling?.others ?? [])]) {
    const value = get(settings as Tree, path);
    if (value !== undefined) put(values, path, value);
  }
  return respelledLayer(name, values);
}

/** Replaces other spellings in `values`, and names them as the sources. */
export function respelledLayer(name: string, values: Tree): Layer {
  const { names, conflicts } = respell(values);
  const sources = new Map([...names].map(([path, spelled]) => [path, `${name}: ${spelled}`]));
  return {
    name,
    values,
    sources,
    conflicts: new Map([...conflicts].map(([path, text]) => [path, `${text} (both from ${name})`])),
  };
}
