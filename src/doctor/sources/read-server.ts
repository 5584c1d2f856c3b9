/** Decodes a server's documents, which are the same over HTTP and over the system account. Any may be missing. */
import type { JsonObject } from "../../nats/api/js-api.ts";
import type { ExaminedStream, Gateways, MetaGroup, Peer, ServerFacts, Source, Usage } from "../facts.ts";
import { listIn, numberIn, objectIn, textIn, timeIn } from "./json.ts";
import { readApi, readClosed, readOpen, readRoutePending, readTraffic } from "./read-load.ts";

/** The answers of `/varz`, `/jsz`, `/routez`, `/gatewayz`, `/healthz`, and of `/connz` for open and for closed connections. */
export interface Documents {
  readonly varz: JsonObject | null;
  readonly jsz: JsonObject | null;
  readonly routez: JsonObject | null;
  readonly gatewayz: JsonObject | null;
  readonly healthz: JsonObject | null;
  readonly connz: JsonObject | null;
  readonly closedz: JsonObject | null;
}

export type Document = keyof Documents;

/** The documents of a server as one source has read them. */
export interface SourceReading {
  /** URL of the monitoring port; `null`: the system account. */
  readonly source: string | null;
  /** The server's name; the URL of its monitoring port as long as it has not answered. */
  readonly server: string;
  /** The id that the server had when it last answered. */
  readonly serverId: string | null;
  /** Why there is no `varz`. */
  readonly error: string | null;
  /** Why other documents are missing, where it is known. */
  readonly unread: readonly string[];
  readonly tookMs: number;
  readonly documents: Documents;
}

/** Includes accounts, streams and consumers with their lag. */
export const JSZ_OPTIONS = { accounts: true, streams: true, consumer: true, config: true } as const;

interface ListOptions {
  readonly sort: string;
  readonly limit: number;
}

const CONNECTIONS_LISTED = 256;
/** The parameters of `/connz` for the open connections. */
export const OPEN_OPTIONS: ListOptions = { sort: "pending", limit: CONNECTIONS_LISTED };
/** The parameters of `/connz` for the closed ones. */
export const CLOSED_OPTIONS: ListOptions = { sort: "stop", limit: CONNECTIONS_LISTED };

/** A server of which only the name is known. */
export function unknownServer(name: string, source: Source): ServerFacts {
  return {
    name,
    serverId: null,
    sources: [source],
    url: null,
    error: null,
    version: null,
    cluster: null,
    uptimeMs: null,
    clock: null,
    health: null,
    jetstream: null,
    memory: null,
    storage: null,
    connections: null,
    totalConnections: null,
    slowConsumers: null,
    traffic: null,
    open: null,
    closed: null,
    api: null,
    routePending: null,
    routes: null,
    gateways: null,
    meta: null,
    streams: null,
  };
}

/** The facts of a reading. With an error only the name is known. */
export function serverOf(
  { server, error, documents }: Pick<SourceReading, "server" | "error" | "documents">,
  url: string | null,
): ServerFacts {
  const facts = error === null ? readServer(documents, "monitoring") : null;
  return { ...(facts ?? { ...unknownServer(server, "monitoring"), error: error ?? "no document" }), url };
}

/** `null` without the server's name. */
export function readServer(documents: Documents, source: Source): ServerFacts | null {
  const { varz, jsz, routez, healthz, connz, closedz } = documents;
  const name = textIn(varz, "server_name");
  if (name === null) return null;
  const cluster = textIn(objectIn(varz, "cluster"), "name");
  const config = objectIn(jsz, "config");
  const limits = ["max_memory", "max_storage"].map((field) => numberIn(config, field) ?? 0);
  // Without JetStream, servers from 2.10 send `disabled`; older ones send a configuration with zero limits.
  const on = jsz === null ? null : jsz["disabled"] !== true && limits.some((limit) => limit !== 0);
  const started = timeIn(varz, "start");
  const now = timeIn(varz, "now");
  return {
    ...unknownServer(name, source),
    serverId: textIn(varz, "server_id"),
    version: textIn(varz, "version"),
    cluster,
    uptimeMs: started === null || now === null ? null : now - started,
    health: readHealth(healthz),
    jetstream: on,
    memory: on === true ? usageOf(jsz, "memory", config, "max_memory") : null,
    storage: on === true ? usageOf(jsz, "storage", config, "max_storage") : null,
    connections: numberIn(varz, "connections"),
    totalConnections: numberIn(varz, "total_connections"),
    slowConsumers: numberIn(varz, "slow_consumers"),
    traffic: readTraffic(varz),
    open: readOpen(connz),
    closed: readClosed(closedz),
    api: on === true ? readApi(jsz) : null,
    routePending: routez === null || cluster === null ? null : readRoutePending(routez),
    routes: routez === null || cluster === null ? null : routesIn(routez),
    gateways: readGateways(documents),
    meta: readMeta(objectIn(jsz, "meta_cluster"), name),
    streams: jsz === null ? null : readStreams(jsz, name),
  };
}

