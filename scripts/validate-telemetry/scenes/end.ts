/** At the end: what the metrics say of the whole run, against the history and the answers of /leader; and every dashboard. */
import { alertGroups } from "../../../examples/observability/source/alerts.ts";
import { dashboardQueries } from "../../../examples/observability/source/dashboards.ts";
import type { Checks } from "../checks.ts";
import { recordedTerms } from "../history.ts";
import { CLUSTER, type Stage, TIMES } from "../stage.ts";
import { equal, metricOf } from "./metrics.ts";
import { settled } from "./nodes.ts";

/** Alerts that no fault of this run causes, and why. `promtool test rules` has a case for each. */
const NOT_CAUSED: Readonly<Record<string, string>> = {
  NatsLeaderTwoLeaders: "must not happen",
  NatsLeaderEpochWentBack: "needs a bucket that lost history",
  NatsLeaderLeaderHidden: "needs a leader that is not scraped",
  NatsLeaderResourceUnowned: "needs a group without a member that takes a resource",
  NatsLeaderGroupUneven: "needs members that refuse resources",
  NatsLeaderGroupMovesOften: "needs members that come and go for long",
  NatsServerUnhealthy: "needs a server that cannot catch up",
  NatsMemoryHigh: "needs full memory",
  NatsStorageHigh: "needs a full disk",
  NatsSlowConsumers: "needs clients that do not read",
  NatsRaftLeaderChanges: "needs elections of stream leaders again and again",
  NatsMetaLeaderChanges: "the same for the meta group",
  NatsGatewayMissing: "needs a super-cluster",
  NatsReplicaLag: "needs a replica with a slow disk",
  NatsAuthenticationFailures: "needs servers with credentials",
  NatsApiErrors: "needs a client that sends wrong requests",
};
/** Of these: what a loss of servers may cause as well, for some seconds. */
const MAY_FIRE = [
  "NatsLeaderLeaderHidden",
  "NatsLeaderGroupUneven",
  "NatsLeaderGroupMovesOften",
  "NatsServerUnhealthy",
  "NatsRaftLeaderChanges",
  "NatsMetaLeaderChanges",
  "NatsReplicaLag",
  "NatsApiErrors",
];

export async function playEnd(stage: Stage, checks: Checks): Promise<void> {
  checks.scene("the whole run");
  await settled(stage, checks);
  const { prometheus, watch, observer } = stage;
  const terms = await recordedTerms(stage);
  const epochs = [...terms.keys()].sort((a, b) => a - b);
  await checks.until(
    "leader_changes_total of the observer is the number of terms in the history, without the first",
    async () => equal(await metricOf(stage, "leader_changes_total", observer.id), epochs.length - 1),
  );
  await checks.that(
    "epochs in the history have no gap",
    () => epochs.every((epoch, index) => epoch === (epochs[0] ?? 0) + index) || epochs,
  );
  await checks.that("every term that /leader has shown is in the history", () => {
    const wrong = [...watch.terms].filter(([epoch, node]) => terms.get(epoch) !== node);
    return (wrong.length === 0 && watch.terms.size > 20) || { wrong, seen: watch.terms.size };
  });
  await checks.that(
    "no node has answered /leader with 200 after another one with a larger epoch had",
    () => watch.twoLeaders.length === 0 || watch.twoLeaders,
  );
  await checks.that("at no scrape two nodes had is_leader 1", async () => {
    const found = await overlapsInScrapes(stage);
    return (found.overlaps.length === 0 && found.samples > 100) || found;
  });
  await checks.that(
    "NatsLeaderTwoLeaders, NatsLeaderEpochWentBack and NatsLeaderResourceUnowned never fired",
    async () => {
      const names = "NatsLeaderTwoLeaders|NatsLeaderEpochWentBack|NatsLeaderResourceUnowned";
      const series = await prometheus.queryRange(
        `ALERTS{alertname=~"${names}",alertstate="firing"}`,
        stage.startedAt,
        Date.now() / 1_000,
        1,
      );
      return series.length === 0 || series.map(({ metric }) => metric);
    },
  );
  await playDashboards(stage, checks);
  await playExporter(stage, checks);
  const caused = alertGroups(TIMES)
    .flatMap(({ alerts }) => alerts.map(({ name }) => name))
    .filter((name) => !(name in NOT_CAUSED));
  await checks.until(`${caused.length} alerts have fired for a fault, and none of the others`, async () => {
    const fired = await everFired(stage);
    const absent = caused.filter((name) => !fired.includes(name));
    const unexpected = fired.filter((name) => name in NOT_CAUSED && !MAY_FIRE.includes(name));
    return (absent.length === 0 && unexpected.length === 0) || { absent, unexpected };
  });
}

