/** What went wrong, of nodes and of servers, on one page. */
import { node, REASONS, server } from "../names.ts";
import type { Dashboard } from "./panel.ts";

const inc = (metric: string): string => `increase(${metric}[$__rate_interval])`;

export const errors: Dashboard = {
  uid: "nats-leader-errors",
  title: "nats-leader: errors",
  text: "What went wrong: alerts that fire, terms that were lost, writes that were refused, slow hooks and consumers.",
  variables: [],
  panels: [
    {
      title: "Alerts",
      kind: "timeseries",
      text: "That fire, or whose condition holds and not for long enough yet.",
      queries: [
        { expr: "count by (alertname, alertstate) (ALERTS)", legend: "{{alertname}} {{alertstate}}" },
      ],
      unit: "none",
      width: 24,
    },
    {
      title: "Targets that answer",
      kind: "state-timeline",
      text: "Nodes, the exporter of the servers, and instances of the bridge.",
      queries: [{ expr: "up", legend: "{{job}} {{instance}}" }],
      unit: "none",
      width: 24,
    },
    {
      title: "Terms that were lost",
      kind: "timeseries",
      text: "Terms that ended otherwise than by a step-down or a stop.",
      queries: [
        {
          expr: `sum by (cluster, node, reason) (${inc(`${node("terms_total")}{reason!~"released|stopped"}`)})`,
          legend: "{{cluster}}/{{node}} {{reason}}",
        },
      ],
      unit: "short",
    },
    {
      title: "Renewals without success",
      kind: "timeseries",
      text: "unknown: no answer. conflict: another record.",
      queries: [
        {
          expr: `sum by (cluster, group, node, result) (${inc(`${node("renewals_total")}{result!="${REASONS.applied}"}`)})`,
          legend: "{{cluster}}{{group}}/{{node}} {{result}}",
        },
      ],
      unit: "short",
    },
    {
      title: "Suspensions",
      kind: "timeseries",
      text: "The connection was lost, or round trips took too long.",
      queries: [{ expr: inc(node("suspensions_total")), legend: "{{cluster}}{{group}}/{{node}}" }],
      unit: "short",
    },
    {
      title: "Drains that timed out",
      kind: "timeseries",
      text: "Work that did not end in time.",
      queries: [{ expr: inc(node("drain_timeouts_total")), legend: "{{cluster}}{{group}}/{{node}}" }],
      unit: "short",
    },
    {
      title: "Hooks, p99",
      kind: "timeseries",
      text: "Hooks run one after the other.",
      queries: [
        {
          expr: `histogram_quantile(0.99, sum by (cluster, group, node, hook, le) (increase(${node("hook_duration_seconds")}_bucket[1h])))`,
          legend: "{{cluster}}{{group}}/{{node}} {{hook}}",
        },
      ],
      unit: "s",
    },
    {
      title: "Fenced writes by result",
      kind: "timeseries",
      text: "refused: a former leader tried to write.",
      queries: [
        {
          expr: `sum by (cluster, group, result) (rate(${node("fenced_writes_total")}[$__rate_interval]))`,
          legend: "{{cluster}}{{group}} {{result}}",
        },
      ],
      unit: "reqps",
    },
    {
      title: "Slow consumers of servers",
      kind: "timeseries",
      text: "Connections that a server closed because they read too slowly.",
      queries: [{ expr: inc(server("slow_consumers_total")), legend: "{{server}}" }],
      unit: "short",
    },
    {
      title: "Errors of the JetStream API",
      kind: "timeseries",
      text: "Single ones are normal.",
      queries: [
        { expr: `rate(${server("jetstream_api_errors_total")}[$__rate_interval])`, legend: "{{server}}" },
      ],
      unit: "reqps",
    },
    {
      title: "Findings of doctor, by code",
      kind: "timeseries",
      text: "0: it was there before.",
      queries: [{ expr: server("finding"), legend: "{{severity}} {{code}}" }],
      unit: "none",
    },
    {
      title: "Documents of servers that were not read",
      kind: "timeseries",
      text: "0: what follows from this document is missing.",
      queries: [{ expr: `min by (document) (${server("document_up")})`, legend: "{{document}}" }],
      unit: "none",
    },
  ],
};
