/** One process of the demo: a node whose work as leader is to count. Started by demo.ts, which reads its reports. */
import { writeSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { Node } from "../../src/index.ts";
import { now, type Report } from "./report.ts";

type Body<R> = R extends unknown ? Omit<R, "at"> : never;

const ROUND_MS = 40;
const [nodeId = "", servers = ""] = process.argv.slice(2);

// Synchronous, so that reports sent before a SIGKILL arrive.
function say(body: Body<Report>): void {
  writeSync(1, `${JSON.stringify({ at: now(), ...body })}\n`);
}

const node = new Node(
  { clusterId: "demo", nodeId, servers, logger: false },
  {
    onBecomeLeader: ({ epoch }) => say({ type: "become", epoch }),
    onLoseLeadership: ({ epoch }, reason) => say({ type: "lose", epoch, reason }),
    onLeaderChange: (leader) => say({ type: "follow", leader: leader?.nodeId ?? null }),
  },
);

// The parent handles Ctrl-C. Its end, for any reason, closes this process's stdin.
process.on("SIGINT", () => {});
process.once("SIGTERM", () => void node.stop());
process.stdin.on("close", () => process.exit()).resume();

let turnedAt = now();
setInterval(() => {
  if (now() - turnedAt > 1_000) say({ type: "thawed", isLeader: node.isLeader() });
  turnedAt = now();
}, 10);

void (async () => {
  for await (const event of node.events()) {
    if (event.type === "warning") say({ type: "warning", message: event.message });
  }
})();

say({ type: "starting" });
await node.start();

let count = 0;
await node.runWhileLeader(async (term) => {
  while (!term.signal.aborted) {
    const { held } = term;
    if (held) count += 1; // the work
    say({ type: "round", epoch: term.epoch, count, held });
    await pause(ROUND_MS, undefined, { signal: term.signal }).catch(() => {});
  }
});
process.exit();
