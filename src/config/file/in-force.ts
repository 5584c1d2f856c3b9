/** Every setting that is in force, with its source. */
import { GROUP_DEFAULTS } from "../group-options.ts";
import { HTTP_OFF } from "../listen.ts";
import { resolveOptions } from "../resolve.ts";
import { parseServers } from "../servers.ts";
import { DEFAULT_HISTORY_TERMS } from "./history.ts";
import type { LoadedConfig } from "./load.ts";
import { SETTINGS, TIMING } from "./settings.ts";
import { get, leaves, type Tree } from "./tree.ts";

export interface SettingInForce {
  readonly path: string;
  /** A secret is `"(hidden)"`. */
  readonly value: unknown;
  /** A flag, a variable, the file's path, or `"default"`. */
  readonly from: string;
}

const FROM_DEFAULT = "default";

/** In the order of the documentation. A setting without value and without default is left out. */
export function settingsInForce(loaded: LoadedConfig): SettingInForce[] {
  const given = loaded.config as unknown as Tree;
  const known = new Set([...SETTINGS.map(({ path }) => path), ...leaves(given)]);
  known.delete("$schema");
  const inForce = resolvedValues(loaded);
  const inUrl = loginInUrl(loaded);
  const secrets = new Set(SETTINGS.filter(({ secret }) => secret === true).map(({ path }) => path));
  return [...known].flatMap((path) => {
    const from =
      loaded.origins.get(path) ?? (inUrl.has(path) ? loaded.origins.get("nats.servers") : undefined);
    if (secrets.has(path)) return from === undefined ? [] : [{ path, value: "(hidden)", from }];
    const own = path.startsWith("group.") ? get(given, path) : undefined;
    const value = own ?? inForce.get(path) ?? inUrl.get(path) ?? get(given, path);
    return value === undefined ? [] : [{ path, value, from: from ?? FROM_DEFAULT }];
  });
}

function groupDefaults(): [string, unknown][] {
  const defaults = { ...GROUP_DEFAULTS, createBucket: true };
  return Object.entries(defaults).map(([name, value]) => [`group.${name}`, value]);
}

/** A login in the URLs of the servers, as the settings that it stands for. */
function loginInUrl({ nodeOptions }: LoadedConfig): Map<string, unknown> {
  const { user, pass, token } = parseServers(nodeOptions.servers).login;
  const login: [string, unknown][] = [
    ["nats.user", user],
    ["nats.password", pass],
    ["nats.token", token],
  ];
  return new Map(login.filter(([, value]) => value !== undefined));
}

/** Settings that have a default, or are adapted. */
function resolvedValues({ nodeOptions, config, vip }: LoadedConfig): Map<string, unknown> {
  const options = resolveOptions(nodeOptions);
  const { nats, service, serviceVersion } = options;
  const election = [...TIMING, "crashDetection", "silenceMs", "observer", "interop", "replicas"] as const;
  return new Map<string, unknown>([
    ["nats.inboxPrefix", nats.inboxPrefix ?? "_INBOX"],
    ["nats.connectTimeoutMs", nats.connectTimeoutMs],
    ["nats.reconnectWaitMs", nats.reconnectWaitMs],
    ["vip.netmask", vip?.netmask],
    ...election.map((name): [string, unknown] => [`election.${name}`, options[name]]),
    ["service.enabled", service],
    ["service.version", serviceVersion],
    ["http.listen", config.http?.listen ?? HTTP_OFF],
    ["history.enabled", config.history?.enabled ?? true],
    ["history.maxTerms", config.history?.maxTerms ?? DEFAULT_HISTORY_TERMS],
    ...(config.group === undefined ? [] : groupDefaults()),
  ]);
}
