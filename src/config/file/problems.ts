/** Problems of a configuration: path, value, source and rule. */
import { redactText, redactUrl } from "../../log/redact.ts";
import { OPTIONS, type OptionName } from "../accepted.ts";
import { show } from "../check.ts";
import { GROUP_OPTIONS } from "../group.ts";
import { HOSTS_RULE, HTTP_OFF, LISTEN_RULE } from "../listen.ts";
import { editDistance } from "../suggest.ts";
import { FILE_SCHEMA } from "./schema.ts";
import { SETTINGS } from "./settings.ts";
import { get, isTree, type Tree } from "./tree.ts";

/** The rules of fields that are not options of a node with the same name. */
const RULES: Readonly<Record<string, string>> = {
  $schema: "the path or URL of a JSON Schema",
  nats: 'an object with servers, such as {"servers":["nats://localhost:4222"]}',
  "nats.servers": 'a list of nats://host:port, such as ["nats://localhost:4222"]',
  "nats.servers[]": 'a nats://host:port, such as "nats://localhost:4222"',
  "nats.monitors": 'a list of http://host:port, such as ["http://n1:8222"]',
  "nats.monitors[]":
    'an http or https URL, host:port, or an object with host and one monitoringPort, such as "http://n1:8222"',
  "nats.credentials": "the path of a .creds file",
  "nats.maxReconnects": "a whole number",
  "nats.user": "a user name",
  "nats.passwordFile": "the path of a file with the password of user",
  "nats.tokenFile": "the path of a file with a token",
  "nats.nkeyFile": "the path of a file with the seed of a user nkey",
  "nats.tls.ca": "the path of a PEM file",
  "nats.tls.cert": "the path of a PEM file",
  "nats.tls.key": "the path of a PEM file",
  "nats.tls.handshakeFirst": "true or false",
  vip: "an object with address, netmask and interface",
  "vip.address": "an IPv4 or IPv6 address",
  "vip.netmask": "the length of a prefix, from 0 to 32, for IPv6 to 128",
  "vip.interface": "the name of a network interface, such as eth0",
  election: "an object with the timing and rules of the election",
  service: "an object with enabled and version",
  "service.enabled": "true or false",
  "service.version": OPTIONS.serviceVersion.rule,
  http: "an object with listen, tokenFile and hosts",
  "http.listen": `${LISTEN_RULE}; or "${HTTP_OFF}"`,
  "http.tokenFile": "the path of a file with a token",
  "http.hosts": HOSTS_RULE,
  "http.hosts[]": "a host name without a port",
  group: "an object with the options of a member of a group, such as id, resources and weight",
  "group.id": OPTIONS.clusterId.rule,
  "group.resources":
    "a number of partitions from 1 to 100000, a list of names, or of objects with name and zone",
  "group.resources[]": "a name, or an object with name and zone",
  history: "an object with enabled and maxTerms",
  "history.enabled": "true or false",
  "history.maxTerms": "a whole number from 1 to 100000",
};

/** Secrets that are refused in the file, and where they belong. */
const SECRETS: Readonly<Record<string, string>> = {
  "nats.password": "nats.passwordFile or NATS_LEADER_PASSWORD",
  "nats.pass": "nats.passwordFile or NATS_LEADER_PASSWORD",
  "nats.token": "nats.tokenFile or NATS_LEADER_TOKEN",
  "http.token": "http.tokenFile or NATS_LEADER_HTTP_TOKEN",
  "nats.nkey": "nats.nkeyFile or NATS_LEADER_NKEY_FILE",
  "nats.nkeySeed": "nats.nkeyFile or NATS_LEADER_NKEY_FILE",
};

/** A longer name is cut. */
const MAX_NAME = 80;

interface Issue {
  readonly code: string;
  readonly path: readonly PropertyKey[];
  readonly keys?: readonly string[];
}

/** So many unknown names of one object are listed. */
export const MAX_UNKNOWN = 20;

