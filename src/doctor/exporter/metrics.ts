/**
 * Every metric of the exporter of NATS servers: the one source for the exporter, the rules and dashboards of
 * `examples/observability`, and docs/observability.md. Units are base units. A counter of a server starts again with the server.
 */

/** What a series is of, and the labels that name it. Only servers that share a name have the label `url`. */
const LABELS = {
  exporter: [],
  server: ["server", "url"],
  info: ["server", "url", "version", "nats_cluster"],
  document: ["server", "url", "document"],
  reason: ["server", "url", "reason"],
  stream: ["account", "stream"],
  replica: ["server", "url", "account", "stream"],
  consumer: ["account", "stream", "consumer"],
  severity: ["severity"],
  code: ["severity", "code"],
  threshold: ["threshold"],
} as const;

const PREFIX = "nats_leader_server_";

export const SERVER_METRICS = {
  up: {
    kind: "gauge",
    of: "server",
    help: "1: the server answered within the time limit; 0: it did not, and the series below are missing.",
  },
  info: { kind: "gauge", of: "info", help: "Always 1; its labels describe the server." },
  read_seconds: { kind: "gauge", of: "server", help: "Time to read the documents of the server." },
  document_up: {
    kind: "gauge",
    of: "document",
    help: "1: this document was read; 0: it was not, and what follows from it is missing.",
  },
  values_refused: {
    kind: "gauge",
    of: "server",
    help: "Values of the server that are left out because they cannot be, such as a negative counter.",
  },
  start_time_seconds: { kind: "gauge", of: "server", help: "Unix time of the start of the server." },
  healthy: { kind: "gauge", of: "server", help: "1: healthz is ok; 0: it reports an error." },
  cpu_usage_cores: { kind: "gauge", of: "server", help: "CPU that the server uses, in cores." },
  resident_memory_bytes: { kind: "gauge", of: "server", help: "Resident memory of the server process." },
  connections: { kind: "gauge", of: "server", help: "Open client connections." },
  connections_limit: { kind: "gauge", of: "server", help: "Largest number of client connections." },
  connections_total: {
    kind: "counter",
    of: "server",
    help: "Client connections since the start of the server.",
  },
  connections_idle: {
    kind: "gauge",
    of: "server",
    help: "Connections without a message for an hour, of the 256 with most pending bytes.",
  },
  connections_closed_lately: {
    kind: "gauge",
    of: "reason",
    help: "Connections that ended within the last minute, at most 256.",
  },
  connection_pending_bytes: { kind: "gauge", of: "server", help: "Bytes that wait for clients." },
  connection_pending_bytes_max: { kind: "gauge", of: "server", help: "Most bytes that wait for one client." },
  subscriptions: { kind: "gauge", of: "server", help: "Subscriptions." },
  messages_received_total: {
    kind: "counter",
    of: "server",
    help: "Messages received from clients, routes, gateways and leaf nodes.",
  },
  messages_sent_total: {
    kind: "counter",
    of: "server",
    help: "Messages sent to clients, routes, gateways and leaf nodes.",
  },
  bytes_received_total: {
    kind: "counter",
    of: "server",
    help: "Bytes received from clients, routes, gateways and leaf nodes.",
  },
  bytes_sent_total: {
    kind: "counter",
    of: "server",
    help: "Bytes sent to clients, routes, gateways and leaf nodes.",
  },
  slow_consumers_total: {
    kind: "counter",
    of: "server",
    help: "Connections closed because they read too slowly.",
  },
  stale_connections_total: {
    kind: "counter",
    of: "server",
    help: "Connections closed because they did not answer pings.",
  },
  routes: { kind: "gauge", of: "server", help: "Servers of its NATS cluster to which it has a route." },
  routes_expected: { kind: "gauge", of: "server", help: "Other servers of its NATS cluster." },
  route_pending_bytes_max: { kind: "gauge", of: "server", help: "Most bytes that wait for one route." },
  gateways: { kind: "gauge", of: "server", help: "Other NATS clusters to which it has a connection." },
  gateways_expected: {
    kind: "gauge",
    of: "server",
    help: "Other NATS clusters that its configuration or gossip names.",
  },
  jetstream_enabled: { kind: "gauge", of: "server", help: "1: JetStream is on; 0: it is off." },
  jetstream_memory_bytes: { kind: "gauge", of: "server", help: "Memory that JetStream uses." },
  jetstream_memory_limit_bytes: {
    kind: "gauge",
    of: "server",
    help: "Limit of the memory of JetStream; missing: unlimited.",
  },
  jetstream_storage_bytes: { kind: "gauge", of: "server", help: "Disk that JetStream uses." },
  jetstream_storage_limit_bytes: {
    kind: "gauge",
    of: "server",
    help: "Limit of the disk of JetStream; missing: unlimited.",
  },
  jetstream_streams: { kind: "gauge", of: "server", help: "Streams with a replica on the server." },
  jetstream_consumers: { kind: "gauge", of: "server", help: "Consumers with a replica on the server." },
  jetstream_messages: { kind: "gauge", of: "server", help: "Stored messages." },
  jetstream_api_requests_total: { kind: "counter", of: "server", help: "Requests to the JetStream API." },
  jetstream_api_errors_total: {
    kind: "counter",
    of: "server",
    help: "Requests to the JetStream API that were answered with an error.",
  },
  jetstream_consumer_pending_max: {
    kind: "gauge",
    of: "server",
    help: "Most messages that wait for one consumer of a stream that the server leads.",
  },
  meta_has_leader: {
    kind: "gauge",
    of: "server",
    help: "1: the server knows a leader of JetStream's meta group; 0: it knows none.",
  },
  meta_is_leader: { kind: "gauge", of: "server", help: "1: the server leads JetStream's meta group." },
  meta_size: { kind: "gauge", of: "server", help: "Servers in JetStream's meta group." },
  meta_peers_offline: {
    kind: "gauge",
    of: "server",
    help: "Servers with which the leader of the meta group has no contact; only on the leader.",
  },
  meta_lag_max: {
    kind: "gauge",
    of: "server",
    help: "Most operations that a server is behind in the meta group; only on the leader.",
  },
  meta_leader_changes_total: {
    kind: "counter",
    of: "exporter",
    help: "Changes of the leader of the meta group that this exporter has seen.",
  },
  stream_has_leader: {
    kind: "gauge",
    of: "stream",
    help: "1: its raft group has a leader; 0: it has none, and cannot be written.",
  },
  stream_is_leader: {
    kind: "gauge",
    of: "replica",
    help: "1: this server leads the stream; 0: it has a replica.",
  },
  stream_leader_changes_total: {
    kind: "counter",
    of: "stream",
    help: "Changes of the leader of the stream that this exporter has seen.",
  },
  stream_messages: { kind: "gauge", of: "stream", help: "Stored messages." },
  stream_bytes: { kind: "gauge", of: "stream", help: "Stored bytes." },
  stream_limit_bytes: { kind: "gauge", of: "stream", help: "Limit of the stored bytes; missing: unlimited." },
  stream_last_sequence: { kind: "gauge", of: "stream", help: "Sequence of the last message." },
  stream_consumers: { kind: "gauge", of: "stream", help: "Consumers of any kind." },
  stream_replicas: { kind: "gauge", of: "stream", help: "Replicas that the stream is configured with." },
  stream_replicas_offline: {
    kind: "gauge",
    of: "stream",
    help: "Replicas with which the leader has no contact.",
  },
  stream_replica_lag_max: { kind: "gauge", of: "stream", help: "Most operations that a replica is behind." },
  consumer_pending: { kind: "gauge", of: "consumer", help: "Messages that were not delivered yet." },
  consumer_ack_pending: {
    kind: "gauge",
    of: "consumer",
    help: "Messages that were delivered and not acknowledged.",
  },
  consumer_redelivered: {
    kind: "gauge",
    of: "consumer",
    help: "Messages that were delivered more than once and are not acknowledged.",
  },
  consumer_waiting: { kind: "gauge", of: "consumer", help: "Pull requests that wait for messages." },
  streams_omitted: {
    kind: "gauge",
    of: "exporter",
    help: "Streams that were selected and left out because of the limit.",
  },
  consumers_omitted: {
    kind: "gauge",
    of: "exporter",
    help: "Consumers with a stable name that were left out because of the limit.",
  },
  findings: { kind: "gauge", of: "severity", help: "Findings of doctor about the servers." },
  finding: {
    kind: "gauge",
    of: "code",
    help: "Findings of doctor about the servers, by code; 0: it was there before.",
  },
  threshold: {
    kind: "gauge",
    of: "threshold",
    help: "Thresholds of doctor. A value equal to its threshold gives no finding.",
  },
} as const;

export type ServerMetricName = keyof typeof SERVER_METRICS;

/** The name in the exposition. */
export function serverMetric(name: ServerMetricName): string {
  return `${PREFIX}${name}`;
}

export function serverLabels(name: ServerMetricName): readonly string[] {
  return LABELS[SERVER_METRICS[name].of];
}
