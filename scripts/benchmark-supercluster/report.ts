/** What the super-cluster benchmark finds. Milliseconds everywhere. */
import type { Samples } from "../../src/bench/options.ts";
import type { Summary } from "../../src/bench/stats.ts";
import type { CrashDetection } from "../../src/index.ts";
import type { Layout, RegionSize } from "../shared/regions.ts";

/** Writes of the lease from one region, with the stream's leader in another or the same. */
export interface WriteTimes {
  readonly from: string;
  readonly streamLeader: string;
  readonly acquire: Summary;
  readonly renew: Summary;
}

/** Another leads, after the leader in a region was killed or asked to step down. */
export interface ChangeTimes extends Samples {
  readonly from: string;
  /** Regions of the next leaders. */
  readonly to: readonly string[];
}

export interface KillTimes extends ChangeTimes {
  readonly crashDetection: CrashDetection;
}

/** What became of the leadership when something between regions failed. Times count from the failure. */
export interface FaultTimes {
  readonly fault: string;
  /** Of the leader, of the stream's leader, when it happened. */
  readonly leader: string;
  readonly streamLeader: string;
  /** The leader's last moment; 0: it died; null: it led on. */
  readonly stoppedMs: number | null;
  /** The next leader's first moment, while the fault lasted; null: nobody. */
  readonly nextMs: number | null;
  readonly next: string | null;
  /** How long the fault lasted. */
  readonly lastedMs: number;
  /** Nobody led when it ended: from the end (servers are started then) to the next leader. */
  readonly backMs: number | null;
}

/** What `--json` prints. */
export interface SuperclusterReport {
  readonly layout: Layout;
  readonly regions: readonly RegionSize[];
  /** Added latency one way, by the regions that the link joins. */
  readonly linkMs: Readonly<Record<string, number>>;
  readonly ttlMs: number;
  readonly successorGraceMs: number;
  readonly server: string;
  readonly writes: readonly WriteTimes[];
  readonly kills: readonly KillTimes[];
  readonly handovers: readonly ChangeTimes[];
  readonly faults: readonly FaultTimes[];
  readonly terms: number;
  /** The longest time two nodes called themselves leader at once. Must be 0. */
  readonly overlapMs: number;
  readonly epochsIncrease: boolean;
  /** Load average (1 min) of the machine, at the start and at the end. */
  readonly load: readonly [number, number];
}

export function textOf(report: SuperclusterReport): string {
  const links = Object.entries(report.linkMs).map(([link, ms]) => `${link} ${ms} ms`);
  return [
    `${report.layout}, nats-server ${report.server}, TTL ${report.ttlMs} ms, one way: ${links.join(", ")}`,
    "writes of the lease, p50 / p99:",
    ...report.writes.map(
      ({ from, streamLeader, acquire, renew }) =>
        `  from ${from}, stream leader in ${streamLeader}: acquire ${both(acquire)}, renew ${both(renew)}`,
    ),
    "kill -9 to the next leader, p50 / max:",
    ...report.kills.map((one) => `  ${one.crashDetection}, leader in ${changeText(one)}`),
    "step-down request to the next leader, p50 / max:",
    ...report.handovers.map((one) => `  leader in ${changeText(one)}`),
    "faults:",
    ...report.faults.map((fault) => `  ${faultText(fault)}`),
    `${report.terms} terms, overlap ${report.overlapMs} ms, epochs ${report.epochsIncrease ? "increase" : "DO NOT INCREASE"}`,
    `load average ${report.load.map((load) => load.toFixed(2)).join(" before, ")} after`,
  ].join("\n");
}

export function faultText(found: FaultTimes): string {
  const { fault, leader, streamLeader, stoppedMs, nextMs, next, backMs, lastedMs } = found;
  const stopped =
    stoppedMs === null ? "led on" : stoppedMs === 0 ? "died" : `stopped after ${seconds(stoppedMs)}`;
  const followed =
    nextMs !== null
      ? `; ${next} led after ${seconds(nextMs)}`
      : stoppedMs === null
        ? ""
        : `; nobody led for ${seconds(lastedMs)}, ${backMs === null ? "" : `and one ${seconds(backMs)} after the end`}`;
  return `${fault} (leader ${leader}, stream leader ${streamLeader}): the leader ${stopped}${followed}`;
}

function changeText({ from, p50, max, samplesMs, to }: ChangeTimes): string {
  return `${from}: ${p50} / ${max} ms, ${samplesMs.length} times, to ${[...new Set(to)].join(", ")}`;
}

function both({ p50, p99 }: Summary): string {
  return `${p50} / ${p99} ms`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
