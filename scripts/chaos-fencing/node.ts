/**
 * A leader that is as careless as the fence allows: it asks whether it leads, and writes one tick later, whatever has
 * happened meanwhile. Each write goes to a fenced register and to an unfenced shadow of it.
 *
 * Ticks come from the parent and not from timers, so a bent clock does not keep it from writing. Arguments: node id, url.
 */
import { createInterface } from "node:readline";
import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { ClusterError, FencedStream, type FencedWriter, natsHeaders, withFence } from "../../src/fencing.ts";
import { Node } from "../../src/index.ts";
import { LEASE_TTL_MS, type NodeReport, REGISTER, SHADOW, STREAM } from "./messages.ts";

const [nodeId = "", url = ""] = process.argv.slice(2);
const say = (report: NodeReport): void => void process.stdout.write(`${JSON.stringify(report)}\n`);

const nats = await connect({
  servers: url,
  maxReconnectAttempts: -1,
  reconnectTimeWait: 50,
  pingInterval: 1000,
  maxPingOut: 2,
  ignoreClusterUpdates: true, // or it would learn of ways around the line that is cut
});
const register = await FencedStream.connect(nats, { stream: STREAM, timeoutMs: 1000 });
const shadow = jetstream(nats, { timeout: 1000 });

let leading: { readonly epoch: number; readonly writer: FencedWriter } | null = null;
/** A write that was decided on when this node led, for the next tick. */
let decided: { readonly epoch: number; readonly writer: FencedWriter; readonly text: string } | null = null;
let n = 0;
const outcomes: Record<string, number> = {};
const count = (name: string): void => {
  outcomes[name] = (outcomes[name] ?? 0) + 1;
};

const node: Node = new Node(
  { clusterId: "chaos", nodeId, connection: nats, leaseTtlMs: LEASE_TTL_MS, logger: false, service: false },
  withFence(register, {
    onBecomeLeader(term, writer) {
      leading = { epoch: term.epoch, writer };
      say({ leads: term.epoch });
    },
    onLoseLeadership(term) {
      if (leading?.epoch === term.epoch) leading = null;
      say({ lost: term.epoch });
    },
  }),
);
await node.start();
say({ started: true });

createInterface({ input: process.stdin })
  .on("line", (line) => (line === "stats" ? say({ outcomes }) : tick()))
  .on("close", () => process.exit());

function tick(): void {
  if (decided !== null) void write(decided.epoch, decided.writer, decided.text);
  decided = null;
  if (leading === null || !node.isLeader()) return;
  n += 1;
  decided = { ...leading, text: `${nodeId} ${n}` };
}

async function write(epoch: number, writer: FencedWriter, text: string): Promise<void> {
  const fenced = writer.publish(REGISTER, text).then(
    () => {
      count("written");
      say({ wrote: epoch });
    },
    (error: unknown) => count(error instanceof ClusterError ? error.code : "OTHER"),
  );
  const unfenced = shadow.publish(SHADOW, text, { headers: natsHeaders(epoch) }).then(
    () => count("shadowWritten"),
    () => count("shadowFailed"),
  );
  await Promise.all([fenced, unfenced]);
}