async function everFired(stage: Stage): Promise<readonly string[]> {
  const series = await stage.prometheus.queryRange(
    'count by (alertname) (ALERTS{alertstate="firing"})',
    stage.startedAt,
    Date.now() / 1_000,
    1,
  );
  return series.map(({ metric }) => metric["alertname"] ?? "");
}

/**
 * Samples of two nodes are not of the same moment: each is read between the start and the end of a scrape. Two nodes have led at once if one
 * is 1 in a scrape that began after a scrape of another one with a larger epoch had ended.
 */
async function overlapsInScrapes(
  stage: Stage,
): Promise<{ readonly samples: number; readonly overlaps: readonly object[] }> {
  const seconds = Math.ceil(Date.now() / 1_000 - stage.startedAt);
  const raw = async (expr: string): Promise<ReadonlyMap<string, ReadonlyMap<number, number>>> => {
    const series = await stage.prometheus.query(`${expr}[${seconds}s]`);
    return new Map(series.map(({ metric, values }) => [metric["instance"] ?? "", new Map(values)]));
  };
  const selector = `{cluster="${CLUSTER}"}`;
  const leaders = await raw(`nats_leader_is_leader${selector}`);
  const epochs = await raw(`nats_leader_epoch${selector}`);
  const durations = await raw("scrape_duration_seconds");
  const held = [...leaders].flatMap(([instance, values]) =>
    [...values].flatMap(([at, value]) =>
      value === 1
        ? [
            {
              instance,
              from: at,
              to: at + (durations.get(instance)?.get(at) ?? 0),
              epoch: epochs.get(instance)?.get(at) ?? 0,
            },
          ]
        : [],
    ),
  );
  const byEnd = [...held].sort((a, b) => a.to - b.to);
  const overlaps = held.filter((one) =>
    byEnd.some((other) => other.epoch > one.epoch && other.to < one.from),
  );
  return { samples: held.length, overlaps: overlaps.slice(0, 5) };
}

async function playDashboards(stage: Stage, checks: Checks): Promise<void> {
  const queries = dashboardQueries("5s");
  const empty: object[] = [];
  await checks.that(`each of ${queries.length} queries of the dashboards has data of this run`, async () => {
    for (const { dashboard, panel, expr } of queries) {
      const series = await stage.prometheus.queryRange(expr, stage.startedAt, Date.now() / 1_000, 1);
      const has = series.some(({ values }) => values.some(([, value]) => Number.isFinite(value)));
      if (!has) empty.push({ dashboard, panel, expr });
    }
    return empty.length === 0 || empty;
  });
}

async function playExporter(stage: Stage, checks: Checks): Promise<void> {
  await stage.stopExporter();
  await checks.until(
    "without the exporter NatsServersUnread fires, and no alert about servers begins",
    async () => {
      const alerts = await stage.prometheus.alerts();
      const names = alerts.filter(({ state }) => state === "firing").map(({ name }) => name);
      const others = names.filter((name) => name.startsWith("Nats") && !name.startsWith("NatsLeader"));
      return others.join() === "NatsServersUnread" || names;
    },
  );
}
