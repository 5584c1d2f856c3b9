/** The generated parts of docs/observability.md, and the runbook in docs/operations.md. */
import { type Alert, runbookAnchor } from "../../examples/observability/source/alert.ts";
import { alertGroups } from "../../examples/observability/source/alerts.ts";
import { duration, REAL } from "../../examples/observability/source/time.ts";
import {
  SERVER_METRICS,
  type ServerMetricName,
  serverLabels,
  serverMetric,
} from "../../src/doctor/exporter/metrics.ts";

/** What prometheus-nats-exporter calls the same fact, with its default prefixes. */
const ELSEWHERE: Partial<Record<ServerMetricName, string>> = {
  up: "`up` of its own target",
  info: "labels of `jetstream_server_*`",
  healthy: "`gnatsd_healthz_status`, where 0 is healthy",
  cpu_usage_cores: "`gnatsd_varz_cpu`, in percent",
  resident_memory_bytes: "`gnatsd_varz_mem`",
  connections: "`gnatsd_varz_connections`",
  connections_limit: "`gnatsd_varz_max_connections`",
  connections_total: "`gnatsd_varz_total_connections`",
  connection_pending_bytes: "`gnatsd_connz_pending_bytes`",
  subscriptions: "`gnatsd_varz_subscriptions`",
  messages_received_total: "`gnatsd_varz_in_msgs`",
  messages_sent_total: "`gnatsd_varz_out_msgs`",
  bytes_received_total: "`gnatsd_varz_in_bytes`",
  bytes_sent_total: "`gnatsd_varz_out_bytes`",
  slow_consumers_total: "`gnatsd_varz_slow_consumers`",
  routes: "`gnatsd_routez_num_routes`, which counts connections",
  gateways: "count of `gnatsd_gatewayz_outbound_gateway_configured`",
  jetstream_enabled: "`jetstream_server_jetstream_disabled`, inverted",
  jetstream_memory_bytes: "`gnatsd_varz_jetstream_stats_memory`",
  jetstream_memory_limit_bytes: "`jetstream_server_max_memory`",
  jetstream_storage_bytes: "`gnatsd_varz_jetstream_stats_storage`",
  jetstream_storage_limit_bytes: "`jetstream_server_max_storage`",
  jetstream_streams: "`jetstream_server_total_streams`",
  jetstream_consumers: "`jetstream_server_total_consumers`",
  jetstream_messages: "`jetstream_server_total_messages`",
  jetstream_api_errors_total: "`gnatsd_varz_jetstream_stats_api_errors`",
  jetstream_api_requests_total: "`gnatsd_varz_jetstream_stats_api_total`",
  meta_is_leader: "label `is_meta_leader`",
  stream_is_leader: "label `is_stream_leader`",
  stream_messages: "`jetstream_stream_total_messages`",
  stream_bytes: "`jetstream_stream_total_bytes`",
  stream_last_sequence: "`jetstream_stream_last_seq`",
  stream_consumers: "`jetstream_stream_consumer_count`",
  consumer_pending: "`jetstream_consumer_num_pending`",
  consumer_ack_pending: "`jetstream_consumer_num_ack_pending`",
  consumer_redelivered: "`jetstream_consumer_num_redelivered`",
  consumer_waiting: "`jetstream_consumer_num_waiting`",
};

export function metricTables(): Record<string, string> {
  const names = Object.keys(SERVER_METRICS) as ServerMetricName[];
  const rows = names.map((name) => [
    `\`${serverMetric(name)}\``,
    serverLabels(name).join(", "),
    SERVER_METRICS[name].help,
    ELSEWHERE[name] ?? "",
  ]);
  return { "server-metrics": table(["metric", "labels", "meaning", "prometheus-nats-exporter"], rows) };
}

export function alertTables(): Record<string, string> {
  const parts = alertGroups(REAL).map(({ title, alerts }) => {
    const rows = alerts.map((alert) => [
      `[${alert.name}](operations.md#${runbookAnchor(alert)})`,
      alert.severity,
      holdOf(alert),
      alert.meaning,
    ]);
    return `### ${title}\n\n${table(["alert", "severity", "for", "meaning"], rows)}`;
  });
  return { alerts: parts.join("\n\n") };
}

/** One entry per alert: its link is in the annotation `runbook_url`. */
export function runbook(): string {
  const entries = alertGroups(REAL).flatMap(({ alerts }) =>
    alerts.map((alert) =>
      [
        `### ${alert.name}`,
        "",
        `${alert.meaning}`,
        "",
        `- First step: ${alert.firstStep}`,
        `- Condition${alert.holdSeconds === 0 ? "" : `, for ${holdOf(alert)}`}: \`${alert.expr}\``,
      ].join("\n"),
    ),
  );
  return entries.join("\n\n");
}

function holdOf({ holdSeconds }: Alert): string {
  return holdSeconds === 0 ? "" : duration(holdSeconds);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
