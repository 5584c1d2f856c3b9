/** A process with nodes that are watched closely. Ends with its parent. */
import { flushReports, hostNowMs, report } from "../../src/bench/messages.ts";
import { Node } from "../../src/node/node.ts";
import type { ChildTask } from "./support.ts";

const SAMPLE_EVERY_MS = 1;

function nodeOf(task: ChildTask, nodeId: string): Node {
  const { url, clusterId, leaseTtlMs } = task;
  return new Node(
    { clusterId, nodeId, servers: url, leaseTtlMs, logger: false },
    { onBecomeLeader: ({ epoch }) => report({ type: "become", at: hostNowMs(), epoch }) },
  );
}

/**
 * Asks `isLeader()` all the time and reports from when to when it said yes: from just after the first yes to just before
 * the last one, so that an overlap of two processes is one for certain.
 */
function sample(node: Node): void {
  let epoch = 0;
  let lastYesMs = 0;
  const look = (): void => {
    const before = hostNowMs();
    const yes = node.isLeader();
    if (yes && node.epoch !== epoch) {
      if (epoch !== 0) report({ type: "unheld", at: lastYesMs, epoch, by: "lose-leadership" });
      epoch = node.epoch;
      report({ type: "held", at: hostNowMs(), epoch, by: "become-leader" });
    }
    if (yes) lastYesMs = before;
    else if (epoch !== 0) {
      report({ type: "unheld", at: lastYesMs, epoch, by: "suspended" });
      epoch = 0;
    }
  };
  setInterval(look, SAMPLE_EVERY_MS);
}

async function follow(node: Node, said: (epoch: number) => void): Promise<void> {
  for await (const event of node.events()) if (event.type === "leader-change") said(event.leader?.epoch ?? 0);
}

async function run(task: ChildTask): Promise<void> {
  const nodes = task.nodeIds.map((nodeId) => nodeOf(task, nodeId));
  const known = nodes.map((node) => {
    return new Promise<void>((resolve) => {
      void follow(node, (epoch) => {
        if (epoch > 0) resolve();
        if (task.role === "sampler")
          report({ type: "leader", at: hostNowMs(), nodeId: node.leader?.nodeId ?? null, epoch });
      });
    });
  });
  if (task.role === "sampler") for (const node of nodes) sample(node);
  await Promise.all(nodes.map((node) => node.start()));
  await Promise.all(known);
  report({ type: "ready", at: hostNowMs() });
}

process.on("disconnect", () => process.exit(1));
process.on("SIGINT", () => {});
const task = JSON.parse(process.argv[2] ?? "null") as ChildTask | null;
if (task === null || process.send === undefined) throw new Error("started by stress-presence only");
run(task).catch((error: unknown) => {
  report({ type: "failed", at: hostNowMs(), message: String(error) });
  flushReports();
  process.exit(1);
});
