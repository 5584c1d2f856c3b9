/** Who owns how much, and what moves. */
import { node } from "../names.ts";
import type { Dashboard } from "./panel.ts";

const q = (name: Parameters<typeof node>[0], more = ""): string => `${node(name)}${more}{group=~"$group"}`;

export const groups: Dashboard = {
  uid: "nats-leader-groups",
  title: "nats-leader: groups",
  text: "Members of groups, what they own, and what moves.",
  variables: [{ name: "group", metric: node("resources_owned") }],
  panels: [
    {
      title: "Without an owner",
      kind: "stat",
      text: "Resources that no member owns, as the member that sees the fewest of them. More than 0 for longer than a takeover: see doctor.",
      queries: [
        { expr: `min by (group) (${q("resources_unowned")} and ${q("running")} == 1)`, legend: "{{group}}" },
      ],
      unit: "none",
      width: 8,
      limits: [{ above: 1, color: "red" }],
    },
    {
      title: "Owned",
      kind: "stat",
      text: "Sum over the members.",
      queries: [{ expr: `sum by (group) (${q("resources_owned")})`, legend: "{{group}}" }],
      unit: "none",
      width: 8,
    },
    {
      title: "Members",
      kind: "stat",
      text: "Members that run, of those that are scraped.",
      queries: [{ expr: `sum by (group) (${q("running")})`, legend: "{{group}}" }],
      unit: "none",
      width: 8,
    },
    {
      title: "Owned by member",
      kind: "timeseries",
      text: "Level when nothing comes or goes.",
      queries: [{ expr: q("resources_owned"), legend: "{{group}}/{{node}}" }],
      unit: "none",
    },
    {
      title: "Moves by reason",
      kind: "timeseries",
      text: "claimed: a member has taken a resource. The others: why one was given up.",
      queries: [
        {
          expr: `sum by (group, reason) (increase(${q("moves_total")}[$__rate_interval]))`,
          legend: "{{group}} {{reason}}",
        },
      ],
      unit: "short",
    },
    {
      title: "Renewals of sessions, p99",
      kind: "timeseries",
      text: "One renewal per member, whatever it owns.",
      queries: [
        {
          expr: `histogram_quantile(0.99, sum by (group, node, le) (rate(${q("renewal_duration_seconds", "_bucket")}[$__rate_interval])))`,
          legend: "{{group}}/{{node}}",
        },
      ],
      unit: "s",
    },
    {
      title: "Drains, p99",
      kind: "timeseries",
      text: "From giving up a resource until it is released: how long the work needs to end.",
      queries: [
        {
          expr: `histogram_quantile(0.99, sum by (group, le) (increase(${q("drain_duration_seconds", "_bucket")}[1h])))`,
          legend: "{{group}}",
        },
      ],
      unit: "s",
    },
  ],
};
