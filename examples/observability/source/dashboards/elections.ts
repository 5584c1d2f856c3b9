/** Who leads, how well, and what became of suspicions. */
import { node } from "../names.ts";
import { MARGIN_LOW_SECONDS } from "../thresholds.ts";
import type { Dashboard } from "./panel.ts";

const IN = '{cluster=~"$cluster"}';
const q = (name: Parameters<typeof node>[0], more = ""): string =>
  `${node(name)}${more}{cluster=~"$cluster"}`;
const rate = (name: Parameters<typeof node>[0], more = ""): string =>
  `rate(${q(name, more)}[$__rate_interval])`;
const p99 = (name: Parameters<typeof node>[0], by: string): string =>
  `histogram_quantile(0.99, sum by (${by}, le) (${rate(name, "_bucket")}))`;

export const elections: Dashboard = {
  uid: "nats-leader-elections",
  title: "nats-leader: elections",
  text: "Leaders, their leases, and what became of suspicions.",
  variables: [{ name: "cluster", metric: node("has_leader") }],
  panels: [
    {
      title: "Leaders",
      kind: "stat",
      text: "1 per cluster. 0: no leader. 2 for longer than two scrapes: split brain.",
      queries: [{ expr: `sum by (cluster) (${q("is_leader")})`, legend: "{{cluster}}" }],
      unit: "none",
      width: 6,
      limits: [
        { above: 1, color: "green" },
        { above: 2, color: "red" },
      ],
    },
    {
      title: "Epoch",
      kind: "stat",
      text: "The number of the term. It only increases.",
      queries: [{ expr: `max by (cluster) (${q("epoch")})`, legend: "{{cluster}}" }],
      unit: "none",
      width: 6,
    },
    {
      title: "Changes of leader in the last hour",
      kind: "stat",
      text: "More than a few: see the reasons of the terms.",
      queries: [
        { expr: `max by (cluster) (increase(${q("leader_changes_total")}[1h]))`, legend: "{{cluster}}" },
      ],
      unit: "short",
      width: 6,
      limits: [
        { above: 5, color: "orange" },
        { above: 20, color: "red" },
      ],
    },
    {
      title: "Presence",
      kind: "stat",
      text: "Nodes with crash detection by presence. A killed leader without it is replaced only after silenceMs or, without a promise of silence, after its lease.",
      queries: [{ expr: `sum by (cluster) (${q("presence")})`, legend: "{{cluster}}" }],
      unit: "none",
      width: 6,
    },
    {
      title: "Who leads",
      kind: "state-timeline",
      text: "1 while the node may act. Bars of two nodes must not overlap by more than one scrape.",
      queries: [{ expr: q("is_leader"), legend: "{{cluster}}/{{node}}" }],
      unit: "none",
      width: 24,
    },
    {
      title: "Who sees a leader",
      kind: "state-timeline",
      text: "0 on one node only: it is cut off.",
      queries: [{ expr: q("has_leader"), legend: "{{cluster}}/{{node}}" }],
      unit: "none",
    },
    {
      title: "Least margin of the lease",
      kind: "timeseries",
      text: "Time that was left when a renewal was confirmed. It falls before a lease is lost.",
      queries: [{ expr: q("lease_margin_seconds"), legend: "{{cluster}}/{{node}}" }],
      unit: "s",
      limits: [{ above: MARGIN_LOW_SECONDS, color: "orange" }],
    },
    {
      title: "Renewals, p99",
      kind: "timeseries",
      text: "From the send to the answer.",
      queries: [{ expr: p99("renewal_duration_seconds", "cluster, node"), legend: "{{cluster}}/{{node}}" }],
      unit: "s",
    },
    {
      title: "Renewals by result",
      kind: "timeseries",
      text: "unknown: no answer in time. conflict: the record was another one.",
      queries: [
        { expr: `sum by (cluster, result) (${rate("renewals_total")})`, legend: "{{cluster}} {{result}}" },
      ],
      unit: "reqps",
    },
    {
      title: "Terms by reason of their end",
      kind: "timeseries",
      text: "Terms that ended, in steps of the chosen range.",
      queries: [
        {
          expr: `sum by (cluster, reason) (increase(${q("terms_total")}[$__rate_interval]))`,
          legend: "{{cluster}} {{reason}}",
        },
      ],
      unit: "short",
    },
    {
      title: "Time without a leader, p99",
      kind: "timeseries",
      text: "As the nodes saw it, over an hour.",
      queries: [
        {
          expr: `histogram_quantile(0.99, sum by (cluster, le) (increase(${q("vacancy_seconds", "_bucket")}[1h])))`,
          legend: "{{cluster}}",
        },
      ],
      unit: "s",
    },
    {
      title: "Suspicions by outcome",
      kind: "timeseries",
      text: "closed, silent: a leader was gone. alive: a false alarm, which costs nothing.",
      queries: [
        {
          expr: `sum by (cluster, outcome) (increase(${q("suspicions_total")}[$__rate_interval]))`,
          legend: "{{cluster}} {{outcome}}",
        },
      ],
      unit: "short",
    },
    {
      title: "Suspended",
      kind: "timeseries",
      text: "Share of the time in which a term ran and must not be acted on.",
      queries: [{ expr: rate("suspended_seconds_total"), legend: "{{cluster}}/{{node}}" }],
      unit: "percentunit",
    },
    {
      title: "Round trip of beats, p99",
      kind: "timeseries",
      text: "To the server and back. Above 3/8 of silenceMs the node promises no silence.",
      queries: [{ expr: p99("beat_rtt_seconds", "cluster, node"), legend: "{{cluster}}/{{node}}" }],
      unit: "s",
    },
    {
      title: "Length of terms, median",
      kind: "timeseries",
      text: "Of the terms that ended within an hour.",
      queries: [
        {
          expr: `histogram_quantile(0.5, sum by (cluster, le) (increase(${node("term_duration_seconds")}_bucket${IN}[1h])))`,
          legend: "{{cluster}}",
        },
      ],
      unit: "s",
    },
  ],
};
