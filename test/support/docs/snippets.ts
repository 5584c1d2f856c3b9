/** TypeScript blocks of the documents, literally, so that they are compiled against the types of the package. */
import { Group, type ResourceTerm } from "../../../src/group.ts";
import { Node, type NodeOptions, type Term } from "../../../src/index.ts";
import { SimulatedCluster } from "../../../src/testing.ts";
import { VirtualIp } from "../../../src/vip.ts";

type Sleep = (ms: number) => Promise<void>;

/** README.md */
export async function simulatedJob(
  job: (term: Term, sleep: Sleep) => Promise<void>,
): Promise<SimulatedCluster> {
  const cluster = new SimulatedCluster({ seed: 7 });
  const a = cluster.process("a", async ({ environment, sleep, terminated }) => {
    const options = { clusterId: "jobs", nodeId: "a", servers: "simulated", logger: false } as const;
    const node = new Node(options, {}, environment);
    terminated.addEventListener("abort", () => void node.stop());
    // A program that ends with an error fails the test, and NATS may be out of reach when a crashed process starts again.
    const start = () => node.start({ signal: terminated }).catch(() => "failed");
    while (!terminated.aborted && (await start()) === "failed") await sleep(1_000);
    if (!terminated.aborted) await node.runWhileLeader((term) => job(term, sleep));
  });
  cluster.injectFaults({ count: 20, withinMs: 60_000 }); // or a.crash(), a.pause(), a.partition(), cluster.restartServer(), …
  await cluster.advance(90_000);
  a.crash();
  return cluster;
}

/** docs/groups.md */
export async function simulatedGroup(
  work: (term: ResourceTerm, signal: AbortSignal) => Promise<void>,
): Promise<SimulatedCluster> {
  const cluster = new SimulatedCluster({ seed: 7 });
  const [a] = ["a", "b", "c"].map((memberId) =>
    cluster.process(memberId, async ({ groupEnvironment, sleep, terminated }) => {
      const options = {
        groupId: "orders",
        memberId,
        servers: "simulated",
        resources: 6,
        logger: false,
      } as const;
      const group = new Group(options, {}, groupEnvironment);
      terminated.addEventListener("abort", () => void group.stop());
      // NATS may be out of reach when a crashed process starts again.
      const start = () => group.start({ signal: terminated }).catch(() => "failed");
      while (!terminated.aborted && (await start()) === "failed") await sleep(1_000);
      if (!terminated.aborted) await group.runOwned((term, { signal }) => work(term, signal));
    }),
  );
  await cluster.until(() => cluster.owned("a").length === 2);
  a?.crash(); // or a.crash({ noticedAfterMs: 60_000 }): its host vanishes; a.pause(): it stands still; a.terminate(): it leaves
  await cluster.until(() => cluster.owned("b").length + cluster.owned("c").length === 6, 1_000);
  return cluster;
}

/** docs/vip.md */
export async function virtualIp(options: NodeOptions): Promise<Node> {
  const vip = new VirtualIp({ address: "10.0.0.100/32", interface: "eth0" });
  await vip.check(); // rejects if this host cannot hold the address
  const node = new Node(options, vip.hooks({ onBecomeLeader: (term) => console.log(`epoch ${term.epoch}`) }));
  return node;
}

/** examples/nats-cluster/README.md */
export function securedNode(): Node {
  const node = new Node({
    clusterId: "billing",
    servers: ["tls://127.0.0.1:4222", "tls://127.0.0.1:4223", "tls://127.0.0.1:4224"],
    user: "node",
    pass: process.env["NODE_PASSWORD"] ?? "",
    inboxPrefix: "_INBOX_node",
    tls: { ca: ".nats-cluster/tls/ca.pem" },
  });
  return node;
}
