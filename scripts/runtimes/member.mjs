// One node in a process of its own, run by each runtime: member.mjs SERVER CLUSTER NODE [stop-in-hook | channels]. Prints its events as
// JSON lines. With stop-in-hook, its onBecomeLeader runs work and stops the node. With channels, it prints what they carry, and one of their
// subscribers throws.
import { subscribe } from "node:diagnostics_channel";
import process from "node:process";
import { Node } from "nats-leader";

const [servers, clusterId, nodeId, mode] = process.argv.slice(2);

function print(event) {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

if (mode === "channels") {
  subscribe("tracing:nats-leader:term:start", ({ epoch }) => print({ event: "term-start", epoch }));
  subscribe("tracing:nats-leader:term:end", ({ reason }) => print({ event: "term-end", reason }));
  process.on("uncaughtException", ({ message }) => print({ event: "uncaught", message }));
  subscribe("nats-leader:renewal", () => {
    throw new Error("of a subscriber");
  });
}

const node = new Node(
  { servers, clusterId, nodeId, connectTimeoutMs: 2000, drainTimeoutMs: 800, logger: false },
  {
    onBecomeLeader: async (term) => {
      print({ event: "become-leader", epoch: term.epoch });
      if (mode !== "stop-in-hook") return;
      await node.runWhileLeader(({ epoch }) => print({ event: "work", epoch }));
      const { pending } = await node.stop();
      print({ event: "stop-answered", pending });
    },
    onLoseLeadership: (_term, reason) => print({ event: "lose-leadership", reason }),
  },
);
process.once("SIGTERM", () => {
  node.stop().then(() => {
    print({ event: "stopped" });
    process.exit(0);
  });
});
async function printDrain() {
  for await (const event of node.events())
    if (event.type === "released") print({ event: "released", drain: event.drain });
  print({ event: "ended" });
}
if (mode === "stop-in-hook") void printDrain();
try {
  await node.start();
  print({ event: "started" });
} catch (error) {
  print({ event: "failed", code: error.code, message: error.message });
  process.exit(1);
}
