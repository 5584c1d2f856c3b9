/** The leader's TCP connection is cut, again and again. */
import { setTimeout as pause } from "node:timers/promises";
import type { BenchChild } from "../../src/bench/child.ts";
import { type HeldInterval, HeldLedger, largestOverlap } from "../../src/bench/held.ts";
import { type ChildReport, hostNowMs } from "../../src/bench/messages.ts";
import { type ChildTask, type Mode, startChild, summaryOf, until, Wire } from "./support.ts";

const LEASE_TTL_MS = 10_000;
/** Between two cuts, at least; as much again at random. Now and then the second comes before all is well again. */
const CALM_MS = 150;

interface Flapper {
  readonly id: string;
  readonly wire: Wire;
  readonly child: BenchChild<ChildTask>;
  ready: boolean;
  /** Since when it has answered yes, and in which epoch; `null` while it answers no. */
  held: { readonly epoch: number; readonly at: number } | null;
}

export const runFlapping: Mode = async ({ server, rounds, nodes = 3, progress }) => {
  const ledger = new HeldLedger();
  const epochs: number[] = [];
  let failure: string | null = null;
  const flappers: Flapper[] = [];
  const hear = (flapper: () => Flapper | undefined, id: string) => (report: ChildReport) => {
    const of = flapper();
    if (report.type === "failed") failure = `${id}: ${report.message}`;
    if (report.type === "become") epochs.push(report.epoch);
    if (of === undefined) return;
    if (report.type === "ready") of.ready = true;
    if (report.type === "held") {
      ledger.hold(id, report.epoch, report.at);
      of.held = { epoch: report.epoch, at: report.at };
    }
    if (report.type === "unheld") {
      ledger.release(id, report.at);
      of.held = null;
    }
  };
  for (let index = 0; index < nodes; index++) {
    const [id, wire] = [`n${index}`, new Wire(server)];
    const task: ChildTask = {
      role: "sampler",
      url: await wire.open(),
      clusterId: "flapping",
      nodeIds: [id],
      leaseTtlMs: LEASE_TTL_MS,
    };
    const child = startChild(
      id,
      task,
      hear(() => flappers[index], id),
    );
    flappers.push({ id, wire, child, ready: false, held: null });
  }
  const leader = (): Flapper | undefined => {
    if (failure !== null) throw new Error(failure);
    return flappers.find(({ held }) => held !== null);
  };
  const [survivedMs, replacedMs]: [number[], number[]] = [[], []];
  try {
    await until(() => flappers.every(({ ready }) => ready) || undefined, "all nodes to take part");
    for (let round = 1; round <= rounds; round++) {
      const cutOne = await until(leader, "a leader");
      const { epoch } = cutOne.held ?? { epoch: 0 };
      await pause(CALM_MS + Math.random() * CALM_MS);
      const at = hostNowMs();
      cutOne.wire.cut();
      const next = await until(() => {
        const found = leader();
        return found?.held != null && found.held.at > at ? found.held : undefined;
      }, "a leader after the cut");
      (next.epoch === epoch ? survivedMs : replacedMs).push(next.at - at);
      if (round % 10 === 0) progress(`${round}/${rounds}: the term survived ${survivedMs.length} times`);
    }
    await pause(CALM_MS);
  } finally {
    await Promise.all(flappers.map(({ child }) => child.end()));
    for (const { wire } of flappers) wire.close();
  }
  const intervals = ledger.intervals(hostNowMs());
  const overlaps = overlapping(intervals);
  const increase = epochs.every((epoch, index) => index === 0 || epoch > (epochs[index - 1] ?? 0));
  const violations = [
    ...overlaps.map(({ ms, by }) => `two leaders for ${ms.toFixed(3)} ms: ${by}`),
    ...(increase ? [] : [`epochs do not increase: ${epochs.join(" ")}`]),
  ];
  return {
    nodes,
    survived: survivedMs.length,
    replaced: replacedMs.length,
    leaderChanges: epochs.length - 1,
    overlapMs: largestOverlap(intervals),
    /** From the cut to the first yes after it. */
    survivedMs: summaryOf(survivedMs),
    replacedMs: summaryOf(replacedMs),
    violations,
  };
};

function overlapping(intervals: readonly HeldInterval[]): { ms: number; by: string }[] {
  return intervals.flatMap((one, index) =>
    intervals.slice(index + 1).flatMap((other) => {
      const ms = one.node === other.node ? 0 : largestOverlap([one, other]);
      return ms > 0 ? [{ ms, by: `${one.node} (${one.epoch}), ${other.node} (${other.epoch})` }] : [];
    }),
  );
}
