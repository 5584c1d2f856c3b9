/** Handover to a named node among many candidates. */
import { connect } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { Node } from "../../src/index.ts";
import { atEnd } from "../support/at-end.ts";
import { json } from "../support/cli/run-cli.ts";
import { freshId } from "../support/fresh-id.ts";
import { LONG, PATIENCE_MS } from "../support/patience.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

const CANDIDATES = 22;
const ROUNDS = 10;

/** Candidates on four connections, the first one leading. */
async function candidates(clusterId: string): Promise<Node[]> {
  const options = { servers: server.url, pingInterval: 1_000, maxPingOut: 2 };
  const connections = await Promise.all([1, 2, 3, 4].map(() => connect(options)));
  atEnd(() => Promise.all(connections.map((connection) => connection.close())));
  const nodes: Node[] = [];
  for (let index = 0; index < CANDIDATES; index++) {
    const connection = connections[index % connections.length];
    if (connection === undefined) throw new Error("four connections were opened");
    const node = new Node({
      ...LONG,
      clusterId,
      nodeId: `n${index}`,
      connection,
      logger: false,
      cooldownMs: 100,
      // However late the successor's process gets a CPU.
      successorGraceMs: LONG.leaseTtlMs,
    });
    atEnd(() => node[Symbol.asyncDispose]());
    await node.start();
    if (index === 0) await node.campaign({ timeoutMs: PATIENCE_MS });
    nodes.push(node);
  }
  await waitFor(() => nodes.every((node) => node.leader?.nodeId === "n0"));
  return nodes;
}

test("among 22 candidates the named one leads next, every time", async () => {
  const nodes = await candidates(freshId());
  const tookMs: number[] = [];
  let leader = 0;
  for (let round = 1; round <= ROUNDS; round++) {
    const next = (leader + 7) % CANDIDATES;
    const target = nodes[next];
    const leading = target?.campaign({ timeoutMs: PATIENCE_MS });
    const started = performance.now();
    await nodes[leader]?.stepDown({ to: `n${next}` });
    const term = await leading;
    tookMs.push(performance.now() - started);
    expect(term).toMatchObject({ nodeId: `n${next}`, epoch: round + 1 });
    await waitFor(() => nodes.every((node) => node.epoch === round + 1));
    // A loop that stood still for a moment has to look at its sockets first.
    await waitFor(() => target?.isLeader() === true);
    expect(nodes.filter((node) => node.isLeader()).map((node) => node.nodeId)).toEqual([`n${next}`]);
    leader = next;
  }
  tookMs.sort((a, b) => a - b);
  const [median = 0] = tookMs.slice(ROUNDS / 2);
  console.log(
    `handover among ${CANDIDATES}: p50 ${median.toFixed(1)} ms, max ${tookMs.at(-1)?.toFixed(1)} ms`,
  );
});

test("transfer does the same from another process; a node that does not compete is refused", async () => {
  const clusterId = freshId();
  const nodes = await candidates(clusterId);
  const where = ["--cluster-id", clusterId, "--nats-url", server.url];
  const moved = await json(["transfer", "n21", ...where]);
  expect(moved).toMatchObject({ code: 0, value: { nodeId: "n21", from: "n0", epoch: 2 } });
  expect(nodes[21]?.isLeader()).toBe(true);
  await nodes[3]?.withdraw();
  await expect(nodes[21]?.stepDown({ to: "n3" })).rejects.toMatchObject({
    code: "HANDOVER_REFUSED",
    message: expect.stringContaining("does not compete"),
  });
  expect(nodes[21]?.isLeader()).toBe(true);
  const listed = await json<{ nodes: { nodeId: string; competes: boolean }[] }>(["nodes", ...where]);
  expect(listed.value.nodes).toHaveLength(CANDIDATES);
  expect(listed.value.nodes.find((node) => node.nodeId === "n3")?.competes).toBe(false);
});
