/** Faults of NATS servers: one is killed, then the majority. */
import { server } from "../../../examples/observability/source/names.ts";
import { streamName } from "../../../src/nats/names.ts";
import type { NatsServer } from "../../../src/testing.ts";
import type { Checks } from "../checks.ts";
import { CLUSTER, type Stage } from "../stage.ts";
import { atLeast, equal } from "./metrics.ts";
import { settled } from "./nodes.ts";

const BUCKET = `{stream="${streamName(CLUSTER)}"}`;

export async function playServerKill(stage: Stage, checks: Checks): Promise<void> {
  checks.scene("the NATS server that leads the stream of the election is killed");
  await settled(stage, checks);
  const { prometheus } = stage;
  const victim = await streamLeader(stage);
  const changes = await prometheus.value(`${server("stream_leader_changes_total")}${BUCKET}`);
  await victim.kill();
  await checks.until("its metric up is 0, and those of the others are 1", async () => {
    const own = await prometheus.value(`${server("up")}{server="${victim.name}"}`);
    const all = await prometheus.value(`sum(${server("up")})`);
    return (own === 0 && all === 2) || { own, all };
  });
  for (const name of ["NatsServerDown", "NatsRouteMissing"]) {
    await checks.until(`${name} fires`, () =>
      stage.fires(name, name === "NatsServerDown" ? { server: victim.name } : {}),
    );
  }
  await checks.until("the finding of doctor is exported", async () =>
    equal(await prometheus.value(`${server("finding")}{code="server-down"}`), 1),
  );
  await checks.until("the stream has another leader, and the change is counted", async () => {
    const has = await prometheus.value(`${server("stream_has_leader")}${BUCKET}`);
    const now = await prometheus.value(`${server("stream_leader_changes_total")}${BUCKET}`);
    return (has === 1 && now > changes) || { has, now, changes };
  });
  await checks.until("a node leads", () => stage.watch.leading.length === 1 || stage.watch.leading);
  await victim.start();
  await checks.until("started again, NatsServerDown ends and NatsServerRestarted fires", async () => {
    const quiet = await stage.isQuiet("NatsServerDown");
    return quiet === true ? stage.fires("NatsServerRestarted", { server: victim.name }) : quiet;
  });
}

export async function playQuorumLoss(stage: Stage, checks: Checks): Promise<void> {
  checks.scene("two of three NATS servers are killed");
  const { epoch } = await settled(stage, checks);
  const victims = stage.servers.servers.slice(0, 2);
  await Promise.all(victims.map((one) => one.kill()));
  for (const name of ["NatsQuorumLost", "NatsStreamLeaderless", "NatsLeaderNoLeader"]) {
    await checks.until(`${name} fires`, () => stage.fires(name));
  }
  await checks.until("/leader is 503 on every node", async () => {
    const statuses = await Promise.all(stage.everyNode.map((node) => node.status("/leader")));
    return statuses.every((status) => status === 503) || statuses;
  });
  await checks.until("no node is ready, and all are alive", async () => {
    const ready = await Promise.all(stage.everyNode.map((node) => node.status("/readyz")));
    const alive = await Promise.all(stage.everyNode.map((node) => node.status("/livez")));
    return (ready.every((one) => one === 503) && alive.every((one) => one === 200)) || { ready, alive };
  });
  await Promise.all(victims.map((one) => one.start({ until: "listening" })));
  await checks.until("started again, a node leads with a larger epoch", () => {
    const { leader } = stage.watch;
    return leader === null ? "no leader" : atLeast(leader.epoch, epoch + 1);
  });
  await checks.until("and the three alerts end", async () => {
    const names = ["NatsQuorumLost", "NatsStreamLeaderless", "NatsLeaderNoLeader"];
    const quiet = await Promise.all(names.map((name) => stage.isQuiet(name)));
    return quiet.every((one) => one === true) || quiet;
  });
}

/** By the metrics. */
async function streamLeader(stage: Stage): Promise<NatsServer> {
  const series = await stage.prometheus.query(`${server("stream_is_leader")}${BUCKET} == 1`);
  const found = stage.servers.servers.find(({ name }) => name === series[0]?.metric["server"]);
  if (found === undefined) throw new Error("the metrics name no leader of the stream");
  return found;
}
