/** The names of all metrics that rules and dashboards use. A name that is not exported does not compile. */
import type { MoveReason } from "../../../src/channels/events.ts";
import type { FencedWriteResult, RenewalResult } from "../../../src/channels/sets.ts";
import { SERVER_METRICS, type ServerMetricName, serverMetric } from "../../../src/doctor/exporter/metrics.ts";
import { type InstrumentName, instruments, PREFIX } from "../../../src/telemetry/instruments.ts";

/** Of daemons, members and applications (docs/telemetry.md). */
export type NodeMetric = InstrumentName;

export function node(name: NodeMetric): string {
  return `${PREFIX}${name}`;
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
  return [
    ...instruments.flatMap(([name, { kind }]) =>
      kind === "histogram" ? ["bucket", "count", "sum"].map((part) => `${node(name)}_${part}`) : [node(name)],
    ),
    ...(Object.keys(SERVER_METRICS) as ServerMetricName[]).map(server),
    ...BRIDGE_METRICS.map(bridge),
  ];
}

/** The values of the label that a metric has besides those of its source. A value that does not exist does not compile. */
export const REASONS: {
  readonly refused: FencedWriteResult;
  readonly applied: RenewalResult;
  readonly claimed: MoveReason;
} = { refused: "refused", applied: "applied", claimed: "claimed" };

/** The jobs of prometheus.yml. */
export const JOBS = { nodes: "nats-leader", servers: "nats-servers", bridge: "data-bridge" } as const;
