/** HAProxy with the configuration of examples/nats-cluster: NATS clients and HTTP requests go through it while servers and leaders change. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { connect as connectSocket } from "node:net";
import { join } from "node:path";
import { connect } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { EXAMPLES } from "../../scripts/deploy-nats-cluster/plan.ts";
import { findHaproxy } from "../../scripts/shared/haproxy.ts";
import { waitFor } from "../../scripts/shared/wait.ts";
import { freePort } from "../../src/testing/server/run/ports.ts";
import { atEnd } from "../support/at-end.ts";
import { freshId } from "../support/fresh-id.ts";
import { get, openDoor } from "../support/http/door.ts";
import { CALM, settled, startNode } from "../support/node/test-node.ts";
import { useNatsCluster } from "../support/use-server.ts";

const FILE = join(EXAMPLES, "nats-cluster/haproxy.cfg");
const haproxy = findHaproxy();
const why = haproxy === null ? " (skipped: haproxy is not installed: apt-get install haproxy)" : "";
const cluster = useNatsCluster();

test.skipIf(haproxy === null)(
  `through the balancer a client moves to a healthy server, and requests reach each leader${why}`,
  async () => {
    // The nodes use the URLs of all servers, as the configuration says.
    const election = { ...CALM, clusterId: freshId(), cooldownMs: 100, successorGraceMs: CALM.leaseTtlMs };
    const nodes = [
      await startNode({ servers: [...cluster.urls] }, { ...election, nodeId: "a" }),
      await startNode({ servers: [...cluster.urls] }, { ...election, nodeId: "b" }),
    ];
    const [a, b] = await Promise.all(nodes.map(({ node }) => openDoor({ nodes: [node] })));
    const [natsPort, applicationPort] = [await freePort("127.0.0.1"), await freePort("127.0.0.1")];
    await startBalancer({
      NATS_BIND: `127.0.0.1:${natsPort}`,
      APPLICATION_BIND: `127.0.0.1:${applicationPort}`,
      LEADER_A: `127.0.0.1:${a?.port}`,
      LEADER_B: `127.0.0.1:${b?.port}`,
      ...Object.fromEntries(
        cluster.servers.flatMap(({ url, monitorUrl }, index) => [
          [`N${index + 1}`, new URL(url).host],
          [`N${index + 1}_MONITOR`, new URL(monitorUrl).port],
        ]),
      ),
    });
    await untilAccepts(natsPort);

    const url = `nats://127.0.0.1:${natsPort}`;
    const client = await connect({
      servers: url,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 50,
      ignoreClusterUpdates: true,
    });
    atEnd(() => client.close());
    const first = client.info?.server_name;
    const lost = cluster.servers.find(({ name }) => name === first);
    expect(lost).toBeDefined();
    await lost?.stop();
    await waitFor(() => client.info?.server_name !== first, {
      message: "another server through the balancer",
    });
    await client.flush();
    await lost?.start();

    const application = `http://127.0.0.1:${applicationPort}/leader`;
    const answered = (id: string): Promise<true> =>
      waitFor(
        async () => {
          const { status, text } = await get(application);
          return status === 200 && text.includes(`"${id}"`);
        },
        { message: () => `an answer of ${id} through the balancer` },
      );
    const [leader, follower] = await settled(nodes, 0);
    await answered(leader.id);
    await leader.node.stepDown({ to: follower?.id ?? "" });
    await answered(follower?.id ?? "");
  },
);

test.skipIf(haproxy === null)(`the file with its defaults is valid${why}`, async () => {
  const child = spawn(haproxy ?? "", ["-c", "-f", FILE], { stdio: "ignore" });
  expect(await once(child, "exit")).toEqual([0, null]);
});

async function startBalancer(variables: Readonly<Record<string, string>>): Promise<void> {
  // -db: in the foreground.
  const child: ChildProcess = spawn(haproxy ?? "", ["-db", "-f", FILE], {
    env: { ...process.env, ...variables },
    stdio: "ignore",
  });
  const exit = once(child, "exit");
  atEnd(async () => {
    child.kill("SIGKILL");
    await exit;
  });
  await once(child, "spawn");
}

async function untilAccepts(port: number): Promise<void> {
  await waitFor(
    () =>
      new Promise<boolean>((resolve) => {
        const socket = connectSocket(port, "127.0.0.1");
        // The balancer accepts at once, and closes unless a server behind it greets.
        socket.once("data", () => resolve(true));
        socket.once("close", () => resolve(false));
        socket.once("error", () => resolve(false));
        socket.once("data", () => socket.destroy());
      }),
    { intervalMs: 100, message: "a greeting of a server through the balancer" },
  );
}
