import { setTimeout as sleep } from "node:timers/promises";
import { Node } from "nats-leader";

const node = new Node(
  {
    clusterId: "billing",
    servers: process.env["NATS_URL"] ?? "nats://localhost:4222",
  },
  {
    onBecomeLeader: (term) => console.log(`leading, epoch ${term.epoch}`),
    onLoseLeadership: (_term, reason) => console.log(`no longer leading: ${reason}`),
    onLeaderChange: (leader) => console.log(`leader: ${leader?.nodeId ?? "none"}`),
  },
);
process.once("SIGTERM", () => void node.stop()); // ends the work, then releases the lease
await node.start();
await node.runWhileLeader(async (term, { signal }) => {
  while (!signal.aborted) {
    await term.untilHeld(); // waits while the connection to NATS is lost
    console.log(`working with epoch ${term.epoch}`); // send the epoch along with what you write
    await sleep(1_000, undefined, { signal }); // ends by throwing when the term does
  }
});
