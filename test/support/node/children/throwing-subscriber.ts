/**
 * A node in whose process every channel has a subscriber that throws. Prints one line of JSON: what has become of its first term after the
 * exceptions have been handled.
 */
import { subscribe } from "node:diagnostics_channel";
import { deferred } from "../../../../scripts/shared/wait.ts";
import { Node } from "../../../../src/index.ts";

const RENEWALS = 3;

let thrown = 0;
process.on("uncaughtException", (error) => {
  if (error.message !== "of a subscriber") throw error;
  thrown += 1;
});
const fail = (): never => {
  throw new Error("of a subscriber");
};
for (const name of ["leader", "renewal", "hook", "beat", "drain"]) subscribe(`nats-leader:${name}`, fail);
for (const name of ["start", "end"]) subscribe(`tracing:nats-leader:term:${name}`, fail);

let renewals = 0;
const renewed = deferred();
subscribe("nats-leader:renewal", () => {
  renewals += 1;
  if (renewals === RENEWALS) renewed.resolve();
});

const node = new Node(
  { clusterId: "c", nodeId: "a", servers: process.argv[2] ?? "", leaseTtlMs: 1500, logger: false },
  { onBecomeLeader: () => {} },
);
await node.start();
const term = await node.campaign({ timeoutMs: 20_000 });
await renewed.promise;
const report = { held: await term.untilHeld().then(() => true), epoch: node.epoch, thrown, renewals };
const { term: stopped } = await node.stop();
console.log(JSON.stringify({ ...report, leaseDeleted: stopped?.leaseDeleted }));
