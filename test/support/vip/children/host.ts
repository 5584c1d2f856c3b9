/** A node with a virtual IP on a host, and a server that answers every connection with the node's id. */
import { createServer } from "node:net";
import { Node } from "../../../../src/index.ts";
import { VirtualIp } from "../../../../src/vip.ts";
import { listen, say } from "../../processes/child-io.ts";

const { nodeId, clusterId, servers, leaseTtlMs, port, vip: vipOptions } = JSON.parse(process.argv[2] ?? "{}");

const at = (): number => Number(process.hrtime.bigint()) / 1e6;
const log =
  (level: string) =>
  (fields: object, message = ""): void =>
    say({ level, message, ...fields });
const logger = { debug: () => {}, info: log("info"), warn: log("warn"), error: log("error") };
const vip = new VirtualIp({ ...vipOptions, logger });
vip.onChange((state) => say({ state, at: at() }));
const node = new Node(
  { nodeId, clusterId, servers, leaseTtlMs, cooldownMs: 0, successorGraceMs: leaseTtlMs, logger: false },
  vip.hooks({
    onBecomeLeader: (term) => say({ hook: "become", epoch: term.epoch, vipHeld: vip.held, at: at() }),
    onLoseLeadership: (_, reason) => say({ hook: "lose", reason, vipHeld: vip.held, at: at() }),
  }),
);
createServer((socket) => {
  socket.on("error", () => {});
  socket.end(nodeId);
}).listen(port, "::");
await vip.check();
await node.start();
say({ ready: true });

listen<{ do: "stepdown" | "stop" | "keeper"; to?: string }>(async (command) => {
  if (command.do === "keeper") return say({ keeper: vip.keeperPid });
  if (command.do === "stepdown") await node.stepDown({ to: command.to });
  else await node.stop();
  say({ done: command.do, at: at() });
});
