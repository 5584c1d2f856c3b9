/** nats-leader/prometheus: the metrics of nodes and members in the formats of Prometheus. docs/telemetry.md describes each of them. */
export type { MetricsText } from "./telemetry/metrics-text.ts";
export { type PrometheusMetrics, prometheusMetrics } from "./telemetry/prometheus.ts";