/** One line for each problem, by the path that it is about. */
export function schemaProblems(values: Tree, origins: ReadonlyMap<string, string>): Map<string, string> {
  const found = new Map<string, string>();
  for (const issue of (FILE_SCHEMA.safeParse(values).error?.issues ?? []) as readonly Issue[]) {
    const path = pathOf(issue);
    if (issue.keys !== undefined && issue.code === "unrecognized_keys") {
      const keys = issue.keys.slice(0, MAX_UNKNOWN);
      for (const key of keys) found.set(join(path, key), unknownSetting(path, key));
      const more = issue.keys.length - keys.length;
      if (more > 0) found.set(join(path, "..."), `${more} more names ${within(path)} are not settings`);
    } else if (!found.has(path)) {
      found.set(path, wrong(path, values, origins));
    }
  }
  return found;
}

function join(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}

function within(path: string): string {
  return path === "" ? "at the top level" : `in ${path}`;
}

/** The path of an item is that of its list and its index. */
function pathOf(issue: Issue): string {
  return issue.path.map(String).join(".");
}

function wrong(path: string, values: Tree, origins: ReadonlyMap<string, string>): string {
  const [, list, index] = /^(.*)\.(\d+)$/.exec(path) ?? [];
  if (list !== undefined) return wrongItem(list, Number(index), values, origins);
  const rule = ruleOf(path);
  const value = get(values, path);
  if (value === undefined) return `${path} is missing; ${todo(path)}it must be ${rule}`;
  return `${path} ${shown(value)}${sourceOf(path, origins)} must be ${rule}`;
}

function wrongItem(list: string, index: number, values: Tree, origins: ReadonlyMap<string, string>): string {
  const items = get(values, list);
  const item: unknown = Array.isArray(items) ? items[index] : undefined;
  return `${list}[${index}] ${shown(item)}${sourceOf(list, origins)} must be ${ruleOf(`${list}[]`)}`;
}

function shown(value: unknown): string {
  return isTree(value) ? "(an object)" : show(value);
}

function sourceOf(path: string, origins: ReadonlyMap<string, string>): string {
  const origin = origins.get(path);
  return origin === undefined ? "" : ` (from ${origin})`;
}

function ruleOf(path: string): string {
  if (Object.hasOwn(RULES, path)) return RULES[path] ?? "valid";
  const name = path.split(".").at(-1) ?? path;
  if (path.startsWith("group.") && Object.hasOwn(GROUP_OPTIONS, name))
    return GROUP_OPTIONS[name as keyof typeof GROUP_OPTIONS].rule;
  return Object.hasOwn(OPTIONS, name) ? OPTIONS[name as OptionName].rule : "valid by config.schema.json";
}

/** How to give a missing value. */
function todo(path: string): string {
  switch (path) {
    case "clusterId":
      return "give --cluster-id, NATS_LEADER_CLUSTER_ID or a file with it; ";
    case "nodeId":
      return "give --node-id, NATS_LEADER_NODE_ID, INSTANCE_ID or a file with it; ";
    case "nats":
    case "nats.servers":
      return "give --nats-url, NATS_URL, NATS_HOST or a file with it; ";
    default:
      return "";
  }
}

/** The problem of a name that is no setting. `section`: the path of the object that contains it. */
export function unknownSetting(section: string, key: string): string {
  const path = join(section, key);
  const place = Object.hasOwn(SECRETS, path) ? SECRETS[path] : undefined;
  if (place !== undefined) return `${path} (hidden) is a secret and must not be in the file: use ${place}`;
  const meant = nearest(path, key);
  const shown = join(section, redactText(redactUrl(key)).slice(0, MAX_NAME));
  return `${shown} is not a setting${meant === undefined ? "" : `; did you mean ${meant}?`}`;
}

function nearest(path: string, key: string): string | undefined {
  const name = (setting: string): string => setting.split(".").at(-1)?.toLowerCase() ?? "";
  const wanted = key.slice(0, MAX_NAME).toLowerCase().replaceAll(/[_-]/g, "");
  const paths = SETTINGS.filter((setting) => setting.secret !== true).map((setting) => setting.path);
  const same = paths.find((setting) => name(setting) === wanted);
  if (same !== undefined) return same === path ? undefined : same;
  const [best] = paths
    .map((setting) => ({ setting, distance: editDistance(wanted, name(setting)) }))
    .sort((a, b) => a.distance - b.distance);
  return best !== undefined && best.distance <= Math.max(1, wanted.length / 4) ? best.setting : undefined;
}
