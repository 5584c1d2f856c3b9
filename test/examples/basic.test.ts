import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { expect, test } from "vitest";
import { startNatsServer } from "../../src/testing.ts";
import { type Child, spawnChild } from "../support/processes/spawn-child.ts";

type Line = { readonly text?: string };

test("the basic example calls its hooks, hands over on SIGTERM and exits 0", async () => {
  await using server = await startNatsServer();
  const start = (id: string): Child<Line> =>
    spawnChild<Line>("examples/basic/main.ts", { env: { NATS_URL: server.url, NODE_ID: id } });
  await using a = start("a");
  await prints(a, "became leader, epoch 1");
  await using b = start("b");
  await prints(b, "leader: a");
  await server.restart();
  await prints(b, "disconnected from NATS");
  await prints(b, "reconnected to NATS");
  a.kill("SIGTERM");
  await prints(a, "lost leadership, epoch 1: stopped");
  await prints(b, "became leader, epoch 2");
  expect(await a.exit).toEqual({ code: 0, signal: null });
  b.kill("SIGINT");
  await prints(b, "lost leadership, epoch 2: stopped");
  expect(await b.exit).toEqual({ code: 0, signal: null });
  expect([a.stderr, b.stderr]).toEqual(["", ""]);
});

test("a SIGTERM while the server does not answer ends the example with 0; without a server it ends with 1 and the reason", async () => {
  const silent = createServer();
  silent.listen(0, "127.0.0.1");
  const connected = once(silent, "connection");
  await once(silent, "listening");
  const { port } = silent.address() as AddressInfo;
  const start = (url: string): Child<Line> =>
    spawnChild("examples/basic/main.ts", { env: { NATS_URL: url } });
  await using waiting = start(`nats://127.0.0.1:${port}`);
  await using alone = start("nats://127.0.0.1:1");
  const [socket] = (await connected) as [Socket];
  waiting.kill("SIGTERM");
  expect(await waiting.exit).toEqual({ code: 0, signal: null });
  expect(waiting.stderr).toBe("");
  expect(await alone.exit).toEqual({ code: 1, signal: null });
  expect(alone.stderr).toContain("ClusterError: no connection to NATS at 127.0.0.1:1");
  socket.destroy();
  silent.close();
});

test("a second SIGINT ends the example at once", async () => {
  await using server = await startNatsServer();
  await using node = spawnChild<Line>("examples/basic/main.ts", { env: { NATS_URL: server.url } });
  await prints(node, "became leader, epoch 1");
  // The release waits for the server's answer.
  await server.pause();
  node.kill("SIGINT");
  await prints(node, "lost leadership, epoch 1: stopped");
  node.kill("SIGINT");
  expect(await node.exit).toEqual({ code: null, signal: "SIGINT" });
  await server.resume();
});

async function prints(child: Child<Line>, text: string): Promise<void> {
  await child.next((line) => line.text === text);
}
