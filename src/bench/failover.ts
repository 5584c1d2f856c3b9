/**
 * The failover benchmark: real processes, a real nats-server, one clock. A sample is the time from just before the signal
 * or the request to the first instruction of the next leader's `onBecomeLeader`.
 */
import { loadavg } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import type { NatsConnection } from "@nats-io/transport-node";
import { silenceMsOf } from "../config/silence.ts";
import { messageOf } from "../errors.ts";
import { stepdownSubject } from "../nats/names.ts";
import { untilAborted } from "../runtime/waiting.ts";
import { startNatsCluster } from "../testing/server/run/cluster.ts";
import { startNatsServer } from "../testing/server/run/start.ts";
import type { NatsCluster, NatsServer } from "../testing/server/types.ts";
import { dial } from "./dial.ts";
import { type Begun, Fleet, type Member } from "./fleet.ts";
import { type Floor, measureFloor } from "./floor.ts";
import { runHost } from "./host.ts";
import { HostNetwork, type NetworkHost } from "./host-network.ts";
import { hostNowMs } from "./messages.ts";
import type { FailoverOptions, FailoverReport, Samples } from "./options.ts";
import { everyRound, killRounds, newestEpoch } from "./rounds.ts";
import { measureScript } from "./script-floor.ts";
import { runServerKill } from "./server-kill.ts";
import { CLUSTER_ID, type Found, type Stage } from "./stage.ts";
import { round, summarize } from "./stats.ts";

/** Mode `stepdown`: cooldown after which a node that stepped down competes again. */
const SHORT_COOLDOWN_MS = 100;
const FLOOR_ROUNDS = 20;
const THAW_TIMEOUT_MS = 5_000;
/** Mode `freeze`: delay between the next leader's election and the thaw of the frozen leader. */
const FROZEN_ON_MS = 100;

/** Runs the benchmark. Every server and process is stopped before the promise settles. */
export async function runFailover(options: FailoverOptions): Promise<FailoverReport> {
  const { mode, rounds, nodes, signal, onProgress } = options;
  const [loadBefore = 0] = loadavg();
  using network = mode === "host" ? createNetwork() : null;
  await using servers = await startServers(options, network);
  const urls = servers.all.map((server) => server.url);
  const version = servers.all[0]?.version ?? "";
  onProgress(`nats-server ${version}, ${urls.length === 1 ? "one server" : `${urls.length} servers, R3`}`);
  const conditions = { servers: urls, replicas: urls.length, signal };
  const floorRounds = Math.min(FLOOR_ROUNDS, rounds);
  const floor: Floor = {
    ...(await measureFloor({ ...conditions, kills: mode === "kill" || mode === "term" ? floorRounds : 0 })),
    scriptKill:
      mode === "kill" ? await measureScript({ ...conditions, nodes, onProgress, rounds: floorRounds }) : null,
  };
  const cooldownMs = mode === "stepdown" ? SHORT_COOLDOWN_MS : options.ttlMs;
  const fleet = new Fleet({
    clusterId: CLUSTER_ID,
    servers: urls,
    leaseTtlMs: options.ttlMs,
    crashDetection: options.crashDetection,
    silenceMs: options.silenceMs,
    cooldownMs,
    watch: mode === "host",
    signal,
  });
  const hosts = new Map<string, NetworkHost>();
  try {
    for (let count = 0; count < nodes; count++) {
      const host = network?.add();
      const { id } = fleet.add(urls, host);
      if (host !== undefined) hosts.set(id, host);
    }
    await fleet.settled();
    const stage: Stage = {
      options,
      fleet,
      servers: servers.all,
      cluster: servers.cluster,
      hosts,
      patienceMs: 3 * options.ttlMs + 10_000,
    };
    const found = await runMode(stage);
    const [loadAfter = 0] = loadavg();
    return reportOf(options, { version, floor, fleet, found, load: [loadBefore, loadAfter] });
  } finally {
    await fleet.dispose();
  }
}

interface Servers extends AsyncDisposable {
  readonly all: readonly NatsServer[];
  readonly cluster: NatsCluster | null;
}

/** The shortest lame-duck durations that a nats-server accepts. */
const QUICK_LAME_DUCK = 'lame_duck_duration: "30s"\nlame_duck_grace_period: "5s"';

function createNetwork(): HostNetwork {
  try {
    return HostNetwork.create();
  } catch (error) {
    throw new Error(
      `--mode host pulls the cable of a network namespace, and ${messageOf(error)}. Run it as root on Linux with iproute2 installed; --mode freeze needs neither`,
    );
  }
}

/** With a `network`, the servers have its address, which the hosts in it can reach. */
async function startServers(options: FailoverOptions, network: HostNetwork | null): Promise<Servers> {
  const { serverVersion, signal, onProgress, how } = options;
  const common = {
    signal,
    onProgress,
    ...(serverVersion === undefined ? {} : { version: serverVersion }),
    ...(network === null ? {} : { host: network.address, backend: "process" as const }),
    ...(how === "lame-duck" ? { config: QUICK_LAME_DUCK } : {}),
  };
  if (options.servers === 1) {
    const server = await startNatsServer(common);
    return { all: [server], cluster: null, [Symbol.asyncDispose]: () => server.dispose() };
  }
  const cluster = await startNatsCluster({ ...common, size: options.servers });
  return { all: cluster.servers, cluster, [Symbol.asyncDispose]: () => cluster.dispose() };
}

function runMode(stage: Stage): Promise<Found> {
  switch (stage.options.mode) {
    case "kill":
      return runKill(stage);
    case "term":
      return runTerm(stage);
    case "stepdown":
      return runStepdown(stage);
    case "freeze":
      return runFreeze(stage);
    case "host":
      return runHost(stage);
    case "server-kill":
      return runServerKill(stage);
    default:
      return stage.options.mode satisfies never;
  }
}

