/** Faults of nodes: killed, frozen, cut off from NATS. */
import type { Checks } from "../checks.ts";
import { NODE_JOB, type Stage, type StagedNode } from "../stage.ts";
import { atLeast, equal, metricOf, sumOf } from "./metrics.ts";

interface Led {
  readonly leader: StagedNode;
  readonly others: readonly StagedNode[];
  readonly epoch: number;
}

/** Waits until exactly one node answers /leader. */
export async function settled(stage: Stage, checks: Checks): Promise<Led> {
  await checks.until("before: one node leads, and all see it", async () => {
    const { leading } = stage.watch;
    const sees = await sumOf(stage, "has_leader");
    return (leading.length === 1 && sees === stage.everyNode.length) || { leading, sees };
  });
  const { leader } = stage.watch;
  if (leader === null) throw new Error("no node leads");
  const others = stage.nodes.filter(({ id }) => id !== leader.node);
  return { leader: stage.node(leader.node), others, epoch: leader.epoch };
}

async function anotherLeads(stage: Stage, checks: Checks, { leader, epoch }: Led): Promise<void> {
  await checks.until("another node leads, with a larger epoch", () => {
    const now = stage.watch.leader;
    return (now !== null && now.epoch > epoch && now.node !== leader.id) || { now, before: epoch };
  });
}

export async function playKill(stage: Stage, checks: Checks): Promise<void> {
  checks.scene("the leader is killed (SIGKILL)");
  const led = await settled(stage, checks);
  const { leader, others, epoch } = led;
  const read = async (name: "vacancy_seconds" | "suspicions_total", more: Parameters<typeof metricOf>[3]) =>
    Promise.all(others.map(({ id }) => metricOf(stage, name, id, more)));
  const countBefore = await read("vacancy_seconds", { suffix: "_count" });
  const sumBefore = await read("vacancy_seconds", { suffix: "_sum" });
  const closedBefore = await read("suspicions_total", { labels: 'outcome="closed"' });
  await leader.kill();
  await anotherLeads(stage, checks, led);
  const gapSeconds = stage.watch.gapAfter(epoch) / 1_000;
  await checks.until("each survivor has recorded one time without a leader", async () => {
    const now = await read("vacancy_seconds", { suffix: "_count" });
    return now.every((count, index) => count === (countBefore[index] ?? 0) + 1) || { now, countBefore };
  });
  await checks.that("which is not longer than the gap that /leader has shown", async () => {
    const now = await read("vacancy_seconds", { suffix: "_sum" });
    const grown = now.map((sum, index) => sum - (sumBefore[index] ?? 0));
    return grown.every((seconds) => seconds > 0 && seconds <= gapSeconds) || { grown, gapSeconds };
  });
  await checks.until("a suspicion was confirmed: closed", async () => {
    const now = await read("suspicions_total", { labels: 'outcome="closed"' });
    const sum = (all: readonly number[]): number => all.reduce((total, one) => total + one, 0);
    return atLeast(sum(now) - sum(closedBefore), 1);
  });
  await checks.until("NatsLeaderNodeDown fires for it", () =>
    stage.fires("NatsLeaderNodeDown", { instance: leader.target }),
  );
  await leader.start();
  await checks.until("started again, it is ready, and the alert ends", async () => {
    const status = await leader.status("/readyz");
    return status === 200 ? stage.isQuiet("NatsLeaderNodeDown", { instance: leader.target }) : status;
  });
}

export async function playFreeze(stage: Stage, checks: Checks): Promise<void> {
  checks.scene("the leader is frozen (SIGSTOP)");
  const led = await settled(stage, checks);
  const { leader, others } = led;
  const labels = 'outcome="silent"';
  const silent = async (): Promise<number> => {
    const each = await Promise.all(
      others.map(({ id }) => metricOf(stage, "suspicions_total", id, { labels })),
    );
    return each.reduce((total, one) => total + one, 0);
  };
  const before = await silent();
  const ended = (): Promise<number> =>
    metricOf(stage, "terms_total", leader.id, { labels: 'reason=~"expired|superseded"' });
  const endedBefore = await ended();
  leader.freeze();
  await anotherLeads(stage, checks, led);
  await checks.that("the frozen one does not answer", async () => equal(await leader.status("/leader"), 0));
  await checks.until("a suspicion was confirmed: silent", async () => atLeast(await silent(), before + 1));
  await checks.until("Prometheus sees that its target is down", async () =>
    equal(await stage.prometheus.value(`up{job="${NODE_JOB}",instance="${leader.target}"}`), 0),
  );
  leader.thaw();
  await checks.until("thawed, it answers 503, and its term has ended once", async () => {
    const status = await leader.status("/leader");
    const terms = (await ended()) - endedBefore;
    return (status === 503 && terms === 1) || { status, terms };
  });
}

export async function playPartition(stage: Stage, checks: Checks): Promise<void> {
  checks.scene("the leader is cut off from NATS: nothing arrives, nothing is closed");
  const led = await settled(stage, checks);
  const { leader } = led;
  const suspensions = await metricOf(stage, "suspensions_total", leader.id);
  const seconds = await metricOf(stage, "suspended_seconds_total", leader.id);
  leader.cutOff(true);
  await checks.until("it answers /leader with 503", async () => equal(await leader.status("/leader"), 503));
  await checks.until("its term is suspended: the count and the seconds grow", async () => {
    const count = (await metricOf(stage, "suspensions_total", leader.id)) - suspensions;
    const grown = (await metricOf(stage, "suspended_seconds_total", leader.id)) - seconds;
    return (count === 1 && grown > 0) || { count, grown };
  });
  await anotherLeads(stage, checks, led);
  await checks.until("NatsLeaderStuckSuspended fires for it", () =>
    stage.fires("NatsLeaderStuckSuspended", { node: leader.id }),
  );
  await checks.until("NatsLeaderMarginLow fires for it", () =>
    stage.fires("NatsLeaderMarginLow", { node: leader.id }),
  );
  await checks.until("it sees no leader, and NatsLeaderNodeSeesNoLeader fires for it alone", async () => {
    const alerts = await stage.prometheus.alerts();
    const firing = alerts.filter(
      (one) => one.name === "NatsLeaderNodeSeesNoLeader" && one.state === "firing",
    );
    return (firing.length === 1 && firing[0]?.labels["node"] === leader.id) || alerts;
  });
  await checks.until("it is not ready, and the others are", async () => {
    const own = await leader.status("/readyz");
    const rest = await Promise.all(led.others.map((node) => node.status("/readyz")));
    return (own === 503 && rest.every((status) => status === 200)) || { own, rest };
  });
  await checks.that("it is alive all the time", async () => equal(await leader.status("/livez"), 200));
  leader.cutOff(false);
  await checks.until("connected again, it is ready, sees the leader, and its alerts end", async () => {
    const status = await leader.status("/readyz");
    if (status !== 200) return status;
    const quiet = await Promise.all(
      ["NatsLeaderNodeSeesNoLeader", "NatsLeaderStuckSuspended"].map((name) =>
        stage.isQuiet(name, { node: leader.id }),
      ),
    );
    return quiet.every((one) => one === true) || quiet;
  });
}
