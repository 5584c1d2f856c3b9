/** A child process of the comparison: one candidate of one system. Sends the reports of the failover benchmark's children. */
import { readTask } from "../../src/bench/child-task.ts";
import { hostNowMs, report } from "../../src/bench/messages.ts";
import { PEERS } from "./all.ts";

export interface CandidateTask {
  readonly system: string;
  readonly url: string;
  readonly id: string;
  readonly ttlMs: number;
}

let leaving = false;

function fail(error: unknown): void {
  if (leaving) return;
  report({
    type: "failed",
    at: hostNowMs(),
    message: error instanceof Error ? error.message : String(error),
  });
}

const task = readTask<CandidateTask>();
const peer = PEERS.find(({ system }) => system === task.system);
if (peer === undefined) throw new Error(`no system ${task.system}`);
try {
  const candidate = await peer.campaign({
    ...task,
    onBecome: () => report({ type: "become", at: hostNowMs(), epoch: 0 }),
    onError: fail,
  });
  process.on("SIGTERM", () => {
    leaving = true;
    candidate.leave().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  });
  report({ type: "ready", at: hostNowMs() });
} catch (error) {
  fail(error);
}