interface Parts {
  readonly version: string;
  readonly floor: Floor;
  readonly fleet: Fleet;
  readonly found: Found;
  readonly load: readonly [number, number];
}

function reportOf(options: FailoverOptions, parts: Parts): FailoverReport {
  const { mode, rounds, ttlMs, nodes, crashDetection, how } = options;
  const { found, fleet, floor, load, version } = parts;
  const epochs = fleet.terms.map((term) => term.epoch);
  return {
    mode,
    rounds,
    ttlMs,
    server: version,
    ...found,
    ...samplesOf(found.samplesMs),
    leaderChanges: epochs.length - 1,
    overlapMs: round(fleet.overlapMs()),
    epochs,
    epochsIncrease: epochs.every((epoch, index) => index === 0 || epoch > (epochs[index - 1] ?? 0)),
    floor,
    servers: options.servers,
    nodes,
    crashDetection,
    silenceMs: silenceMsOf({
      clusterId: CLUSTER_ID,
      leaseTtlMs: ttlMs,
      crashDetection,
      silenceMs: options.silenceMs,
    }),
    load,
    ...(mode === "stepdown" ? { cooldownMs: SHORT_COOLDOWN_MS } : {}),
    ...(mode === "server-kill" ? { how } : {}),
  };
}

function samplesOf(samplesMs: readonly number[]): Samples {
  return { samplesMs: samplesMs.map(round), ...summarize(samplesMs) };
}

async function runKill(stage: Stage): Promise<Found> {
  const samplesMs = await killRounds(stage, "kill");
  return { samplesMs, sample: "SIGKILL of the leader to the entry of the next leader's onBecomeLeader" };
}

/** Makes the leader give up; resolves with the next term and the time at which `onLoseLeadership` resolved. */
async function handOver(stage: Stage, leader: Member, give: () => void): Promise<[Begun, number]> {
  const { fleet, patienceMs } = stage;
  const epoch = newestEpoch(fleet);
  const hook = fleet.report(leader, "lose-hook", patienceMs);
  const next = fleet.nextTerm(epoch, patienceMs);
  give();
  const [{ at }, begun] = await Promise.all([hook, next]);
  return [begun, at];
}

async function runTerm(stage: Stage): Promise<Found> {
  const { fleet } = stage;
  const afterHook: number[] = [];
  const samplesMs = await everyRound(stage, stage.options.mode, async () => {
    const leader = fleet.leader();
    leader.leaving = true;
    let start = 0;
    const [next, hookAt] = await handOver(stage, leader, () => {
      start = hostNowMs();
      leader.child.signal("SIGTERM");
    });
    await leader.child.exited;
    fleet.add();
    afterHook.push(next.at - hookAt);
    return next.at - start;
  });
  const sample = "SIGTERM of the leader to the entry of the next leader's onBecomeLeader";
  return { samplesMs, sample, afterLoseHook: samplesOf(afterHook) };
}

async function runStepdown(stage: Stage): Promise<Found> {
  const { fleet, servers, options } = stage;
  const afterHook: number[] = [];
  const urls = servers.map(({ url }) => url);
  const connection = await dial(urls, options.signal);
  try {
    const samplesMs = await everyRound(stage, stage.options.mode, async () => {
      // After the cooldown, the node that stepped down in the previous round competes again.
      await pause(SHORT_COOLDOWN_MS, undefined, { signal: options.signal });
      const leader = fleet.leader();
      let start = 0;
      let answer: Promise<void> = Promise.resolve();
      const [next, hookAt] = await handOver(stage, leader, () => {
        start = hostNowMs();
        answer = askToStepDown(connection, leader);
      });
      await untilAborted(answer, options.signal);
      afterHook.push(next.at - hookAt);
      return next.at - start;
    });
    const sample = "step-down request to the entry of the next leader's onBecomeLeader";
    return { samplesMs, sample, afterLoseHook: samplesOf(afterHook) };
  } finally {
    await connection.close();
  }
}

async function askToStepDown(connection: NatsConnection, leader: Member): Promise<void> {
  const subject = stepdownSubject(CLUSTER_ID, leader.id);
  const answer = await connection.request(subject, undefined, { timeout: 5_000 });
  const { ok, error } = answer.json<{ ok: boolean; error?: string }>();
  if (!ok) throw new Error(`${leader.id} did not step down: ${error}`);
}

async function runFreeze(stage: Stage): Promise<Found> {
  const { fleet, patienceMs, options } = stage;
  const thaws: { frozenMs: number; leaderAfter: boolean }[] = [];
  const samplesMs = await everyRound(stage, stage.options.mode, async () => {
    const leader = fleet.leader();
    const epoch = newestEpoch(fleet);
    const spinning = fleet.report(leader, "spinning", THAW_TIMEOUT_MS);
    leader.child.send({ do: "spin" });
    await spinning;
    const start = hostNowMs();
    leader.child.signal("SIGSTOP");
    let next: Begun;
    try {
      next = await fleet.nextTerm(epoch, patienceMs);
      await pause(FROZEN_ON_MS, undefined, { signal: options.signal });
    } finally {
      leader.child.signal("SIGCONT");
    }
    const { frozenMs, leaderAfter } = await fleet.report(leader, "thawed", THAW_TIMEOUT_MS);
    thaws.push({ frozenMs: round(frozenMs), leaderAfter });
    return next.at - start;
  });
  const sample = "SIGSTOP of the leader to the entry of the next leader's onBecomeLeader";
  return { samplesMs, sample, thaws };
}
