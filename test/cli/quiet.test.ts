/** Queries have no side effects. */
import { expect, test } from "vitest";
import { accountOf, examined, found } from "../support/cli/examine.ts";
import { cli, Onlooker, start, startCluster } from "../support/cli/run-cli.ts";
import { freshId } from "../support/fresh-id.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

// With this interval the leader does not renew during the test.
const CALM = { election: { leaseTtlMs: 600_000, heartbeatIntervalMs: 200_000 }, history: { enabled: false } };

test("status, nodes, history, watch and doctor write nothing, change nothing and do not join the election", async () => {
  const clusterId = freshId();
  const [a] = await startCluster(server, clusterId, ["a", "b"], CALM);
  const node = a?.manager.node;
  const onlooker = await Onlooker.of(server, clusterId);
  const before = await onlooker.everything();
  const flags = ["--cluster-id", clusterId, "--node-id", "c", "--nats-url", server.url];
  const watching = start(["watch", ...flags, "--json", "--interval", "50ms"]);
  let statusLines = 0;
  await watching.next((line) => "event" in line && line["event"] === "status" && ++statusLines === 5);
  // Each command once: a process takes a second to start, and the output format does not affect the bucket.
  const commands = [["status"], ["nodes", "--json"], ["history"], ["join", "--json"]];
  const codes = await Promise.all(commands.map(async (command) => (await cli([...command, ...flags])).code));
  expect(codes).toEqual(commands.map(() => 0));
  const where = {
    ...accountOf(clusterId, { servers: server.url }, "node"),
    monitors: [new URL(server.monitorUrl)],
  };
  expect((await examined(where)).findings).toEqual([]);
  watching.kill("SIGTERM");
  expect(await watching.exit).toEqual({ code: 0, signal: null });
  await onlooker.settled();
  expect(onlooker.writes).toEqual([]);
  expect(await onlooker.everything()).toEqual(before);
  expect(node?.isLeader()).toBe(true);
  expect(node?.epoch).toBe(1);
});

test("queries create no bucket if none exists", async () => {
  const clusterId = freshId();
  const onlooker = await Onlooker.of(server, clusterId);
  const flags = ["--cluster-id", clusterId, "--nats-url", server.url];
  const ended = await Promise.all(["status", "nodes", "history"].map((command) => cli([command, ...flags])));
  expect(ended.map(({ code }) => code)).toEqual([3, 3, 0]);
  expect(found(await examined(accountOf(clusterId, { servers: server.url }, "node")))).toEqual([
    "warning bucket-missing",
  ]);
  await onlooker.settled();
  expect(onlooker.writes).toEqual([]);
  await expect(onlooker.everything()).rejects.toThrow();
});
