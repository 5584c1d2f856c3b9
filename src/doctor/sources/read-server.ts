/** From a server's own documents to facts. The same five over HTTP and over the system account; any may be missing. */
import type { JsonObject } from "../../nats/api/js-api.ts";
import type { Gateways, MetaGroup, Peer, ServerFacts, Source, StreamFacts, Usage } from "../facts.ts";
import { listIn, numberIn, objectIn, textIn, timeIn } from "./json.ts";

/** As `/varz`, `/jsz`, `/routez`, `/gatewayz` and `/healthz` answer. */
export interface Documents {
  readonly varz: JsonObject | null;
  readonly jsz: JsonObject | null;
  readonly routez: JsonObject | null;
  readonly gatewayz: JsonObject | null;
  readonly healthz: JsonObject | null;
}

export type Document = keyof Documents;

/** With accounts, streams and consumers: their lag is in it. */
export const JSZ_OPTIONS = { accounts: true, streams: true, consumer: true, config: true } as const;

/** A server of which nothing is known yet. */
export function unknownServer(name: string, source: Source): ServerFacts {
  return {
    name,
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
    slowConsumers: null,
    routes: null,
    gateways: null,
    meta: null,
    streams: null,
  };
}

/** `null` when it does not even say its name. */
export function readServer(documents: Documents, source: Source): ServerFacts | null {
  const { varz, jsz, routez, healthz } = documents;
  const name = textIn(varz, "server_name");
  if (name === null) return null;
  const cluster = textIn(objectIn(varz, "cluster"), "name");
  const config = objectIn(jsz, "config");
  const limits = ["max_memory", "max_storage"].map((field) => numberIn(config, field) ?? 0);
  // Switched off it says so (from 2.10), or shows a configuration of nothing but zeros.
  const on = jsz === null ? null : jsz["disabled"] !== true && limits.some((limit) => limit !== 0);
  const started = timeIn(varz, "start");
  const now = timeIn(varz, "now");
  return {
    ...unknownServer(name, source),
    version: textIn(varz, "version"),
    cluster,
    uptimeMs: started === null || now === null ? null : now - started,
    health: readHealth(healthz),
    jetstream: on,
    memory: on === true ? usageOf(jsz, "memory", config, "max_memory") : null,
    storage: on === true ? usageOf(jsz, "storage", config, "max_storage") : null,
    connections: numberIn(varz, "connections"),
    slowConsumers: numberIn(varz, "slow_consumers"),
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

/** A limit below 0, or one of 64 bits without sign that means the same, is none. */
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

/** From 2.10 there are several routes to each server. Older ones give ids alone: names are filled in by `withNames`. */
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
  // Gossip tells of clusters that the configuration leaves out.
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

/** Of a raft group's `replicas`. */
export function readPeers(group: JsonObject | null): Peer[] {
  return listIn(group, "replicas").map((peer) => ({
    name: textIn(peer, "name") ?? textIn(peer, "peer") ?? "?",
    offline: peer["offline"] === true,
    current: peer["current"] === true,
    lag: numberIn(peer, "lag") ?? 0,
  }));
}

/** Every server that has a copy lists a stream; its leader alone knows how it is. */
function readStreams(jsz: JsonObject, name: string): StreamFacts[] {
  return eachStream(jsz).flatMap(({ account, detail }): StreamFacts[] => {
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

/** Server ids in routes become names where the server with that id was seen. */
export function withNames(
  servers: readonly ServerFacts[],
  names: ReadonlyMap<string, string>,
): ServerFacts[] {
  return servers.map((server) => {
    if (server.routes === null) return server;
    return { ...server, routes: [...new Set(server.routes.map((one) => names.get(one) ?? one))].sort() };
  });
}

/** What several sources say of one server; the first that knows a field is believed. */
export function merged(servers: readonly ServerFacts[]): ServerFacts[] {
  const byName = new Map<string, ServerFacts>();
  for (const server of servers) {
    const known = byName.get(server.name);
    byName.set(server.name, known === undefined ? server : combined(known, server));
  }
  return [...byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function combined(first: ServerFacts, second: ServerFacts): ServerFacts {
  const known = Object.entries(first).filter(([, value]) => value !== null);
  const both: ServerFacts = { ...second, ...Object.fromEntries(known) };
  return { ...both, sources: [...new Set([...first.sources, ...second.sources])] };
}
