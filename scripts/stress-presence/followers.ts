/** Kills a leader with many followers. */
import { setTimeout as pause } from "node:timers/promises";
import type { ChildReport } from "../../src/bench/messages.ts";
import { hostNowMs } from "../../src/bench/messages.ts";
import { type ChildTask, type Mode, Operator, startChild, summaryOf, until } from "./support.ts";

const LEASE_TTL_MS = 10_000;
const PROCESSES = 4;
/** How long to observe after the next leader was elected: another winner in this time is a violation. */
const AFTERMATH_MS = 300;

export const runFollowers: Mode = async ({ server, rounds, nodes = 100, progress }) => {
  const operator = await Operator.at(server);
  const violations: string[] = [];
  const [failoverMs, questions, writes]: [number[], number[], number[]] = [[], [], []];
  try {
    for (let round = 1; round <= rounds; round++) {
      const found = await once(`followers${round}`);
      failoverMs.push(found.ms);
      questions.push(found.questions);
      writes.push(found.writes);
      if (found.winners !== 1) violations.push(`round ${round}: ${found.winners} won`);
      if (found.ms >= LEASE_TTL_MS / 2) violations.push(`round ${round}: ${found.ms} ms without a leader`);
      progress(
        `${round}/${rounds}: ${found.ms.toFixed(1)} ms, ${found.questions} questions, ${found.writes} writes, ${found.winners} won`,
      );
    }
  } finally {
    await operator.connection.close();
  }
  const leaderChanges = rounds;
  return {
    nodes,
    processes: PROCESSES,
    leaderChanges,
    failoverMs: summaryOf(failoverMs),
    questions: summaryOf(questions),
    writes: summaryOf(writes),
    violations,
  };

  async function once(clusterId: string) {
    const becomes: { at: number; epoch: number }[] = [];
    const ready = new Set<string>();
    let failure: string | null = null;
    let attempts = 0;
    const start = (name: string, nodeIds: readonly string[]) => {
      const task: ChildTask = {
        role: "crowd",
        url: server.url,
        clusterId,
        nodeIds,
        leaseTtlMs: LEASE_TTL_MS,
      };
      return startChild(name, task, (report: ChildReport) => {
        if (report.type === "failed") failure = report.message;
        if (report.type === "ready") ready.add(name);
        if (report.type === "become") becomes.push(report);
      });
    };
    const allReady = (count: number) => () => {
      if (failure !== null) throw new Error(failure);
      return ready.size === count ? true : undefined;
    };
    const leader = start("leader", ["leader"]);
    const children = [leader];
    try {
      await until(allReady(1), "the leader");
      for (let process = 0; process < PROCESSES; process++) {
        const ids = Array.from({ length: nodes }, (_, index) => `f${index}`);
        children.push(
          start(
            `crowd${process}`,
            ids.filter((_, index) => index % PROCESSES === process),
          ),
        );
      }
      await until(allReady(1 + PROCESSES), "the followers", 60_000);
      await operator.attempts(clusterId, () => {
        attempts += 1;
      });
      const before = operator.questions;
      const at = hostNowMs();
      leader.signal("SIGKILL");
      const next = await until(() => becomes.find(({ epoch }) => epoch > 1), "the next leader");
      await pause(AFTERMATH_MS);
      return {
        ms: next.at - at,
        winners: becomes.filter(({ epoch }) => epoch > 1).length,
        questions: operator.questions - before,
        writes: attempts,
      };
    } finally {
      await Promise.all(children.map((child) => child.end()));
    }
  }
};