function readHealth(healthz: JsonObject | null): ServerFacts["health"] {
  const status = textIn(healthz, "status");
  if (status === null) return null;
  return { ok: status === "ok", error: textIn(healthz, "error") ?? status };
}

/** A limit below 0, or the unsigned 64-bit value for -1, means unlimited. */
export function usageOf(
  used: JsonObject | null,
  usedField: string,
  limits: JsonObject | null,
  limitField: string,
): Usage | null {
  const usedBytes = numberIn(used, usedField);
  const limit = numberIn(limits, limitField);
  if (usedBytes === null || limit === null) return null;
  return { usedBytes, limitBytes: limit < 0 || limit >= 2 ** 62 ? null : limit };
}

/** Servers from 2.10 have several routes to each other. Older ones send only ids; `withNames` fills in the names. */
function routesIn(routez: JsonObject): string[] {
  const names = listIn(routez, "routes").flatMap(
    (route) => textIn(route, "remote_name") ?? textIn(route, "remote_id") ?? [],
  );
  return [...new Set(names)].sort();
}

function readGateways({ varz, gatewayz }: Documents): Gateways | null {
  const own = textIn(objectIn(varz, "gateway"), "name");
  if (own === null || gatewayz === null) return null;
  const named = listIn(objectIn(varz, "gateway"), "gateways").flatMap((one) => textIn(one, "name") ?? []);
  const outbound = objectIn(gatewayz, "outbound_gateways") ?? {};
  const connected = Object.keys(outbound).filter((name) => objectIn(objectIn(outbound, name), "connection"));
  const inbound = Object.keys(objectIn(gatewayz, "inbound_gateways") ?? {});
  // Gossip adds clusters that the configuration does not name.
  const all = new Set([...named, ...connected, ...inbound].filter((name) => name !== own));
  return { configured: [...all].sort(), connected: connected.sort() };
}

function readMeta(meta: JsonObject | null, name: string): MetaGroup | null {
  if (meta === null) return null;
  const size = numberIn(meta, "cluster_size");
  if (size === null) return null;
  return {
    leader: textIn(meta, "leader"),
    size,
    peers: readPeers(meta).filter((peer) => peer.name !== name),
  };
}

/** Decodes `replicas` of a raft group. */
export function readPeers(group: JsonObject | null): Peer[] {
  return listIn(group, "replicas").map((peer) => ({
    name: textIn(peer, "name") ?? textIn(peer, "peer") ?? "?",
    offline: peer["offline"] === true,
    current: peer["current"] === true,
    lag: numberIn(peer, "lag") ?? 0,
  }));
}

/** Every server with a replica lists the stream, but only its leader knows the state of the replicas. */
function readStreams(jsz: JsonObject, name: string): ExaminedStream[] {
  return eachStream(jsz).flatMap(({ account, detail }): ExaminedStream[] => {
    const group = objectIn(detail, "cluster");
    const leader = textIn(group, "leader");
    const stream = textIn(detail, "name");
    if (stream === null || (leader !== null && leader !== name)) return [];
    const consumers = listIn(detail, "consumer_detail").map((consumer) => ({
      name: textIn(consumer, "name") ?? "?",
      pending: numberIn(consumer, "num_pending") ?? 0,
    }));
    return [{ account, stream, peers: readPeers(group), consumers }];
  });
}

export interface FoundStream {
  readonly account: string;
  readonly detail: JsonObject;
}

export function eachStream(jsz: JsonObject): FoundStream[] {
  return listIn(jsz, "account_details").flatMap((account) =>
    listIn(account, "stream_detail").map((detail) => ({ account: textIn(account, "name") ?? "?", detail })),
  );
}

/** Replaces server ids in routes by names where they are known. */
export function withNames(
  servers: readonly ServerFacts[],
  names: ReadonlyMap<string, string>,
): ServerFacts[] {
  return servers.map((server) => {
    const { routes, routePending } = server;
    const named = (name: string): string => names.get(name) ?? name;
    return {
      ...server,
      routes: routes === null ? null : [...new Set(routes.map(named))].sort(),
      routePending: routePending?.map(({ to, bytes }) => ({ to: named(to), bytes })) ?? null,
    };
  });
}

/**
 * Merges the facts of several sources by server. The first source that has a field wins. Two servers that have answered with different ids
 * are not the same, even if their names are.
 */
export function merged(servers: readonly ServerFacts[]): ServerFacts[] {
  const found: ServerFacts[] = [];
  for (const server of servers) {
    const index = found.findIndex((one) => one.name === server.name && mayBeSame(one, server));
    const known = found[index];
    if (known === undefined) found.push(server);
    else found[index] = combine(known, server);
  }
  return found.sort((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)));
}

function mayBeSame(a: ServerFacts, b: ServerFacts): boolean {
  return a.serverId === null || b.serverId === null || a.serverId === b.serverId;
}

function combine(first: ServerFacts, second: ServerFacts): ServerFacts {
  const known = Object.entries(first).filter(([, value]) => value !== null);
  const both: ServerFacts = { ...second, ...Object.fromEntries(known) };
  return { ...both, sources: [...new Set([...first.sources, ...second.sources])] };
}
