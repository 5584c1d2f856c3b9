/** A real HAProxy routes to the leader by /leader, through several failovers. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { findHaproxy, Haproxy } from "../../scripts/shared/haproxy.ts";
import { waitFor } from "../../scripts/shared/wait.ts";
import { atEnd } from "../support/at-end.ts";
import { freshId } from "../support/fresh-id.ts";
import { get, openDoor } from "../support/http/door.ts";
import { CALM, settled, startNode, type TestNode } from "../support/node/test-node.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();
const FAILOVERS = 6;
const why = findHaproxy() === null ? " (skipped: haproxy is not installed: apt-get install haproxy)" : "";

/** An application that answers with its node and epoch while it may act as the leader. */
async function applicationOf({ node }: TestNode): Promise<number> {
  const application: Server = createServer((_request, response) => {
    const { term } = node;
    const isHeld = node.isLeader() && term !== null;
    response.writeHead(isHeld ? 200 : 409).end(isHeld ? `${node.nodeId} ${term.epoch}` : "");
  });
  await new Promise<void>((resolve) => application.listen(0, "127.0.0.1", resolve));
  atEnd(() => {
    application.closeAllConnections();
    application.close();
  });
  return (application.address() as AddressInfo).port;
}

test.skipIf(why !== "")(`requests through HAProxy reach each leader in turn${why}`, async () => {
  const clusterId = freshId();
  const nodes: TestNode[] = [];
  for (const nodeId of ["a", "b", "c"])
    nodes.push(
      await startNode(server, {
        ...CALM,
        clusterId,
        nodeId,
        cooldownMs: 100,
        // However late the successor gets a CPU.
        successorGraceMs: CALM.leaseTtlMs,
      }),
    );
  const instances = await Promise.all(
    nodes.map(async (node) => {
      const { port: doorPort } = await openDoor({ nodes: [node.node] });
      return { name: node.id, port: await applicationOf(node), doorPort };
    }),
  );
  const haproxy = await Haproxy.start({ instances, checkEveryMs: 50 });
  atEnd(() => haproxy.stop());

  let newest = 0;
  const served: string[] = [];
  for (let failover = 0; failover <= FAILOVERS; failover++) {
    const [leader, ...followers] = await settled(nodes, newest);
    const epoch = leader.node.epoch;
    await waitFor(
      async () => {
        // HAProxy ends the requests that are under way at a leader that has just lost.
        const answer = await get(haproxy.url).catch(() => null);
        if (answer?.status !== 200) return false;
        const { text } = answer;
        const [, answered = 0] = text.split(" ").map(Number);
        // Once the leader of an epoch has answered, no earlier one does.
        expect(answered).toBeGreaterThanOrEqual(newest);
        newest = answered;
        return text === `${leader.id} ${epoch}`;
      },
      { message: () => `an answer of ${leader.id} through HAProxy` },
    );
    served.push(leader.id);
    const [next] = followers;
    if (failover < FAILOVERS && next !== undefined) await leader.node.stepDown({ to: next.id });
  }
  for (let turn = 1; turn <= FAILOVERS; turn++) expect(served[turn]).not.toBe(served[turn - 1]);
  expect(newest).toBeGreaterThan(FAILOVERS);
});
