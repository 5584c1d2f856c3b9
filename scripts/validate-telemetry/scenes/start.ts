/** At the beginning: everything runs, and metrics, health and /leader say so. */
import { server } from "../../../examples/observability/source/names.ts";
import { streamName } from "../../../src/nats/names.ts";
import type { Checks } from "../checks.ts";
import { CLUSTER, NODE_JOB, type Stage } from "../stage.ts";
import { equal, sumOf } from "./metrics.ts";

export async function playStart(stage: Stage, checks: Checks): Promise<void> {
  const { prometheus, watch, everyNode, nodes } = stage;
  checks.scene("start: three nodes, an observer, three servers");
  await checks.until("Prometheus scrapes every node and the exporter", async () =>
    equal(
      await prometheus.value(`sum(up{job="${NODE_JOB}"}) + sum(up{job="nats-servers"})`),
      everyNode.length + 1,
    ),
  );
  await checks.until("is_leader is 1 on exactly one node", async () =>
    equal(await sumOf(stage, "is_leader"), 1),
  );
  await checks.until("has_leader is 1 on every node", async () =>
    equal(await sumOf(stage, "has_leader"), everyNode.length),
  );
  await checks.until(
    "the node with is_leader is the one that answers /leader with 200, with the same epoch",
    async () => {
      const series = await prometheus.query(`nats_leader_is_leader{cluster="${CLUSTER}"} == 1`);
      const epoch = await prometheus.value(`max(nats_leader_epoch{cluster="${CLUSTER}"})`);
      const found = { node: series[0]?.metric["node"], epoch };
      return JSON.stringify(found) === JSON.stringify(watch.leader) || { found, leader: watch.leader };
    },
  );
  await checks.that("/leader is 200 on one node and 503 on the others", async () => {
    const statuses = await Promise.all(everyNode.map((node) => node.status("/leader")));
    return [...statuses].sort().join(" ") === "200 503 503 503" || statuses;
  });
  for (const path of ["/livez", "/readyz"]) {
    await checks.until(`${path} is 200 on leader, followers and observer`, async () => {
      const statuses = await Promise.all(everyNode.map((node) => node.status(path)));
      return statuses.every((status) => status === 200) || statuses;
    });
  }
  await checks.until("every node that competes has presence", async () =>
    equal(
      await prometheus.value(`sum(nats_leader_presence{cluster="${CLUSTER}",node=~"a|b|c"})`),
      nodes.length,
    ),
  );
  await checks.until("three servers are up and have all routes", async () => {
    const up = await prometheus.value(`sum(${server("up")})`);
    const routes = await prometheus.value(`sum(${server("routes")})`);
    const expected = await prometheus.value(`sum(${server("routes_expected")})`);
    return (up === 3 && routes === 6 && expected === 6) || { up, routes, expected };
  });
  await checks.until("the stream of the election has a leader and three replicas", async () => {
    const at = `{stream="${streamName(CLUSTER)}"}`;
    const has = await prometheus.value(`${server("stream_has_leader")}${at}`);
    const replicas = await prometheus.value(`${server("stream_replicas")}${at}`);
    return (has === 1 && replicas === 3) || { has, replicas };
  });
  await checks.until("no alert fires about what is complete", async () => {
    const firing = (await prometheus.alerts()).filter(({ state }) => state === "firing");
    // The application is not there yet.
    const others = firing.filter(({ name }) => name !== "NatsLeaderNodeDown");
    return others.length === 0 || others;
  });
}
