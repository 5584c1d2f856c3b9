// One node in a process of its own, run by each runtime: member.mjs SERVER CLUSTER NODE. Prints its events as JSON lines.
import process from "node:process";
import { Node } from "nats-leader";

const [servers, clusterId, nodeId] = process.argv.slice(2);

function print(event) {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

const node = new Node(
  { servers, clusterId, nodeId, connectTimeoutMs: 2000, logger: false },
  {
    onBecomeLeader: (term) => print({ event: "become-leader", epoch: term.epoch }),
    onLoseLeadership: (_term, reason) => print({ event: "lose-leadership", reason }),
  },
);
process.once("SIGTERM", () => {
  node.stop().then(() => {
    print({ event: "stopped" });
    process.exit(0);
  });
});
try {
  await node.start();
  print({ event: "started" });
} catch (error) {
  print({ event: "failed", code: error.code, message: error.message });
  process.exit(1);
}
