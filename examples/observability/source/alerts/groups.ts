/** Alerts about groups: from the metrics of their members. */
import { type Alert, steady } from "../alert.ts";
import { node, REASONS } from "../names.ts";
import type { Times } from "../time.ts";

const of = (member: string, more = ""): string => `{group="orders",node="${member}"${more}}`;
const GROUP = { group: "orders" };

export function groupAlerts({ range }: Times): readonly Alert[] {
  const unowned = node("resources_unowned");
  const running = node("running");
  const owned = node("resources_owned");
  /** A member that has stopped owns 0, and has no share. */
  const share = `(${owned} and ${running} == 1)`;
  const moves = node("moves_total");
  const runs = Object.fromEntries(
    ["a", "b", "c"].map((member) => [`${running}${of(member)}`, steady(1, 900)]),
  );
  return [
    {
      name: "NatsLeaderResourceUnowned",
      severity: "critical",
      expr: `min by (group) (${unowned} and ${running} == 1) > 0`,
      holdSeconds: 60,
      summary: "Group {{ $labels.group }} has resources without an owner",
      meaning:
        "All members see resources that no member owns, for longer than a takeover takes: their work stands still. If it is all resources, NATS may be down.",
      firstStep:
        "`nats-leader group ID`: the note says why the last term ended, REFUSES and MAX why no member takes it.",
      fires: {
        series: {
          [`${running}${of("a")}`]: steady(1, 180),
          [`${running}${of("b")}`]: steady(1, 180),
          [`${unowned}${of("a")}`]: steady(2, 180),
          [`${unowned}${of("b")}`]: steady(2, 180),
        },
        atSeconds: 90,
        labels: [GROUP],
      },
      alsoFires: {
        // An SDK of OpenTelemetry repeats the last value of a member that has stopped.
        "a member that has stopped has seen none": {
          series: {
            [`${running}${of("a")}`]: steady(1, 180),
            [`${running}${of("b")}`]: steady(0, 180),
            [`${unowned}${of("a")}`]: steady(2, 180),
            [`${unowned}${of("b")}`]: steady(0, 180),
          },
          atSeconds: 90,
          labels: [GROUP],
        },
        // Owners count until their leases have run out by the clock of the member that reports.
        "all members are cut off": {
          series: {
            [`${running}${of("a")}`]: steady(1, 240),
            [`${running}${of("b")}`]: steady(1, 240),
            [`${owned}${of("a")}`]: [
              { seconds: 60, from: 2 },
              { seconds: 180, from: 0 },
            ],
            [`${owned}${of("b")}`]: [
              { seconds: 60, from: 2 },
              { seconds: 180, from: 0 },
            ],
            [`${unowned}${of("a")}`]: [
              { seconds: 60, from: 0 },
              { seconds: 180, from: 4 },
            ],
            [`${unowned}${of("b")}`]: [
              { seconds: 65, from: 0 },
              { seconds: 175, from: 4 },
            ],
          },
          atSeconds: 130,
          labels: [GROUP],
        },
      },
      // A member that does not hear of the claims is not the group.
      quiet: {
        series: {
          [`${running}${of("a")}`]: steady(1, 180),
          [`${running}${of("b")}`]: steady(1, 180),
          [`${unowned}${of("a")}`]: steady(2, 180),
          [`${unowned}${of("b")}`]: steady(0, 180),
        },
        atSeconds: 90,
      },
    },
    {
      name: "NatsLeaderGroupUneven",
      severity: "warning",
      expr: `max by (group) ${share} > 2 * avg by (group) ${share} and max by (group) ${share} - min by (group) ${share} > 2`,
      holdSeconds: 600,
      summary: "The resources of group {{ $labels.group }} are spread unevenly",
      meaning:
        "One member owns more than twice its share, for longer than moves take. Not with weights, zones or `maxOwned`, which may want that.",
      firstStep: "`nats-leader group ID`: is a member draining, does it refuse resources, do moves not end?",
      fires: {
        series: {
          ...runs,
          [`${owned}${of("a")}`]: steady(10, 900),
          [`${owned}${of("b")}`]: steady(1, 900),
          [`${owned}${of("c")}`]: steady(1, 900),
        },
        atSeconds: 660,
        labels: [GROUP],
      },
      // Of six members three have stopped, in processes that go on.
      quiet: {
        series: {
          ...runs,
          [`${owned}${of("a")}`]: steady(4, 900),
          [`${owned}${of("b")}`]: steady(4, 900),
          [`${owned}${of("c")}`]: steady(4, 900),
          ...Object.fromEntries(
            ["d", "e", "f"].flatMap((member) =>
              [running, owned].map((name) => [`${name}${of(member)}`, steady(0, 900)]),
            ),
          ),
        },
        atSeconds: 660,
      },
    },
    {
      name: "NatsLeaderGroupMovesOften",
      severity: "warning",
      expr: `sum by (group) (increase(${moves}{reason="${REASONS.claimed}"}[${range(600)}])) > 5 * max_over_time(sum by (group) (${owned})[${range(600)}:])`,
      holdSeconds: 0,
      summary: "The resources of group {{ $labels.group }} move all the time",
      meaning:
        "In ten minutes every resource was claimed more than five times on average: members come and go, or refuse what they claim.",
      firstStep: "`nats-leader group history ID`: which member ends its terms, and why?",
      fires: {
        series: {
          [`${moves}${of("a", ',reason="claimed"')}`]: [{ seconds: 900, from: 0, perSecond: 0.1 }],
          [`${owned}${of("a")}`]: steady(6, 900),
        },
        atSeconds: 900,
        labels: [GROUP],
      },
      // The only member has claimed each once, and has stopped.
      quiet: {
        series: {
          [`${moves}${of("a", ',reason="claimed"')}`]: [
            { seconds: 450, from: 0 },
            { seconds: 450, from: 6 },
          ],
          [`${owned}${of("a")}`]: [
            { seconds: 450, from: 0 },
            { seconds: 400, from: 6 },
            { seconds: 50, from: 0 },
          ],
        },
        atSeconds: 900,
      },
    },
  ];
}
