/** NATS servers: the cluster, their resources, streams and consumers, connections. */
import { server } from "../names.ts";
import { LAG, MEMORY_PERCENT, STORAGE_PERCENT } from "../thresholds.ts";
import type { Dashboard, Panel } from "./panel.ts";

type Name = Parameters<typeof server>[0];
const q = (name: Name): string => `${server(name)}{server=~"$server"}`;
const rate = (name: Name): string => `rate(${q(name)}[$__rate_interval])`;
const SERVERS = [{ name: "server", metric: server("up") }] as const;
const bySeries = (
  title: string,
  text: string,
  expr: string,
  unit: Panel["unit"],
  more: Partial<Panel> = {},
): Panel => ({
  title,
  kind: "timeseries",
  text,
  queries: [{ expr, legend: "{{server}}" }],
  unit,
  ...more,
});

export const natsCluster: Dashboard = {
  uid: "nats-leader-cluster",
  title: "nats-leader: NATS cluster health",
  text: "Whether the servers run, see each other and have leaders.",
  variables: SERVERS,
  panels: [
    {
      title: "Servers that answer",
      kind: "stat",
      text: "Of those that are asked.",
      queries: [
        { expr: `sum(${server("up")})`, legend: "up" },
        { expr: `count(${server("up")})`, legend: "of" },
      ],
      unit: "none",
      width: 6,
    },
    {
      title: "Findings of doctor",
      kind: "stat",
      text: "`nats-leader doctor` prints them with what to do.",
      queries: [{ expr: server("findings"), legend: "{{severity}}" }],
      unit: "none",
      width: 6,
    },
    {
      title: "Meta leader",
      kind: "stat",
      text: "The server that leads JetStream's meta group.",
      queries: [{ expr: `${server("meta_is_leader")} == 1`, legend: "{{server}}" }],
      unit: "none",
      width: 6,
    },
    {
      title: "Versions",
      kind: "table",
      text: "Different versions only during an upgrade.",
      queries: [{ expr: server("info"), legend: "{{server}}" }],
      unit: "none",
      width: 6,
    },
    {
      title: "Up and healthy",
      kind: "state-timeline",
      text: "healthy: healthz is ok.",
      queries: [
        { expr: q("up"), legend: "{{server}} up" },
        { expr: q("healthy"), legend: "{{server}} healthy" },
      ],
      unit: "none",
    },
    {
      title: "Routes and gateways",
      kind: "timeseries",
      text: "Lower than expected: servers do not reach each other.",
      queries: [
        { expr: q("routes"), legend: "{{server}} routes" },
        { expr: q("routes_expected"), legend: "{{server}} routes expected" },
      ],
      unit: "none",
    },
    {
      title: "Changes of raft leaders",
      kind: "timeseries",
      text: "Each is an election: seconds without writes.",
      queries: [
        { expr: `increase(${server("meta_leader_changes_total")}[15m])`, legend: "meta" },
        { expr: `increase(${server("stream_leader_changes_total")}[15m])`, legend: "{{stream}}" },
      ],
      unit: "short",
    },
    bySeries("Restarts", "Starts within an hour.", `changes(${q("start_time_seconds")}[1h])`, "short"),
    bySeries(
      "Servers without contact to the meta leader",
      "As the meta leader sees them.",
      q("meta_peers_offline"),
      "none",
    ),
    bySeries("Lag in the meta group", "Operations.", q("meta_lag_max"), "short", {
      limits: [{ above: LAG, color: "orange" }],
    }),
  ],
};

export const resources: Dashboard = {
  uid: "nats-leader-resources",
  title: "nats-leader: resources of NATS servers",
  text: "CPU, memory, disk and traffic.",
  variables: SERVERS,
  panels: [
    bySeries("CPU", "In cores.", q("cpu_usage_cores"), "short"),
    bySeries("Resident memory", "Of the process.", q("resident_memory_bytes"), "bytes"),
    bySeries(
      "JetStream memory",
      "Share of the limit. The alert is above the line.",
      `${q("jetstream_memory_bytes")} / ${q("jetstream_memory_limit_bytes")}`,
      "percentunit",
      { limits: [{ above: MEMORY_PERCENT / 100, color: "orange" }] },
    ),
    bySeries(
      "JetStream storage",
      "Share of the limit. Full: no lease can be renewed.",
      `${q("jetstream_storage_bytes")} / ${q("jetstream_storage_limit_bytes")}`,
      "percentunit",
      { limits: [{ above: STORAGE_PERCENT / 100, color: "red" }] },
    ),
    {
      title: "Messages",
      kind: "timeseries",
      text: "From and to clients, routes, gateways and leaf nodes.",
      queries: [
        { expr: rate("messages_received_total"), legend: "{{server}} in" },
        { expr: rate("messages_sent_total"), legend: "{{server}} out" },
      ],
      unit: "reqps",
    },
    {
      title: "Bytes",
      kind: "timeseries",
      text: "From and to clients, routes, gateways and leaf nodes.",
      queries: [
        { expr: rate("bytes_received_total"), legend: "{{server}} in" },
        { expr: rate("bytes_sent_total"), legend: "{{server}} out" },
      ],
      unit: "Bps",
    },
  ],
};

