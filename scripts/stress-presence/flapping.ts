/** Cuts the leader's TCP connection repeatedly. */
import { setTimeout as pause } from "node:timers/promises";
import type { BenchChild } from "../../src/bench/child.ts";
import { type HeldInterval, HeldLedger, largestOverlap } from "../../src/bench/held.ts";
import { hostNowMs } from "../../src/bench/messages.ts";
import { type ChildTask, type Mode, startChild, summaryOf, until, Wire } from "./support.ts";

const LEASE_TTL_MS = 10_000;
/** Minimum time between two cuts, plus a random time of up to the same length: some cuts hit during recovery. */
const CALM_MS = 150;

interface Flapper {
  readonly id: string;
  readonly wire: Wire;
  readonly child: BenchChild<ChildTask>;
  ready: boolean;
  failure: string | null;
  /** Since when `isLeader()` has been true, and in which epoch; `null` while it is false. */
  held: { readonly epoch: number; readonly at: number } | null;
}

/** The reports of the processes. */
interface Record {
  readonly ledger: HeldLedger;
  readonly epochs: number[];
}

export const runFlapping: Mode = async ({ server, rounds, nodes = 3, progress }) => {
  const record: Record = { ledger: new HeldLedger(), epochs: [] };
  const flappers: Flapper[] = [];
  const [survivedMs, replacedMs]: [number[], number[]] = [[], []];
  try {
    for (let index = 0; index < nodes; index++)
      flappers.push(await startFlapper(`n${index}`, new Wire(server), record));
    await until(() => flappers.every(({ ready }) => ready) || undefined, "all nodes to be ready");
    for (let round = 1; round <= rounds; round++) {
      const { flapper, held } = await until(() => leaderAmong(flappers, 0), "a leader");
      await pause(CALM_MS + Math.random() * CALM_MS);
      const at = hostNowMs();
      flapper.wire.cut();
      const next = await until(() => leaderAmong(flappers, at), "a leader after the cut");
      (next.held.epoch === held.epoch ? survivedMs : replacedMs).push(next.held.at - at);
      if (round % 10 === 0) progress(`${round}/${rounds}: the term survived ${survivedMs.length} times`);
    }
    await pause(CALM_MS);
  } finally {
    await Promise.all(flappers.map(({ child }) => child.end()));
    for (const { wire } of flappers) wire.close();
  }
  const intervals = record.ledger.intervals(hostNowMs());
  const { epochs } = record;
  const increase = epochs.every((epoch, index) => index === 0 || epoch > (epochs[index - 1] ?? 0));
  return {
    nodes,
    survived: survivedMs.length,
    replaced: replacedMs.length,
    leaderChanges: epochs.length - 1,
    overlapMs: largestOverlap(intervals),
    /** From the cut to the next time that `isLeader()` is true. */
    survivedMs: summaryOf(survivedMs),
    replacedMs: summaryOf(replacedMs),
    violations: [
      ...overlapping(intervals).map(({ ms, by }) => `two leaders for ${ms.toFixed(3)} ms: ${by}`),
      ...(increase ? [] : [`epochs do not increase: ${epochs.join(" ")}`]),
    ],
  };
};

async function startFlapper(id: string, wire: Wire, { ledger, epochs }: Record): Promise<Flapper> {
  const url = await wire.open();
  const task: ChildTask = {
    role: "sampler",
    url,
    clusterId: "flapping",
    nodeIds: [id],
    leaseTtlMs: LEASE_TTL_MS,
  };
  const child = startChild(id, task, (report) => {
    if (report.type === "failed") flapper.failure = `${id}: ${report.message}`;
    if (report.type === "become") epochs.push(report.epoch);
    if (report.type === "ready") flapper.ready = true;
    if (report.type === "held") {
      ledger.hold(id, report.epoch, report.at);
      flapper.held = { epoch: report.epoch, at: report.at };
    }
    if (report.type === "unheld") {
      ledger.release(id, report.at);
      flapper.held = null;
    }
  });
  const flapper: Flapper = { id, wire, child, ready: false, failure: null, held: null };
  return flapper;
}

/** The node whose `isLeader()` has been true since a time later than `after`. */
function leaderAmong(
  flappers: readonly Flapper[],
  after: number,
): { flapper: Flapper; held: NonNullable<Flapper["held"]> } | undefined {
  for (const flapper of flappers) {
    const { held, failure } = flapper;
    if (failure !== null) throw new Error(failure);
    if (held !== null && held.at > after) return { flapper, held };
  }
  return undefined;
}

function overlapping(intervals: readonly HeldInterval[]): { ms: number; by: string }[] {
  return intervals.flatMap((one, index) =>
    intervals.slice(index + 1).flatMap((other) => {
      const ms = one.node === other.node ? 0 : largestOverlap([one, other]);
      return ms > 0 ? [{ ms, by: `${one.node} (${one.epoch}), ${other.node} (${other.epoch})` }] : [];
    }),
  );
}
