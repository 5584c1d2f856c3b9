/** Alerts about NATS servers: from `nats-leader doctor --prometheus`, with the thresholds of doctor. */
import { type Alert, type Piece, steady } from "../alert.ts";
import { JOBS, server } from "../names.ts";
import { LAG, MEMORY_PERCENT, SLOW_CONSUMERS, STORAGE_PERCENT } from "../thresholds.ts";
import type { Times } from "../time.ts";

const N1 = { server: "n1" };
const STREAM = { account: "APP", stream: "KV_KV_CLUSTER_billing" };
const IN_STREAM = '{account="APP",stream="KV_KV_CLUSTER_billing"}';

export function serverAlerts({ range }: Times): readonly Alert[] {
  const usage = (name: "memory" | "storage", percent: number): Alert => {
    const used = server(`jetstream_${name}_bytes`);
    const limit = server(`jetstream_${name}_limit_bytes`);
    const at = (bytes: number): Record<string, readonly Piece[]> => ({
      [`${used}{server="n1"}`]: steady(bytes, 600),
      [`${limit}{server="n1"}`]: steady(1_000, 600),
    });
    const title = name === "memory" ? "memory" : "storage";
    return {
      name: name === "memory" ? "NatsMemoryHigh" : "NatsStorageHigh",
      severity: "warning",
      expr: `${used} / ${limit} > ${percent / 100}`,
      holdSeconds: 120,
      summary: `JetStream on {{ $labels.server }} uses more than ${percent} % of its ${title}`,
      meaning:
        name === "memory"
          ? "Streams in memory are about to be refused."
          : "Without storage no lease can be renewed, and no node can lead. A disk that was full needs a restart of its server.",
      firstStep: "Remove streams or messages that are not needed, or raise the limit.",
      fires: { series: at(percent * 10 + 1), atSeconds: 180, labels: [N1] },
      quiet: { series: at(percent * 10), atSeconds: 180 },
    };
  };
  const up = server("up");
  const slow = server("slow_consumers_total");
  const changes = server("stream_leader_changes_total");
  const metaChanges = server("meta_leader_changes_total");
  const metaKnown = server("meta_has_leader");
  const streamLed = server("stream_has_leader");
  const started = server("start_time_seconds");
  const refused = server("connections_closed_lately");
  const apiErrors = server("jetstream_api_errors_total");
  return [
    {
      name: "NatsServersUnread",
      severity: "warning",
      expr: `up{job="${JOBS.servers}"} == 0`,
      holdSeconds: 120,
      summary: "The exporter of the NATS servers at {{ $labels.instance }} does not answer",
      meaning: "Nothing is known about the NATS servers: no alert about them can fire.",
      firstStep: "Start `nats-leader doctor --prometheus --listen ...` again.",
      fires: {
        series: { [`up{job="${JOBS.servers}",instance="h1:9466"}`]: steady(0, 300) },
        atSeconds: 150,
        labels: [{ job: JOBS.servers, instance: "h1:9466" }],
      },
      quiet: {
        series: {
          [`up{job="${JOBS.servers}",instance="h1:9466"}`]: [
            { seconds: 110, from: 0 },
            { seconds: 100, from: 1 },
          ],
        },
        atSeconds: 150,
      },
    },
    {
      name: "NatsServerDown",
      severity: "critical",
      expr: `${up} == 0`,
      holdSeconds: 60,
      summary: "NATS server {{ $labels.server }} does not answer",
      meaning:
        "Its monitoring port, or the system account, gets no answer. With a second one lost, three replicas have no majority.",
      firstStep: "Start the server. `nats-leader doctor` lists what follows from its loss.",
      // The URL distinguishes two servers of one name.
      fires: {
        series: {
          [`${up}{server="n1"}`]: steady(0, 180),
          [`${up}{server="n2",url="http://a:8222"}`]: steady(0, 180),
          [`${up}{server="n2",url="http://b:8222"}`]: steady(1, 180),
        },
        atSeconds: 90,
        labels: [N1, { server: "n2", url: "http://a:8222" }],
      },
      quiet: {
        series: {
          [`${up}{server="n1"}`]: [
            { seconds: 50, from: 0 },
            { seconds: 130, from: 1 },
          ],
        },
        atSeconds: 90,
      },
    },
    {
      name: "NatsServerUnhealthy",
      severity: "critical",
      expr: `${server("healthy")} == 0`,
      holdSeconds: 120,
      summary: "NATS server {{ $labels.server }} reports that it is not healthy",
      meaning: "`healthz` reports an error. After a start it is normal until the server has caught up.",
      firstStep: "`nats-leader doctor` shows the error; then the log and the disk of the server.",
      fires: {
        series: { [`${server("healthy")}{server="n1"}`]: steady(0, 300) },
        atSeconds: 150,
        labels: [N1],
      },
      quiet: {
        series: {
          [`${server("healthy")}{server="n1"}`]: [
            { seconds: 100, from: 0 },
            { seconds: 200, from: 1 },
          ],
        },
        atSeconds: 150,
      },
    },
    {
      name: "NatsServerRestarted",
      severity: "warning",
      expr: `changes(${started}[${range(900)}]) > 0`,
      holdSeconds: 0,
      summary: "NATS server {{ $labels.server }} was restarted",
      meaning: "It started again within the last 15 minutes. Expected during an upgrade.",
      firstStep: "If no operator did it: its log, and the log of the host (out of memory?).",
      fires: {
        series: {
          [`${started}{server="n1"}`]: [
            { seconds: 300, from: 1_000 },
            { seconds: 300, from: 1_300 },
          ],
        },
        atSeconds: 600,
        labels: [N1],
      },
      quiet: { series: { [`${started}{server="n1"}`]: steady(1_000, 600) }, atSeconds: 600 },
    },
    usage("memory", MEMORY_PERCENT),
    usage("storage", STORAGE_PERCENT),
    {
      name: "NatsSlowConsumers",
      severity: "warning",
      expr: `increase(${slow}[${range(600)}]) > ${SLOW_CONSUMERS}`,
      holdSeconds: 300,
      summary: "NATS server {{ $labels.server }} keeps closing connections that read too slowly",
      meaning: `More than ${SLOW_CONSUMERS} in ten minutes, for five minutes. A node among them loses its presence and its leadership each time.`,
      firstStep:
        "The log of the server names them. Separate busy clients from elections, or make them faster.",
      fires: {
        series: { [`${slow}{server="n1"}`]: [{ seconds: 1_200, from: 0, perSecond: 0.02 }] },
        atSeconds: 1_200,
        labels: [N1],
      },
      // One burst of six: over after less than five minutes above the threshold.
      quiet: {
        series: {
          [`${slow}{server="n1"}`]: [
            { seconds: 900, from: 0 },
            { seconds: 300, from: 6 },
          ],
        },
        atSeconds: 1_190,
      },
    },
    {
      name: "NatsRaftLeaderChanges",
      severity: "warning",
      expr: `increase(${changes}[${range(900)}]) > 3`,
      holdSeconds: 0,
      summary: "Stream {{ $labels.stream }} changes its leader often",
      meaning:
        "More than three raft elections in 15 minutes, each with seconds without writes. A rolling restart has two or three.",
      firstStep:
        "CPU, disk and network of the servers; `sync_interval: always` on a slow disk is a common cause.",
      fires: {
        series: { [`${changes}${IN_STREAM}`]: [{ seconds: 900, from: 0, perSecond: 0.01 }] },
        atSeconds: 900,
        labels: [STREAM],
      },
      quiet: {
        series: { [`${changes}${IN_STREAM}`]: [{ seconds: 900, from: 0, perSecond: 0.003 }] },
        atSeconds: 900,
      },
    },
    {
      name: "NatsMetaLeaderChanges",
      severity: "warning",
      expr: `increase(${metaChanges}[${range(900)}]) > 3`,
      holdSeconds: 0,
      summary: "JetStream's meta group changes its leader often",
      meaning: "More than three elections in 15 minutes. Streams and consumers cannot be created in between.",
      firstStep: "As for streams: CPU, disk and network of the servers.",
      fires: {
        series: { [metaChanges]: [{ seconds: 900, from: 0, perSecond: 0.01 }] },
        atSeconds: 900,
        labels: [{}],
      },
      quiet: { series: { [metaChanges]: [{ seconds: 900, from: 0, perSecond: 0.003 }] }, atSeconds: 900 },
    },
    {
      name: "NatsRouteMissing",
      severity: "critical",
      expr: `${server("routes")} < ${server("routes_expected")}`,
      holdSeconds: 60,
      summary: "NATS server {{ $labels.server }} lacks a route",
      meaning: "It is not connected to every other server of its cluster.",
      firstStep:
        "Start stopped servers; check that cluster ports are reachable and that the credentials of routes match.",
      fires: {
        series: {
          [`${server("routes")}{server="n1"}`]: steady(1, 180),
          [`${server("routes_expected")}{server="n1"}`]: steady(2, 180),
        },
        atSeconds: 90,
        labels: [N1],
      },
      quiet: {
        series: {
          [`${server("routes")}{server="n1"}`]: steady(2, 180),
          [`${server("routes_expected")}{server="n1"}`]: steady(2, 180),
        },
        atSeconds: 90,
      },
    },
    {
      name: "NatsGatewayMissing",
      severity: "critical",
      expr: `${server("gateways")} < ${server("gateways_expected")}`,
      holdSeconds: 60,
      summary: "NATS server {{ $labels.server }} lacks a gateway connection",
      meaning: "It has no connection to another NATS cluster: nodes of the two do not hear each other.",
      firstStep: "Check that this cluster runs and that its gateway ports are reachable.",
      fires: {
        series: {
          [`${server("gateways")}{server="n1"}`]: steady(0, 180),
          [`${server("gateways_expected")}{server="n1"}`]: steady(1, 180),
        },
        atSeconds: 90,
        labels: [N1],
      },
      quiet: {
        series: {
          [`${server("gateways")}{server="n1"}`]: [
            { seconds: 50, from: 0 },
            { seconds: 130, from: 1 },
          ],
          [`${server("gateways_expected")}{server="n1"}`]: steady(1, 180),
        },
        atSeconds: 90,
      },
    },
    {
      name: "NatsReplicaLag",
      severity: "warning",
      expr: `${server("stream_replica_lag_max")} > ${LAG}`,
      holdSeconds: 60,
      summary: "A replica of stream {{ $labels.stream }} is behind",
      meaning: `More than ${LAG} operations for a minute. It cannot lead the stream until it has caught up.`,
      firstStep: "`nats-leader doctor` names the server: check its disk and its network.",
      fires: {
        series: { [`${server("stream_replica_lag_max")}${IN_STREAM}`]: steady(LAG + 1, 180) },
        atSeconds: 90,
        labels: [STREAM],
      },
      quiet: {
        series: { [`${server("stream_replica_lag_max")}${IN_STREAM}`]: steady(LAG, 180) },
        atSeconds: 90,
      },
    },
    {
      name: "NatsConsumerLag",
      severity: "warning",
      expr: `${server("jetstream_consumer_pending_max")} > ${LAG}`,
      holdSeconds: 60,
      summary: "A consumer on {{ $labels.server }} has a backlog",
      meaning: `More than ${LAG} messages wait for one consumer for a minute. Elections do not depend on it.`,
      firstStep: "`nats-leader doctor` names the consumer: does its client run, and is it fast enough?",
      fires: {
        series: { [`${server("jetstream_consumer_pending_max")}{server="n1"}`]: steady(LAG + 1, 180) },
        atSeconds: 90,
        labels: [N1],
      },
      quiet: {
        series: {
          [`${server("jetstream_consumer_pending_max")}{server="n1"}`]: [
            { seconds: 50, from: LAG + 1 },
            { seconds: 130, from: 0 },
          ],
        },
        atSeconds: 90,
      },
    },
    {
      name: "NatsQuorumLost",
      severity: "critical",
      expr: `max by (job, instance) (${metaKnown}) == 0`,
      holdSeconds: 30,
      summary: "JetStream has lost its majority",
      meaning:
        "The meta group has no leader for longer than an election takes: no stream and no consumer can be created.",
      firstStep: "Start servers until more than half of them run and reach each other.",
      fires: {
        series: {
          [`${metaKnown}{server="n1",job="${JOBS.servers}",instance="h1:9466"}`]: steady(0, 120),
          [`${metaKnown}{server="n2",job="${JOBS.servers}",instance="h1:9466"}`]: steady(0, 120),
        },
        atSeconds: 60,
        labels: [{ job: JOBS.servers, instance: "h1:9466" }],
      },
      // A server that has lost the others knows no leader; the others have one.
      quiet: {
        series: {
          [`${metaKnown}{server="n1",job="${JOBS.servers}",instance="h1:9466"}`]: steady(0, 120),
          [`${metaKnown}{server="n2",job="${JOBS.servers}",instance="h1:9466"}`]: steady(1, 120),
        },
        atSeconds: 60,
      },
    },
    {
      name: "NatsStreamLeaderless",
      severity: "critical",
      expr: `${streamLed} == 0`,
      holdSeconds: 30,
      summary: "Stream {{ $labels.stream }} has no leader",
      meaning:
        "More than half of its replicas do not reach each other: nothing can be written to it. No lease in it can be renewed.",
      firstStep: "`nats-leader doctor` names the replicas that are offline: start their servers.",
      fires: { series: { [`${streamLed}${IN_STREAM}`]: steady(0, 120) }, atSeconds: 60, labels: [STREAM] },
      quiet: {
        series: {
          [`${streamLed}${IN_STREAM}`]: [
            { seconds: 25, from: 0 },
            { seconds: 95, from: 1 },
          ],
        },
        atSeconds: 60,
      },
    },
    {
      name: "NatsAuthenticationFailures",
      severity: "warning",
      expr: `${refused}{reason="authentication"} > 10`,
      holdSeconds: 300,
      summary: "NATS server {{ $labels.server }} refuses credentials again and again",
      meaning:
        "More than ten clients a minute for five minutes: a password was changed, or an attempt to guess one.",
      firstStep: "The log of the server has the addresses.",
      fires: {
        series: { [`${refused}{server="n1",reason="authentication"}`]: steady(11, 600) },
        atSeconds: 360,
        labels: [{ ...N1, reason: "authentication" }],
      },
      quiet: {
        series: {
          [`${refused}{server="n1",reason="authentication"}`]: steady(10, 600),
          [`${refused}{server="n1",reason="all"}`]: steady(200, 600),
        },
        atSeconds: 360,
      },
    },
    {
      name: "NatsApiErrors",
      severity: "warning",
      expr: `rate(${apiErrors}[${range(300)}]) > 1`,
      holdSeconds: 300,
      summary: "JetStream on {{ $labels.server }} answers requests with errors",
      meaning:
        "More than one a second for five minutes. Single errors are normal: a refused compare-and-set is none of them.",
      firstStep: "`nats server report jetstream`, and the advisories `$JS.EVENT.ADVISORY.API`.",
      fires: {
        series: { [`${apiErrors}{server="n1"}`]: [{ seconds: 900, from: 0, perSecond: 2 }] },
        atSeconds: 900,
        labels: [N1],
      },
      quiet: {
        series: { [`${apiErrors}{server="n1"}`]: [{ seconds: 900, from: 0, perSecond: 0.8 }] },
        atSeconds: 900,
      },
    },
  ];
}
