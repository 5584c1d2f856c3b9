/**
 * Derives the samples of the exporter from the documents of the servers. Pure. The number of series is bounded: labels are names of
 * servers, of selected streams and of consumers with a stable name, up to a limit. All others have random names and are added up
 * under one label.
 */
import type { JsonObject } from "../../nats/api/js-api.ts";
import type { ServerFacts } from "../facts.ts";
import { listIn, numberIn, objectIn, textIn, timeIn } from "../sources/json.ts";
import { eachStream, readPeers, readServer, type SourceReading, usageOf } from "../sources/read-server.ts";
import { SERVER_METRICS, type ServerMetricName } from "./metrics.ts";

export interface ServerReading extends Omit<SourceReading, "source" | "serverId"> {
  /** URL of the monitoring port if another server has the same name; else, or without one, `null`. */
  readonly url: string | null;
}

export interface Selection {
  /** Names of streams; `*` stands for any text. */
  readonly streams: readonly string[];
  readonly maxStreams: number;
  /** Of each stream. */
  readonly maxConsumers: number;
}

export interface Sample {
  readonly name: ServerMetricName;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The label of all consumers of a stream whose names are random. */
export const EPHEMERAL = "(without a stable name)";

/** As in `nats/consumer/consumer-name.ts`. */
const OF_PARTITION = /^([^:]+:[^:]+):\d{1,16}:[A-Za-z0-9_-]{8}$/;

type Values = readonly (readonly [ServerMetricName, number | null | undefined])[];

/** Those that distinguish this server from all others. */
export function labelsOf({ server, url }: ServerReading): Sample["labels"] {
  return url === null ? { server } : { server, url };
}

/** Whether the sample is passed to Prometheus. A negative counter comes only from a hostile or broken server. */
export function isPossible({ name, value }: Sample): boolean {
  return Number.isFinite(value) && (value >= 0 || SERVER_METRICS[name].kind !== "counter");
}

export function serverSamples(reading: ServerReading): Sample[] {
  const { error, tookMs, documents } = reading;
  const own = labelsOf(reading);
  const facts = error === null ? readServer(documents, "monitoring") : null;
  if (facts === null) return [{ name: "up", labels: own, value: 0 }];
  const values: Values = [
    ["up", 1],
    ["read_seconds", tookMs / 1_000],
    ...processValues(documents.varz, facts),
    ...connectionValues(facts),
    ...jetstreamValues(documents.jsz, facts),
    ...metaValues(facts),
  ];
  const samples = values.flatMap(([name, value]): Sample[] =>
    value == null ? [] : [{ name, labels: own, value }],
  );
  const possible = samples.filter(isPossible);
  const labels = { ...own, version: facts.version ?? "", nats_cluster: facts.cluster ?? "" };
  return [
    { name: "info", labels, value: 1 },
    ...possible,
    { name: "values_refused", labels: own, value: samples.length - possible.length },
    ...Object.entries(documents).map(([document, content]): Sample => {
      return { name: "document_up", labels: { ...own, document }, value: content === null ? 0 : 1 };
    }),
    ...Object.entries(facts.closed ?? {}).map(([reason, value]): Sample => {
      return { name: "connections_closed_lately", labels: { ...own, reason }, value };
    }),
  ];
}

function processValues(
  varz: JsonObject | null,
  { health, routes, routePending, gateways }: ServerFacts,
): Values {
  const started = timeIn(varz, "start");
  const percent = numberIn(varz, "cpu");
  return [
    ["start_time_seconds", started === null ? null : started / 1_000],
    ["healthy", health === null ? null : Number(health.ok)],
    ["cpu_usage_cores", percent === null ? null : percent / 100],
    ["resident_memory_bytes", numberIn(varz, "mem")],
    ["connections_limit", numberIn(varz, "max_connections")],
    ["subscriptions", numberIn(varz, "subscriptions")],
    ["stale_connections_total", numberIn(varz, "stale_connections")],
    ["routes", routes?.length],
    [
      "route_pending_bytes_max",
      routePending === null ? null : largest(routePending.map(({ bytes }) => bytes)),
    ],
    ["gateways", gateways?.connected.length],
    ["gateways_expected", gateways?.configured.length],
  ];
}

function connectionValues({
  connections,
  totalConnections,
  slowConsumers,
  traffic,
  open,
}: ServerFacts): Values {
  return [
    ["connections", connections],
    ["connections_total", totalConnections],
    ["connections_idle", open?.idle],
    ["connection_pending_bytes", open?.pendingBytes],
    ["connection_pending_bytes_max", open === null ? null : (open.slowest?.pendingBytes ?? 0)],
    ["slow_consumers_total", slowConsumers],
    ["messages_received_total", traffic?.inMsgs],
    ["messages_sent_total", traffic?.outMsgs],
    ["bytes_received_total", traffic?.inBytes],
    ["bytes_sent_total", traffic?.outBytes],
  ];
}

function jetstreamValues(jsz: JsonObject | null, facts: ServerFacts): Values {
  const { jetstream, memory, storage, api, streams } = facts;
  if (jetstream !== true) return [["jetstream_enabled", jetstream === null ? null : 0]];
  const pending = (streams ?? []).flatMap(({ consumers }) => consumers.map((one) => one.pending));
  return [
    ["jetstream_enabled", 1],
    ["jetstream_memory_bytes", memory?.usedBytes],
    ["jetstream_memory_limit_bytes", memory?.limitBytes],
    ["jetstream_storage_bytes", storage?.usedBytes],
    ["jetstream_storage_limit_bytes", storage?.limitBytes],
    ["jetstream_streams", numberIn(jsz, "streams")],
    ["jetstream_consumers", numberIn(jsz, "consumers")],
    ["jetstream_messages", numberIn(jsz, "messages")],
    ["jetstream_api_requests_total", api?.requests],
    ["jetstream_api_errors_total", api?.errors],
    ["jetstream_consumer_pending_max", largest(pending)],
  ];
}

function metaValues({ name, meta }: ServerFacts): Values {
  if (meta === null) return [];
  const { leader, size, peers } = meta;
  const known: Values = [
    ["meta_has_leader", leader === null ? 0 : 1],
    ["meta_is_leader", Number(leader === name)],
    ["meta_size", size],
  ];
  if (leader !== name) return known;
  // Only the leader knows the state of the others.
  return [
    ...known,
    ["meta_peers_offline", peers.filter(({ offline }) => offline).length],
    ["meta_lag_max", largest(peers.map(({ lag }) => lag))],
  ];
}

/** 0 of nothing. */
function largest(values: readonly number[]): number {
  return values.reduce((most, one) => Math.max(most, one), 0);
}

/** A stream as the servers that have a replica of it describe it. */
export interface StreamReading {
  readonly account: string;
  readonly stream: string;
  /** Server name; `null`: its raft group has none. */
  readonly leader: string | null;
  /** The servers that list it. */
  readonly holders: readonly ServerReading[];
  /** The leader's description, else any. */
  readonly detail: JsonObject;
  /** From the leader of each consumer, where it has answered. */
  readonly consumers: readonly JsonObject[];
}

/** The selected streams of all servers, sorted by account and name. */
export function readStreams(
  readings: readonly ServerReading[],
  selection: Selection,
): { readonly streams: readonly StreamReading[]; readonly omitted: number } {
  const matches = selection.streams.map(patternOf);
  const found = new Map<string, SeenStream[]>();
  for (const reading of readings) {
    const { jsz } = reading.documents;
    if (jsz === null) continue;
    for (const { account, detail } of eachStream(jsz)) {
      const stream = textIn(detail, "name");
      if (stream === null || !matches.some((pattern) => pattern.test(stream))) continue;
      const key = JSON.stringify([account, stream]);
      const seen = found.get(key) ?? [];
      // A server lists a stream once. A second entry is not counted.
      if (seen.at(-1)?.holder === reading) continue;
      seen.push({ holder: reading, server: reading.server, account, detail });
      found.set(key, seen);
    }
  }
  const keys = [...found.keys()].sort();
  const streams = keys.slice(0, selection.maxStreams).flatMap((key) => streamOf(found.get(key) ?? []));
  return { streams, omitted: Math.max(0, keys.length - selection.maxStreams) };
}

function patternOf(text: string): RegExp {
  const parts = text.split("*").map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`);
}

/** One server's description of a stream. */
interface SeenStream {
  readonly holder: ServerReading;
  /** Its name. */
  readonly server: string;
  readonly account: string;
  readonly detail: JsonObject;
}

function streamOf(seen: readonly SeenStream[]): StreamReading[] {
  const [first] = seen;
  if (first === undefined) return [];
  const led = seen.find(({ server, detail }) => leaderIn(detail) === server);
  // A single server may describe a stream without a raft group.
  const alone = seen.find(({ detail }) => objectIn(detail, "cluster") === null);
  const named = seen.flatMap(({ detail }) => leaderIn(detail) ?? []);
  const own = led ?? alone ?? first;
  return [
    {
      account: own.account,
      stream: textIn(own.detail, "name") ?? "?",
      leader: led?.server ?? alone?.server ?? named[0] ?? null,
      holders: seen.map(({ holder }) => holder),
      detail: own.detail,
      consumers: consumersOf(seen),
    },
  ];
}

function leaderIn(detail: JsonObject): string | null {
  return textIn(objectIn(detail, "cluster"), "leader");
}

/** Each consumer once: as its own leader describes it, which may be another server than the leader of the stream. */
function consumersOf(seen: readonly { server: string; detail: JsonObject }[]): JsonObject[] {
  const byName = new Map<string, { consumer: JsonObject; led: boolean }>();
  for (const { server, detail } of seen) {
    for (const consumer of listIn(detail, "consumer_detail")) {
      const name = textIn(consumer, "name");
      const led = leaderIn(consumer) === server;
      if (name !== null && (led || !byName.has(name))) byName.set(name, { consumer, led });
    }
  }
  return [...byName.values()].map(({ consumer }) => consumer);
}

export function streamSamples(streams: readonly StreamReading[], selection: Selection): Sample[] {
  return streams.flatMap((reading) => {
    const { account, stream, leader, holders, detail } = reading;
    const labels = { account, stream };
    const state = objectIn(detail, "state");
    const config = objectIn(detail, "config");
    const limit = usageOf(state, "bytes", config, "max_bytes")?.limitBytes ?? null;
    const peers = readPeers(objectIn(detail, "cluster"));
    const isLed = leader !== null && holders.some(({ server }) => server === leader);
    const values: readonly (readonly [ServerMetricName, number | null])[] = [
      ["stream_has_leader", leader === null ? 0 : 1],
      ["stream_messages", numberIn(state, "messages")],
      ["stream_bytes", numberIn(state, "bytes")],
      ["stream_limit_bytes", limit],
      ["stream_last_sequence", numberIn(state, "last_seq")],
      ["stream_consumers", numberIn(state, "consumer_count")],
      ["stream_replicas", numberIn(config, "num_replicas")],
      // Only the leader knows the state of the replicas.
      ["stream_replicas_offline", isLed ? peers.filter(({ offline }) => offline).length : null],
      ["stream_replica_lag_max", isLed ? largest(peers.map(({ lag }) => lag)) : null],
    ];
    return [
      ...values.flatMap(([name, value]) => (value === null ? [] : [{ name, labels, value }])),
      ...holders.map((holder): Sample => {
        const value = Number(holder.server === leader);
        return { name: "stream_is_leader", labels: { ...labelsOf(holder), ...labels }, value };
      }),
      ...consumerSamples(reading, selection),
    ];
  });
}

const CONSUMER: readonly (readonly [ServerMetricName, string])[] = [
  ["consumer_pending", "num_pending"],
  ["consumer_ack_pending", "num_ack_pending"],
  ["consumer_redelivered", "num_redelivered"],
  ["consumer_waiting", "num_waiting"],
];

function consumerSamples({ account, stream, consumers }: StreamReading, selection: Selection): Sample[] {
  const sums = new Map<string, number[]>();
  for (const consumer of [...stable(consumers).slice(0, selection.maxConsumers), ...unnamed(consumers)]) {
    const label = stableName(consumer) ?? EPHEMERAL;
    const before = sums.get(label) ?? CONSUMER.map(() => 0);
    sums.set(
      label,
      CONSUMER.map(([, field], index) => (before[index] ?? 0) + (numberIn(consumer, field) ?? 0)),
    );
  }
  return [...sums].flatMap(([consumer, values]) =>
    CONSUMER.map(([name], index) => ({
      name,
      labels: { account, stream, consumer },
      value: values[index] ?? 0,
    })),
  );
}

/** How many consumers with a stable name are left out. */
export function omittedConsumers(streams: readonly StreamReading[], { maxConsumers }: Selection): number {
  return streams.reduce(
    (sum, { consumers }) => sum + Math.max(0, stable(consumers).length - maxConsumers),
    0,
  );
}

function stable(consumers: readonly JsonObject[]): JsonObject[] {
  return consumers
    .filter((one) => stableName(one) !== null)
    .sort((a, b) => ((stableName(a) ?? "") < (stableName(b) ?? "") ? -1 : 1));
}

function unnamed(consumers: readonly JsonObject[]): JsonObject[] {
  return consumers.filter((one) => stableName(one) === null);
}

/** `<group>:<resource>` of a consumer of a partition, whose name also has the epoch and a random part; `null`: the name is random. */
function stableName(consumer: JsonObject): string | null {
  const durable = textIn(objectIn(consumer, "config"), "durable_name");
  if (durable !== null) return durable;
  const [, partition] = OF_PARTITION.exec(textIn(consumer, "name") ?? "") ?? [];
  return partition ?? null;
}
