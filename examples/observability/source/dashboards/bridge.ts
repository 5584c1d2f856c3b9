/** The instances of `examples/data-bridge`. */
import { bridge } from "../names.ts";
import { LAG } from "../thresholds.ts";
import type { Dashboard } from "./panel.ts";

const rate = (name: Parameters<typeof bridge>[0]): string =>
  `sum by (instance_number) (rate(${bridge(name)}[$__rate_interval]))`;

export const dataBridge: Dashboard = {
  uid: "nats-leader-bridge",
  title: "nats-leader: data bridge",
  text: "Load, partitions, lag and back-pressure of each instance.",
  variables: [],
  panels: [
    {
      title: "Stored",
      kind: "timeseries",
      text: "Ticks per second and instance: level when the load is even.",
      queries: [{ expr: rate("stored_total"), legend: "instance {{instance_number}}" }],
      unit: "reqps",
    },
    {
      title: "Partitions",
      kind: "timeseries",
      text: "Of each instance.",
      queries: [
        {
          expr: `max by (instance_number) (${bridge("partitions")})`,
          legend: "instance {{instance_number}}",
        },
      ],
      unit: "none",
    },
    {
      title: "Lag",
      kind: "timeseries",
      text: "Messages that wait, by partition.",
      queries: [
        { expr: `sum by (partition) (${bridge("partition_lag")})`, legend: "partition {{partition}}" },
      ],
      unit: "short",
      limits: [{ above: LAG, color: "orange" }],
    },
    {
      title: "Back-pressure",
      kind: "state-timeline",
      text: "1: the partition is paused, because the sink is slower than the stream.",
      queries: [
        { expr: `max by (partition) (${bridge("partition_paused")})`, legend: "partition {{partition}}" },
      ],
      unit: "none",
    },
    {
      title: "Retries, duplicates, dead letters",
      kind: "timeseries",
      text: "Per second, all instances.",
      queries: (["retries_total", "duplicates_total", "dead_total"] as const).map((name) => ({
        expr: `sum(rate(${bridge(name)}[$__rate_interval]))`,
        legend: name.replace("_total", ""),
      })),
      unit: "reqps",
    },
    {
      title: "Failures and refused writes",
      kind: "timeseries",
      text: "refused: a former owner tried to write.",
      queries: (["failures_total", "refused_total"] as const).map((name) => ({
        expr: `sum(rate(${bridge(name)}[$__rate_interval]))`,
        legend: name.replace("_total", ""),
      })),
      unit: "reqps",
    },
    {
      title: "Connected",
      kind: "state-timeline",
      text: "1: the instance has a connection to NATS.",
      queries: [
        { expr: `max by (instance_number) (${bridge("connected")})`, legend: "instance {{instance_number}}" },
      ],
      unit: "none",
      width: 24,
    },
  ],
};
