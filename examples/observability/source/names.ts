/** The names of all metrics that rules and dashboards use. A name that is not exported does not compile. */
import { SERVER_METRICS, type ServerMetricName, serverMetric } from "../../../src/doctor/exporter/metrics.ts";

/** Of daemons, members and applications (docs/telemetry.md). */
const NODE_METRICS = [
  "is_leader",
  "has_leader",
  "epoch",
  "leader_changes_total",
  "terms_total",
  "term_duration_seconds",
  "vacancy_seconds",
  "renewals_total",
  "renewal_duration_seconds",
  "lease_margin_seconds",
  "suspensions_total",
  "suspended_seconds_total",
  "suspicions_total",
  "presence",
  "beat_rtt_seconds",
  "hook_duration_seconds",
  "drain_duration_seconds",
  "drain_timeouts_total",
  "fenced_writes_total",
  "resources_owned",
  "resources_unowned",
  "moves_total",
] as const;

export type NodeMetric = (typeof NODE_METRICS)[number];

export function node(name: NodeMetric): string {
  return `nats_leader_${name}`;
}

/** Of the NATS servers (`nats-leader doctor --prometheus`). */
export function server(name: ServerMetricName): string {
  return serverMetric(name);
}

/** Of the instances of `examples/data-bridge`. */
const BRIDGE_METRICS = [
  "stored_total",
  "duplicates_total",
  "dead_total",
  "retries_total",
  "pauses_total",
  "refused_total",
  "failures_total",
  "partition_lag",
  "partition_paused",
  "partitions",
  "connected",
] as const;

export type BridgeMetric = (typeof BRIDGE_METRICS)[number];

export function bridge(name: BridgeMetric): string {
  return `bridge_${name}`;
}

/** Every name, as it is in the exposition. */
export function metricNames(): readonly string[] {
  const histograms = NODE_METRICS.filter((name) => name.endsWith("_seconds"));
  return [
    ...NODE_METRICS.map(node),
    ...histograms.flatMap((name) => ["bucket", "count", "sum"].map((part) => `${node(name)}_${part}`)),
    ...(Object.keys(SERVER_METRICS) as ServerMetricName[]).map(server),
    ...BRIDGE_METRICS.map(bridge),
  ];
}

/** The jobs of prometheus.yml. */
export const JOBS = { nodes: "nats-leader", servers: "nats-servers", bridge: "data-bridge" } as const;
