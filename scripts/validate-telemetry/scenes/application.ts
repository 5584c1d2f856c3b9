/** A node in an application that does what alerts are about: a slow hook, work that does not end, a write of an earlier term. */
import { createServer } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { HOOK_LIMIT_SECONDS } from "../../../examples/observability/source/thresholds.ts";
import { FencedStream, type FencedWriter } from "../../../src/fencing.ts";
import { Node, type Term } from "../../../src/index.ts";
import { prometheusMetrics } from "../../../src/prometheus.ts";
import { deferred } from "../../shared/wait.ts";
import type { Checks } from "../checks.ts";
import { BACKLOG_STREAM, type Stage } from "../stage.ts";

const CLUSTER_ID = "application";
const BACKLOG = 1_100;

export async function playApplication(stage: Stage, checks: Checks): Promise<void> {
  checks.scene("an application with a slow hook, stubborn work and a late write");
  const servers = stage.servers.urls;
  const connection = await connect({ servers, ignoreClusterUpdates: true });
  let isSlow = true;
  const node = new Node(
    { clusterId: CLUSTER_ID, nodeId: "app", connection, drainTimeoutMs: 300, cooldownMs: 100, logger: false },
    { onBecomeLeader: async () => void (isSlow && (await pause(HOOK_LIMIT_SECONDS * 1_000 + 500))) },
  );
  const metrics = prometheusMetrics(node);
  const server = createServer((_request, response) => {
    void metrics
      .text()
      .then(({ body, contentType }) => response.setHeader("content-type", contentType).end(body));
  });
  await new Promise<void>((resolve) => server.listen(stage.applicationPort, "127.0.0.1", resolve));
  await using stream = await FencedStream.connect(connection, { stream: "ORDERS", subjects: ["orders"] });
  try {
    const working = deferred<Term>();
    const over = deferred();
    await node.start();
    const work = node.runWhileLeader(async (term) => {
      working.resolve(term);
      await over.promise; // does not respect term.signal
    });
    const first = await working.promise;
    isSlow = false;
    const early: FencedWriter = await stream.open(first);
    await checks.until("NatsLeaderHookSlow fires for onBecomeLeader", () =>
      stage.fires("NatsLeaderHookSlow", { cluster: CLUSTER_ID, hook: "onBecomeLeader" }),
    );
    // Its connection has the ping interval of nats.js, at which a dead server is found after minutes: too long for presence.
    await checks.until("NatsLeaderPresenceOff fires", () =>
      stage.fires("NatsLeaderPresenceOff", { cluster: CLUSTER_ID }),
    );
    await node.stepDown();
    over.resolve();
    await checks.until("NatsLeaderDrainTimeouts fires", () =>
      stage.fires("NatsLeaderDrainTimeouts", { cluster: CLUSTER_ID }),
    );
    const second = await node.campaign();
    await stream.open(second);
    await checks.that("the fence refuses a write of the earlier term", async () =>
      early.publish("orders", "late").then(
        () => "it was accepted",
        () => true,
      ),
    );
    await checks.until("NatsLeaderFencedWritesRefused fires", () =>
      stage.fires("NatsLeaderFencedWritesRefused", { cluster: CLUSTER_ID, result: "refused" }),
    );
    const manager = await jetstreamManager(connection);
    await manager.streams.add({ name: BACKLOG_STREAM, subjects: ["backlog"], num_replicas: 1 });
    await manager.consumers.add(BACKLOG_STREAM, { durable_name: "slow" });
    for (let count = 0; count < BACKLOG; count++) connection.publish("backlog");
    await checks.until("NatsConsumerLag fires for a consumer with a backlog", () =>
      stage.fires("NatsConsumerLag"),
    );
    await checks.until("its backlog is exported by the name of the consumer", async () => {
      const at = `{stream="${BACKLOG_STREAM}",consumer="slow"}`;
      const pending = await stage.prometheus.value(`nats_leader_server_consumer_pending${at}`);
      return pending === BACKLOG || pending;
    });
    await node.stop();
    await work.catch(() => {});
  } finally {
    await node.stop();
    server.closeAllConnections();
    server.close();
    await connection.close();
  }
}