const S = '{stream=~"$stream"}';
const stream = (
  name: Name,
  title: string,
  text: string,
  unit: Panel["unit"],
  more: Partial<Panel> = {},
): Panel => ({
  title,
  kind: "timeseries",
  text,
  queries: [{ expr: `${server(name)}${S}`, legend: "{{stream}}" }],
  unit,
  ...more,
});

export const streams: Dashboard = {
  uid: "nats-leader-streams",
  title: "nats-leader: streams and consumers",
  text: "The streams of elections and groups, and those that the exporter was given.",
  variables: [{ name: "stream", metric: server("stream_has_leader") }],
  panels: [
    stream("stream_has_leader", "Has a leader", "0: nothing can be written.", "none", {
      kind: "state-timeline",
    }),
    {
      title: "Leader",
      kind: "table",
      text: "The server that leads each stream.",
      queries: [{ expr: `${server("stream_is_leader")}${S} == 1`, legend: "{{stream}} on {{server}}" }],
      unit: "none",
    },
    stream("stream_messages", "Messages", "Stored.", "short"),
    stream("stream_bytes", "Bytes", "Stored.", "bytes"),
    {
      title: "Writes",
      kind: "timeseries",
      text: "A bucket of an election has one per renewal.",
      queries: [
        { expr: `rate(${server("stream_last_sequence")}${S}[$__rate_interval])`, legend: "{{stream}}" },
      ],
      unit: "reqps",
    },
    stream(
      "stream_replica_lag_max",
      "Lag of replicas",
      "Operations that the slowest replica is behind.",
      "short",
      {
        limits: [{ above: LAG, color: "orange" }],
      },
    ),
    stream(
      "stream_replicas_offline",
      "Replicas without contact",
      "One of three is survived, two are not.",
      "none",
    ),
    {
      title: "Consumers: not delivered yet",
      kind: "timeseries",
      text: "By stable name; all others of a stream in one line.",
      queries: [{ expr: `${server("consumer_pending")}${S}`, legend: "{{stream}} {{consumer}}" }],
      unit: "short",
      limits: [{ above: LAG, color: "orange" }],
    },
    {
      title: "Consumers: delivered, not acknowledged",
      kind: "timeseries",
      text: "Grows while a client works on messages, or is stuck.",
      queries: [{ expr: `${server("consumer_ack_pending")}${S}`, legend: "{{stream}} {{consumer}}" }],
      unit: "short",
    },
    {
      title: "Largest backlog of a consumer, any stream",
      kind: "timeseries",
      text: "By the server that leads the stream.",
      queries: [{ expr: server("jetstream_consumer_pending_max"), legend: "{{server}}" }],
      unit: "short",
      limits: [{ above: LAG, color: "orange" }],
    },
  ],
};

export const connections: Dashboard = {
  uid: "nats-leader-connections",
  title: "nats-leader: connections",
  text: "Clients of the NATS servers.",
  variables: SERVERS,
  panels: [
    bySeries("Connections", "Open now.", q("connections"), "none"),
    bySeries(
      "New connections",
      "Clients that reconnect again and again show here.",
      rate("connections_total"),
      "reqps",
    ),
    bySeries("Idle for an hour", "Of the 256 with most pending bytes.", q("connections_idle"), "none"),
    bySeries("Subscriptions", "Growing without limit: a leak in a client.", q("subscriptions"), "short"),
    bySeries(
      "Bytes that wait for one client",
      "The slowest one. At the limit of the server it is closed.",
      q("connection_pending_bytes_max"),
      "bytes",
    ),
    bySeries(
      "Bytes that wait for one route",
      "A slow network between servers.",
      q("route_pending_bytes_max"),
      "bytes",
    ),
    {
      title: "Ended within a minute, by reason",
      kind: "timeseries",
      text: "authentication: refused credentials. slow: read too slowly. stale: did not answer pings.",
      queries: [{ expr: q("connections_closed_lately"), legend: "{{server}} {{reason}}" }],
      unit: "none",
      width: 24,
    },
  ],
};
