/** Alerts about elections: from the metrics of daemons and of applications with a `Node`. */
import { type Alert, steady } from "../alert.ts";
import { JOBS, node, REASONS } from "../names.ts";
import { HOOK_LIMIT_SECONDS, MARGIN_LOW_SECONDS } from "../thresholds.ts";
import type { Times } from "../time.ts";

const of = (nodeId: string, more = ""): string => `{cluster="billing",node="${nodeId}"${more}}`;
/** Metrics that nodes and members of groups share have one of the two labels. */
const WHERE = "{{ $labels.cluster }}{{ $labels.group }}";
const CLUSTER = { cluster: "billing" };
const A = { ...CLUSTER, node: "a" };

export function electionAlerts(times: Times): readonly Alert[] {
  const { range } = times;
  const isLeader = node("is_leader");
  const hasLeader = node("has_leader");
  const epoch = node("epoch");
  const leaders = `sum by (cluster) (${isLeader})`;
  const known = `max by (cluster) (${hasLeader})`;
  const suspended = node("suspended_seconds_total");
  const hook = node("hook_duration_seconds");
  return [
    {
      name: "NatsLeaderNoLeader",
      severity: "critical",
      expr: `${leaders} == 0 and ${known} == 0`,
      holdSeconds: 30,
      summary: "Cluster {{ $labels.cluster }} has no leader",
      meaning: "No node leads, and no node knows a leader. The work of the cluster stands still.",
      firstStep:
        "`nats-leader doctor --cluster-id ID --monitor URL...`: can the lease be written, and does a node compete?",
      fires: {
        series: {
          [`${isLeader}${of("a")}`]: [
            { seconds: 60, from: 1 },
            { seconds: 120, from: 0 },
          ],
          [`${isLeader}${of("b")}`]: steady(0, 180),
          [`${hasLeader}${of("a")}`]: [
            { seconds: 60, from: 1 },
            { seconds: 120, from: 0 },
          ],
          [`${hasLeader}${of("b")}`]: [
            { seconds: 60, from: 1 },
            { seconds: 120, from: 0 },
          ],
        },
        atSeconds: 100,
        labels: [CLUSTER],
      },
      // A takeover that needs the whole lease: 25 s.
      quiet: {
        series: {
          [`${isLeader}${of("a")}`]: [
            { seconds: 60, from: 1 },
            { seconds: 120, from: 0 },
          ],
          [`${isLeader}${of("b")}`]: [
            { seconds: 85, from: 0 },
            { seconds: 95, from: 1 },
          ],
          [`${hasLeader}${of("b")}`]: [
            { seconds: 60, from: 1 },
            { seconds: 25, from: 0 },
            { seconds: 95, from: 1 },
          ],
        },
        atSeconds: 100,
      },
    },
    {
      name: "NatsLeaderTwoLeaders",
      severity: "critical",
      expr: `${leaders} > 1`,
      holdSeconds: 15,
      summary: "{{ $labels.cluster }} has more than one leader",
      meaning:
        "Two nodes report at once that they may act. Samples of two nodes are up to one scrape apart, so a handover shows two for that time: the alert waits for three.",
      firstStep: "Stop one of the two. Fenced stores are safe: the one with the smaller epoch is refused.",
      fires: {
        series: { [`${isLeader}${of("a")}`]: steady(1, 120), [`${isLeader}${of("b")}`]: steady(1, 120) },
        atSeconds: 30,
        labels: [CLUSTER],
      },
      quiet: {
        series: {
          [`${isLeader}${of("a")}`]: [
            { seconds: 60, from: 1 },
            { seconds: 60, from: 0 },
          ],
          [`${isLeader}${of("b")}`]: [
            { seconds: 50, from: 0 },
            { seconds: 70, from: 1 },
          ],
        },
        atSeconds: 60,
      },
    },
    {
      name: "NatsLeaderLeaderHidden",
      severity: "warning",
      expr: `${leaders} == 0 and ${known} == 1`,
      holdSeconds: 60,
      summary: "Cluster {{ $labels.cluster }} has a leader that no scraped node is",
      meaning:
        "Nodes know a leader, but none that is scraped may act: the leader is not scraped, or its term is suspended.",
      firstStep: "`nats-leader status` names the leader. If it is scraped, look at its suspensions.",
      fires: {
        series: { [`${isLeader}${of("b")}`]: steady(0, 180), [`${hasLeader}${of("b")}`]: steady(1, 180) },
        atSeconds: 90,
        labels: [CLUSTER],
      },
      quiet: {
        series: {
          [`${isLeader}${of("b")}`]: steady(0, 180),
          [`${isLeader}${of("a")}`]: [
            { seconds: 50, from: 0 },
            { seconds: 130, from: 1 },
          ],
          [`${hasLeader}${of("b")}`]: steady(1, 180),
        },
        atSeconds: 90,
      },
    },
    {
      name: "NatsLeaderNodeSeesNoLeader",
      severity: "warning",
      expr: `${hasLeader} == 0 and on (cluster) ${leaders} > 0`,
      holdSeconds: 60,
      summary: "Node {{ $labels.node }} of cluster {{ $labels.cluster }} sees no leader, and there is one",
      meaning:
        "This node is cut off from NATS, or uses another account or JetStream domain than the leader. Or it has been stopped, in a process that goes on.",
      firstStep: "`nats-leader status --self` on that host, and its log: which server is it connected to?",
      fires: {
        series: {
          [`${isLeader}${of("a")}`]: steady(1, 180),
          [`${hasLeader}${of("a")}`]: steady(1, 180),
          [`${hasLeader}${of("b")}`]: steady(0, 180),
        },
        atSeconds: 90,
        labels: [{ ...CLUSTER, node: "b" }],
      },
      // All nodes see none: another alert.
      quiet: {
        series: {
          [`${isLeader}${of("a")}`]: steady(0, 180),
          [`${hasLeader}${of("a")}`]: steady(0, 180),
          [`${hasLeader}${of("b")}`]: steady(0, 180),
        },
        atSeconds: 90,
      },
    },
    {
      name: "NatsLeaderNodeDown",
      severity: "warning",
      expr: `up{job="${JOBS.nodes}"} == 0`,
      holdSeconds: 60,
      summary: "The node at {{ $labels.instance }} does not answer",
      meaning:
        "The process does not run, stands still, or its HTTP server cannot be reached. The others go on without it.",
      firstStep: "Look at the process and its log. With one node left, nothing replaces it.",
      fires: {
        series: { [`up{job="${JOBS.nodes}",instance="h1:9465"}`]: steady(0, 180) },
        atSeconds: 90,
        labels: [{ job: JOBS.nodes, instance: "h1:9465" }],
      },
      quiet: {
        series: {
          [`up{job="${JOBS.nodes}",instance="h1:9465"}`]: [
            { seconds: 60, from: 1 },
            { seconds: 50, from: 0 },
            { seconds: 70, from: 1 },
          ],
        },
        atSeconds: 115,
      },
    },
    {
      name: "NatsLeaderFlapping",
      severity: "warning",
      expr: `max by (cluster) (increase(${node("leader_changes_total")}[${range(600)}])) > 4`,
      holdSeconds: 0,
      summary: "The leader of cluster {{ $labels.cluster }} changes often",
      meaning: "More than four changes in ten minutes. A rolling restart of three nodes has three or fewer.",
      firstStep:
        "`nats-leader history`: the reasons of the last terms say whether connections, servers or the application end them.",
      fires: {
        series: {
          [`${node("leader_changes_total")}${of("a")}`]: [{ seconds: 900, from: 0, perSecond: 0.01 }],
        },
        atSeconds: 900,
        labels: [CLUSTER],
      },
      quiet: {
        series: {
          [`${node("leader_changes_total")}${of("a")}`]: [{ seconds: 900, from: 0, perSecond: 0.005 }],
        },
        atSeconds: 900,
      },
    },
    {
      name: "NatsLeaderMarginLow",
      severity: "warning",
      expr: `${node("lease_margin_seconds")} < ${MARGIN_LOW_SECONDS}`,
      holdSeconds: 0,
      summary: `Node {{ $labels.node }} of ${WHERE} almost lost its lease`,
      meaning: `Within the last minute less than ${MARGIN_LOW_SECONDS} s of the lease were left. With a delay that is longer by that, the term ends. The threshold is for a lease of 10 s.`,
      firstStep:
        "Compare the duration of renewals with the leader of the bucket's stream: is that server busy, or far away?",
      fires: {
        series: { [`${node("lease_margin_seconds")}${of("a")}`]: steady(1.9, 60) },
        atSeconds: 30,
        labels: [A],
      },
      quiet: {
        series: { [`${node("lease_margin_seconds")}${of("a")}`]: steady(2, 60) },
        atSeconds: 30,
      },
    },
    {
      name: "NatsLeaderPresenceOff",
      severity: "warning",
      expr: `${node("presence")} == 0 and ${node("running")} == 1`,
      holdSeconds: 300,
      summary: `Node {{ $labels.node }} of ${WHERE} has no presence`,
      meaning:
        "If this node leads and is killed, the others wait until it has been silent for silenceMs or, if it promises no silence, for the whole lease.",
      firstStep: "`nats-leader doctor --role node`: a permission is missing, or JetStream is busy.",
      fires: {
        series: {
          [`${node("running")}${of("a")}`]: steady(1, 600),
          [`${node("running")}${of("b")}`]: steady(0, 600),
          [`${node("presence")}${of("a")}`]: steady(0, 600),
          // It has stopped.
          [`${node("presence")}${of("b")}`]: steady(0, 600),
        },
        atSeconds: 330,
        labels: [A],
      },
      quiet: {
        series: {
          [`${node("running")}${of("a")}`]: steady(1, 600),
          [`${node("presence")}${of("a")}`]: [
            { seconds: 290, from: 0 },
            { seconds: 300, from: 1 },
          ],
        },
        atSeconds: 330,
      },
    },
    {
      name: "NatsLeaderStuckSuspended",
      severity: "critical",
      expr: `rate(${suspended}[${range(60)}]) > 0.9`,
      holdSeconds: 30,
      summary: `Node {{ $labels.node }} of ${WHERE} stays suspended`,
      meaning: "It holds the lease and may not act: nothing is done, and no other node takes over.",
      firstStep:
        "Its log names the cause: no connection, or round trips that are too long. `nats-leader stepdown` moves the leadership.",
      fires: {
        series: { [`${suspended}${of("a")}`]: [{ seconds: 240, from: 0, perSecond: 1 }] },
        atSeconds: 180,
        labels: [A],
      },
      // Suspended for half of the time.
      quiet: {
        series: { [`${suspended}${of("a")}`]: [{ seconds: 240, from: 0, perSecond: 0.5 }] },
        atSeconds: 180,
      },
    },
    {
      name: "NatsLeaderHookSlow",
      severity: "warning",
      // Prometheus 3 stores the bound 5 as "5.0".
      expr: `increase(${hook}_count[${range(600)}]) - max without (le) (increase(${hook}_bucket{le=~"${HOOK_LIMIT_SECONDS}([.]0)?"}[${range(600)}])) > 0`,
      holdSeconds: 0,
      summary: `The hook {{ $labels.hook }} of node {{ $labels.node }} (${WHERE}) takes long`,
      meaning: `A hook took longer than ${HOOK_LIMIT_SECONDS} s. Hooks run one after the other: work of a new leader begins after onBecomeLeader.`,
      firstStep: "Move work from the hook into `runWhileLeader()`, and respect the signal.",
      fires: {
        series: {
          [`${hook}_count${of("a", ',hook="onBecomeLeader"')}`]: [
            { seconds: 300, from: 3 },
            { seconds: 300, from: 4 },
          ],
          [`${hook}_bucket${of("a", `,hook="onBecomeLeader",le="${HOOK_LIMIT_SECONDS}"`)}`]: steady(3, 600),
        },
        atSeconds: 500,
        labels: [{ ...A, hook: "onBecomeLeader" }],
      },
      alsoFires: {
        "the bounds are those of Prometheus 3": {
          series: {
            [`${hook}_count${of("a", ',hook="onBecomeLeader"')}`]: [
              { seconds: 300, from: 3 },
              { seconds: 300, from: 4 },
            ],
            [`${hook}_bucket${of("a", `,hook="onBecomeLeader",le="${HOOK_LIMIT_SECONDS}.0"`)}`]: steady(
              3,
              600,
            ),
          },
          atSeconds: 500,
          labels: [{ ...A, hook: "onBecomeLeader" }],
        },
      },
      quiet: {
        series: {
          [`${hook}_count${of("a", ',hook="onBecomeLeader"')}`]: [
            { seconds: 300, from: 3 },
            { seconds: 300, from: 4 },
          ],
          [`${hook}_bucket${of("a", `,hook="onBecomeLeader",le="${HOOK_LIMIT_SECONDS}"`)}`]: [
            { seconds: 300, from: 3 },
            { seconds: 300, from: 4 },
          ],
        },
        atSeconds: 500,
      },
    },
    {
      name: "NatsLeaderDrainTimeouts",
      severity: "warning",
      expr: `increase(${node("drain_timeouts_total")}[${range(900)}]) > 0`,
      holdSeconds: 0,
      summary: `Node {{ $labels.node }} of ${WHERE} gave up a term while its work was still running`,
      meaning:
        "Hooks or work did not end within the limit of a drain. They may still run while another node leads.",
      firstStep: "Find the work that ignores `term.signal`; put a fence in front of what it writes.",
      fires: {
        series: {
          [`${node("drain_timeouts_total")}${of("a")}`]: [
            { seconds: 300, from: 0 },
            { seconds: 600, from: 1 },
          ],
        },
        atSeconds: 600,
        labels: [A],
      },
      quiet: {
        series: { [`${node("drain_timeouts_total")}${of("a")}`]: steady(1, 900) },
        atSeconds: 600,
      },
    },
    {
      name: "NatsLeaderEpochWentBack",
      severity: "critical",
      expr: `max by (cluster) (${epoch}) > 0 and max by (cluster) (${epoch}) < max by (cluster) (max_over_time(${epoch}[${range(3600)}]))`,
      holdSeconds: 60,
      summary: "The epoch of cluster {{ $labels.cluster }} went back",
      meaning:
        "The bucket has lost history. Stores that fence refuse the leader; without a fence nothing detects an old leader.",
      firstStep: "Write the largest epoch into the bucket, as in the section on disaster recovery.",
      fires: {
        series: {
          [`${epoch}${of("a")}`]: [
            { seconds: 300, from: 41 },
            { seconds: 300, from: 3 },
          ],
        },
        atSeconds: 420,
        labels: [CLUSTER],
      },
      // A node that has just started knows no epoch.
      quiet: {
        series: {
          [`${epoch}${of("a")}`]: [
            { seconds: 300, from: 41 },
            { seconds: 300, from: 0 },
          ],
          [`${epoch}${of("b")}`]: steady(41, 600),
        },
        atSeconds: 420,
      },
    },
    {
      name: "NatsLeaderFencedWritesRefused",
      severity: "warning",
      expr: `increase(${node("fenced_writes_total")}{result="${REASONS.refused}"}[${range(600)}]) > 0`,
      holdSeconds: 0,
      summary: `A fence refused writes of node {{ $labels.node }} (${WHERE})`,
      meaning: "A former leader tried to write. The fence did its work; without it, data would be wrong now.",
      firstStep:
        "Find out why that node still wrote: work that ignores `term.signal`, or a process that was frozen.",
      fires: {
        series: {
          [`${node("fenced_writes_total")}${of("a", ',result="refused"')}`]: [
            { seconds: 300, from: 0 },
            { seconds: 300, from: 2 },
          ],
        },
        atSeconds: 400,
        labels: [{ ...A, result: "refused" }],
      },
      quiet: {
        series: {
          [`${node("fenced_writes_total")}${of("a", ',result="admitted"')}`]: [
            { seconds: 600, from: 0, perSecond: 10 },
          ],
        },
        atSeconds: 400,
      },
    },
  ];
}
