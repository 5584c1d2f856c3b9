/**
 * The smallest program: one node with hooks.
 *
 *   NODE_ID=a node --import tsx examples/basic/main.ts
 */
import { Node } from "nats-leader";

const node = new Node(
  {
    clusterId: "example-basic",
    nodeId: process.env["NODE_ID"], // default: the host name and random characters
    servers: process.env["NATS_URL"] ?? "nats://localhost:4222",
    logger: false, // default: JSON lines on stderr
  },
  {
    onBecomeLeader: (term) => console.log(`became leader, epoch ${term.epoch}`),
    onLoseLeadership: (term, reason) => console.log(`lost leadership, epoch ${term.epoch}: ${reason}`),
    onLeaderChange: (leader) => console.log(`leader: ${leader?.nodeId ?? "none"}`),
    onNatsDisconnect: () => console.log("disconnected from NATS"),
    onNatsReconnect: () => console.log("reconnected to NATS"),
  },
);

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => void node.stop()); // releases the lease, so that another node leads at once
}
await node.start();
