/** The report of the super-cluster benchmark. All times are in milliseconds. */
import type { Samples } from "../../src/bench/options.ts";
import type { Summary } from "../../src/bench/stats.ts";
import type { CrashDetection } from "../../src/index.ts";
import type { Layout, RegionSize } from "../shared/regions.ts";

/** Writes of the lease from one region, by the region of the stream's leader. */
export interface WriteTimes {
  readonly from: string;
  readonly streamLeader: string;
  readonly acquire: Summary;
  readonly renew: Summary;
}

/** Leader changes after the leader in one region was killed or was requested to step down. */
export interface ChangeTimes extends Samples {
  readonly from: string;
  /** Region of the next leader, for each sample. */
  readonly to: readonly string[];
}

export interface KillTimes extends ChangeTimes {
  readonly crashDetection: CrashDetection;
}

/** Effect of a fault between regions. Times count from the fault. */
export interface FaultTimes {
  readonly fault: string;
  /** Region of the leader when the fault began. */
  readonly leader: string;
  /** Region of the stream's leader when the fault began. */
  readonly streamLeader: string;
  /** When the leader's term ended; 0: the leader was killed; null: the term went on. */
  readonly stoppedMs: number | null;
  /** When the next leader's term began, if the fault still lasted; null: no next leader. */
  readonly nextMs: number | null;
  readonly next: string | null;
  /** How long the fault lasted. */
  readonly lastedMs: number;
  /** If there was no leader when the fault ended: from its end (servers are started then) to the next leader. */
  readonly backMs: number | null;
}

/** The output of `--json`. */
export interface SuperclusterReport {
  readonly layout: Layout;
  readonly regions: readonly RegionSize[];
  /** Added latency one way, by link, such as "eu-us". */
  readonly linkMs: Readonly<Record<string, number>>;
  readonly ttlMs: number;
  readonly successorGraceMs: number;
  readonly server: string;
  readonly writes: readonly WriteTimes[];
  readonly kills: readonly KillTimes[];
  readonly handovers: readonly ChangeTimes[];
  readonly faults: readonly FaultTimes[];
  readonly terms: number;
  /** The longest time during which two nodes were leader at once. Must be 0. */
  readonly overlapMs: number;
  readonly epochsIncrease: boolean;
  /** The machine's load average (1 min) at the start and at the end. */
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
    stoppedMs === null
      ? "kept its term"
      : stoppedMs === 0
        ? "was killed"
        : `stopped after ${seconds(stoppedMs)}`;
  const followed =
    nextMs !== null
      ? `; ${next} led after ${seconds(nextMs)}`
      : stoppedMs === null
        ? ""
        : `; no leader for ${seconds(lastedMs)}${backMs === null ? "" : `, the next one ${seconds(backMs)} after the end of the fault`}`;
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
