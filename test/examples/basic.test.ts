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

async function prints(child: Child<Line>, text: string): Promise<void> {
  await child.next((line) => line.text === text);
}
