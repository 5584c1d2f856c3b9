/**
 * One member of a group: owns its share of 12 partitions, and prints what it gets and gives up.
 *
 *   MEMBER_ID=a node --import tsx examples/group/main.ts
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Group } from "nats-leader/group";

const group = new Group({
  groupId: "example-group",
  memberId: process.env["MEMBER_ID"], // default: the host name and random characters
  servers: process.env["NATS_URL"] ?? "nats://localhost:4222",
  resources: 12,
  settleMs: 1_000,
  logger: false, // default: JSON lines on stderr
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => void group.stop()); // ends the work, then passes the partitions on
}
await group.start();
await group.runOwned(async (term, { signal }) => {
  console.log(`owns ${term.resource}, epoch ${term.epoch}`);
  while (!signal.aborted) {
    // Work on the partition here, and send term.epoch with every write.
    await sleep(1_000, undefined, { signal }).catch(() => {});
  }
  console.log(`gives up ${term.resource}: ${term.lossReason}`);
});
