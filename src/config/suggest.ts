/** Suggestions for unknown options. */
import { printable } from "../log/printable.ts";
import { redactText, redactUrl } from "../log/redact.ts";
import type { OptionTable } from "./accepted.ts";

/** Names of the same options in other libraries, go-cluster included; in lower case. */
const ALIASES: Readonly<Record<string, string>> = {
  ttl: "leaseTtlMs",
  leasettl: "leaseTtlMs",
  leaseduration: "leaseTtlMs",
  heartbeat: "heartbeatIntervalMs",
  heartbeatms: "heartbeatIntervalMs",
  heartbeatinterval: "heartbeatIntervalMs",
  renewinterval: "heartbeatIntervalMs",
  timeout: "requestTimeoutMs",
  url: "servers",
  urls: "servers",
  natsurl: "servers",
  natsurls: "servers",
  nats: "servers",
  nc: "connection",
  natsconnection: "connection",
  username: "user",
  password: "pass",
  nkey: "nkeySeed",
  seed: "nkeySeed",
  credentials: "creds",
  natscreds: "credsFile",
  id: "nodeId",
  name: "nodeId",
  cluster: "clusterId",
  version: "serviceVersion",
  log: "logger",
  level: "logLevel",
};

const TLS_NAMES = ["ca", "cert", "key", "handshakeFirst"] as const;

/** A longer key is cut. */
const MAX_KEY = 80;

/** `within`: the option whose value contains the key. */
export function unknownKey<Name extends string>(
  within: Name | undefined,
  key: string,
  { names, aliases }: OptionTable<Name>,
): string {
  const path = within === undefined ? "" : `${within}.`;
  const suggestion =
    within === undefined ? nearest(key, names, { ...ALIASES, ...aliases }) : nearest(key, TLS_NAMES, {});
  const shown = printable(redactText(redactUrl(key)).slice(0, MAX_KEY));
  return `${path}${shown} is not an option${suggestion === undefined ? "" : `; did you mean ${path}${suggestion}?`}`;
}

/** The name that was probably meant. */
export function nearest(
  key: string,
  names: readonly string[],
  aliases: Readonly<Record<string, string>>,
): string | undefined {
  const wanted = plain(key.slice(0, MAX_KEY));
  if (Object.hasOwn(aliases, wanted)) return aliases[wanted];
  const ranked = names
    .map((name) => ({ name, distance: editDistance(wanted, plain(name)) }))
    .sort((a, b) => a.distance - b.distance);
  const [best] = ranked;
  if (best !== undefined && best.distance <= Math.max(1, Math.floor(wanted.length / 4))) return best.name;
  const start = names.filter((name) => wanted.length >= 2 && plain(name).startsWith(wanted));
  if (start.length === 1) return start[0];
  return names.find((name) => name.length >= 2 && wanted.startsWith(plain(name)));
}

function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[_-]/g, "");
}

/** Levenshtein, where two adjacent letters in the wrong order count once; the last two rows are kept. */
export function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swapped = isSwap ? (before[j - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY;
      next.push(Math.min(replaced, swapped, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    before = row;
    row = next;
  }
  return row[b.length] ?? 0;
}
