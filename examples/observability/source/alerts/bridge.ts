/** Alerts about the instances of `examples/data-bridge`. */
import { type Alert, type Piece, steady } from "../alert.ts";
import { bridge, JOBS } from "../names.ts";
import { LAG } from "../thresholds.ts";
import type { Times } from "../time.ts";

const of = (number: number, more = ""): string => `{job="${JOBS.bridge}",instance_number="${number}"${more}}`;
const grows = (perSecond: number): readonly Piece[] => [{ seconds: 900, from: 0, perSecond }];

export function bridgeAlerts({ range }: Times): readonly Alert[] {
  const lag = bridge("partition_lag");
  const paused = bridge("partition_paused");
  const stored = `sum by (job, instance_number) (rate(${bridge("stored_total")}[${range(120)}]))`;
  return [
    {
      name: "BridgeConsumerLag",
      severity: "warning",
      expr: `sum by (job, partition) (${lag}) > ${LAG}`,
      holdSeconds: 60,
      summary: "Partition {{ $labels.partition }} of the bridge is behind",
      meaning: `More than ${LAG} messages wait for a minute.`,
      firstStep: "Is the partition paused (the sink is slow), does it fail, or has it no owner?",
      fires: {
        series: { [`${lag}${of(1, ',partition="3"')}`]: steady(LAG + 1, 180) },
        atSeconds: 90,
        labels: [{ job: JOBS.bridge, partition: "3" }],
      },
      quiet: { series: { [`${lag}${of(1, ',partition="3"')}`]: steady(LAG, 180) }, atSeconds: 90 },
    },
    {
      name: "BridgeInstanceDown",
      severity: "warning",
      expr: `up{job="${JOBS.bridge}"} == 0`,
      holdSeconds: 30,
      summary: "Instance {{ $labels.instance_number }} of the bridge does not answer",
      meaning: "It was killed, stands still or cannot be reached. The others have its partitions.",
      firstStep: "The log of the instance; what starts it again?",
      fires: {
        series: { [`up${of(2)}`]: steady(0, 120) },
        atSeconds: 60,
        labels: [{ job: JOBS.bridge, instance_number: "2" }],
      },
      quiet: {
        series: {
          [`up${of(2)}`]: [
            { seconds: 25, from: 0 },
            { seconds: 95, from: 1 },
          ],
        },
        atSeconds: 60,
      },
    },
    {
      name: "BridgeBackPressure",
      severity: "warning",
      expr: `max by (job, instance_number) (min_over_time(${paused}[${range(60)}])) == 1`,
      holdSeconds: 60,
      summary: "Instance {{ $labels.instance_number }} of the bridge waits for its sink",
      meaning:
        "A partition has been paused for two minutes: the sink is slower than the stream. Nothing is lost; the lag grows.",
      firstStep: "The load and the locks of the database; more instances do not help a slow sink.",
      fires: {
        series: { [`${paused}${of(1, ',partition="3"')}`]: steady(1, 240) },
        atSeconds: 180,
        labels: [{ job: JOBS.bridge, instance_number: "1" }],
      },
      // Paused and resumed in turns: normal under load.
      quiet: {
        series: {
          [`${paused}${of(1, ',partition="3"')}`]: [
            { seconds: 80, from: 1 },
            { seconds: 10, from: 0 },
            { seconds: 80, from: 1 },
            { seconds: 10, from: 0 },
            { seconds: 60, from: 1 },
          ],
        },
        atSeconds: 180,
      },
    },
    {
      name: "BridgeUnevenLoad",
      severity: "warning",
      expr: `max by (job) (${stored}) > 1.5 * avg by (job) (${stored}) and sum by (job) (${stored}) > 10`,
      holdSeconds: 300,
      summary: "The load of the bridge is uneven",
      meaning:
        "One instance stores more than 1.5 times the average: partitions are not balanced, or some keys have most of the messages.",
      firstStep:
        "Compare partitions and load per instance. Balanced partitions and uneven load: choose another key.",
      fires: {
        series: {
          [`${bridge("stored_total")}${of(1)}`]: grows(100),
          [`${bridge("stored_total")}${of(2)}`]: grows(10),
          [`${bridge("stored_total")}${of(3)}`]: grows(10),
        },
        atSeconds: 600,
        labels: [{ job: JOBS.bridge }],
      },
      quiet: {
        series: {
          [`${bridge("stored_total")}${of(1)}`]: grows(60),
          [`${bridge("stored_total")}${of(2)}`]: grows(40),
          [`${bridge("stored_total")}${of(3)}`]: grows(40),
        },
        atSeconds: 600,
      },
    },
    {
      name: "BridgeDeadLetters",
      severity: "warning",
      expr: `sum by (job, instance_number) (increase(${bridge("dead_total")}[${range(600)}])) > 0`,
      holdSeconds: 0,
      summary: "Instance {{ $labels.instance_number }} of the bridge gave up messages",
      meaning: "Messages failed as often as `tries` allows, and are dead letters now.",
      firstStep: "Read the stream of dead letters: each has its error.",
      fires: {
        series: {
          [`${bridge("dead_total")}${of(1)}`]: [
            { seconds: 300, from: 0 },
            { seconds: 300, from: 1 },
          ],
        },
        atSeconds: 500,
        labels: [{ job: JOBS.bridge, instance_number: "1" }],
      },
      quiet: { series: { [`${bridge("dead_total")}${of(1)}`]: steady(1, 600) }, atSeconds: 500 },
    },
  ];
}
