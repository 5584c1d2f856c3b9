/** An election on the deployed cluster survives the loss of one server at a time, but not of two at once. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startOf } from "../../scripts/deploy-nats-cluster/process-identity.ts";
import { waitFor } from "../../scripts/shared/wait.ts";
import { Deployment, urlsOf } from "../support/deploy/deployment.ts";
import { settled, startNode, type TestNode } from "../support/node/test-node.ts";

const PATIENCE_MS = 30_000;

test("the term survives servers that stop one by one; with two stopped at once there is no leader until they are back", async () => {
  const cluster = await Deployment.make("cluster");
  const urls = urlsOf(await cluster.must("up"));
  const options = { clusterId: "billing", leaseTtlMs: 10_000 };
  const nodes = [
    await startNode({ servers: urls }, { ...options, nodeId: "a" }),
    await startNode({ servers: urls }, { ...options, nodeId: "b" }),
  ];
  const [leader] = await settled(nodes, 0, PATIENCE_MS);
  const { term } = leader.node;
  const unchanged = async (): Promise<void> => {
    await leader.leads(PATIENCE_MS);
    expect(leader.node.term).toBe(term);
    expect([count(nodes, "become-leader"), count(nodes, "lose-leadership")]).toEqual([1, 0]);
  };

  for (const server of ["n1", "n2"]) {
    await stop(cluster, server);
    expect(await cluster.run("status")).toMatchObject({
      code: 1,
      result: { missing: `${server} is not running` },
    });
    await unchanged();
    await cluster.must("up");
    await unchanged();
  }

  await cluster.must("restart");
  await unchanged();

  await Promise.all(["n1", "n2"].map((server) => stop(cluster, server)));
  expect(await leader.next("lose-leadership", undefined, PATIENCE_MS)).toMatchObject({ reason: "expired" });
  expect(nodes.map((node) => node.node.isLeader())).toEqual([false, false]);
  expect(count(nodes, "become-leader")).toBe(1);
  await cluster.must("up");
  const [next] = await settled(nodes, term?.epoch, PATIENCE_MS);
  expect(next.node.epoch).toBeGreaterThan(term?.epoch ?? 0);
});

function count(nodes: readonly TestNode[], type: "become-leader" | "lose-leadership"): number {
  return nodes.map((node) => node.count(type)).reduce((sum, one) => sum + one);
}

/** Stops a server with SIGTERM, as an operator does. */
async function stop(cluster: Deployment, server: string): Promise<void> {
  const { processes } = JSON.parse(readFileSync(join(cluster.state, "deployment.json"), "utf8"));
  const { pid, started } = processes[server];
  process.kill(pid, "SIGTERM");
  await waitFor(() => startOf(pid) !== started, { timeoutMs: PATIENCE_MS });
}
