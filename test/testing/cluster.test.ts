import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { openServers, startNatsCluster } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { START_MS } from "../support/patience.ts";
import { testVersion } from "../support/testing/fake-servers.ts";

test("three servers form a cluster that accepts replicated streams at once and survives the stop of one", async () => {
  const cluster = await startNatsCluster({
    ...testVersion,
    startTimeoutMs: START_MS,
    config: (index) => `server_tags: [member-${index}]`,
  });
  atEnd(async () => cluster.dispose());
  expect(cluster.servers.map((server) => server.name)).toEqual([1, 2, 3].map((n) => `${cluster.name}-${n}`));
  expect(new Set(openServers())).toEqual(new Set(cluster.servers));

  const nc = await connect({ servers: cluster.urls, maxReconnectAttempts: -1, reconnectTimeWait: 50 });
  atEnd(async () => nc.close());
  const manager = await jetstreamManager(nc);
  await manager.streams.add({ name: "KEPT", subjects: ["kept"], num_replicas: 3 });
  const publish = async (text: string): Promise<unknown> =>
    jetstream(nc)
      .publish("kept", text, { timeout: 1000 })
      .catch(() => undefined); // no responders: the stream has no leader, or its subscription has not reached this server
  await waitFor(async () => publish("before"), { message: "a write to the new stream" });

  const leader = await waitFor(async () => cluster.metaLeader(), { message: "a meta leader" });
  await leader.stop();
  expect(openServers()).not.toContain(leader);
  const others = cluster.servers.filter((server) => server !== leader);
  const next = await waitFor(async () => cluster.metaLeader(), {
    timeoutMs: 15_000,
    message: "the next meta leader",
  });
  expect(others).toContain(next);
  await waitFor(async () => publish("while it was away"), {
    timeoutMs: 20_000,
    message: "a write without it",
  });

  await leader.start();
  await cluster.ready();
  const { state, cluster: raft } = await manager.streams.info("KEPT");
  expect(state.messages).toBeGreaterThanOrEqual(2);
  expect(raft?.replicas).toHaveLength(2);

  await cluster.stop();
  expect(openServers()).toEqual([]);
});

test("a cluster size out of range is refused", async () => {
  await expect(startNatsCluster({ size: 0 })).rejects.toThrow(
    "size is 0, must be a whole number from 1 to 9",
  );
});

test("if one member cannot start, the others are stopped", async () => {
  const config = (index: number): string => (index === 1 ? "no_such_thing {" : "");
  await expect(startNatsCluster({ ...testVersion, config })).rejects.toMatchObject({ code: "start_failed" });
  expect(openServers()).toEqual([]);
});
