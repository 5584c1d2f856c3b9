/** Recording rules: what dashboards ask for often, aggregated by cluster, group or server. */
import { bridge, node, server } from "./names.ts";
import type { Times } from "./time.ts";

export interface Recording {
  /** Level, metric, operations. */
  readonly record: string;
  readonly expr: string;
}

export function recordings({ range }: Times): readonly Recording[] {
  const quantile = (
    name: "vacancy_seconds" | "renewal_duration_seconds",
    q: number,
    window: number,
  ): string =>
    `histogram_quantile(${q}, sum by (cluster, le) (rate(${node(name)}_bucket[${range(window)}])))`;
  return [
    { record: "cluster:nats_leader_is_leader:sum", expr: `sum by (cluster) (${node("is_leader")})` },
    { record: "cluster:nats_leader_epoch:max", expr: `max by (cluster) (${node("epoch")})` },
    {
      record: "cluster:nats_leader_leader_changes:increase1h",
      expr: `max by (cluster) (increase(${node("leader_changes_total")}[${range(3_600)}]))`,
    },
    { record: "cluster:nats_leader_vacancy_seconds:p99_1h", expr: quantile("vacancy_seconds", 0.99, 3_600) },
    {
      record: "cluster:nats_leader_renewal_duration_seconds:p99_5m",
      expr: quantile("renewal_duration_seconds", 0.99, 300),
    },
    {
      record: "cluster:nats_leader_lease_margin_seconds:min",
      expr: `min by (cluster) (${node("lease_margin_seconds")})`,
    },
    { record: "group:nats_leader_resources_owned:sum", expr: `sum by (group) (${node("resources_owned")})` },
    {
      record: "group:nats_leader_moves:rate5m",
      expr: `sum by (group, reason) (rate(${node("moves_total")}[${range(300)}]))`,
    },
    ...(["memory", "storage"] as const).map((name) => ({
      record: `server:nats_leader_server_jetstream_${name}:ratio`,
      expr: `${server(`jetstream_${name}_bytes`)} / ${server(`jetstream_${name}_limit_bytes`)}`,
    })),
    {
      record: "server:nats_leader_server_messages_received:rate5m",
      expr: `rate(${server("messages_received_total")}[${range(300)}])`,
    },
    {
      record: "instance_number:bridge_stored:rate2m",
      expr: `sum by (job, instance_number) (rate(${bridge("stored_total")}[${range(120)}]))`,
    },
  ];
}
