/** One run of the benchmark: server, stranger, members, idle time, rounds. */
import { loadavg } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { dial } from "../../src/bench/dial.ts";
import { HostNetwork } from "../../src/bench/host-network.ts";
import { hostNowMs } from "../../src/bench/messages.ts";
import { percentile, round, type Summary, summarize } from "../../src/bench/stats.ts";
import { runSync } from "../../src/bench/undo-at-exit.ts";
import { DEFAULTS } from "../../src/config/options.ts";
import { messageOf } from "../../src/errors.ts";
import { groupRepublishSubject, groupStreamName } from "../../src/nats/names.ts";
import { readMonitor } from "../../src/testing/server/run/probe.ts";
import { type NatsServer, startNatsServer } from "../../src/testing.ts";
import { Crew, type CrewOptions } from "./crew.ts";
import { type GroupFloor, measureFloor } from "./floor.ts";
import { GROUP_ID, STRANGER_STREAM, STRANGER_SUBJECT } from "./messages.ts";
import { type Cut, type Mode, p99, type Round, runRound, START_OF } from "./rounds.ts";

const MONITOR_TIMEOUT_MS = 5_000;
const QUIET_TIMEOUT_MS = 30_000;
const QUIET_POLL_MS = 250;
const BYTES_PER_MB = 1_048_576;

export interface GroupBenchOptions extends Omit<CrewOptions, "servers" | "network"> {
  readonly mode: Mode;
  readonly members: number;
  readonly to: number;
  readonly rounds: number;
  readonly idleMs: number;
  readonly serverVersion: string | undefined;
  /** Real-time priority of the server and of the stranger; `undefined`: as the members. */
  readonly serverPriority: number | undefined;
  readonly onProgress: (line: string) => void;
}

interface BeforeAndAfter {
  readonly before: number;
  readonly after: number;
}

/** The output of `--json`; main.ts describes the fields. */
export interface GroupBenchReport
  extends Pick<
    GroupBenchOptions,
    "resources" | "members" | "mode" | "settleMs" | "idleMs" | "crashDetection"
  > {
  readonly rounds: number;
  readonly to?: number;
  readonly server: string;
  readonly idleCpuPercent: number;
  readonly renewalsPerSecond: number;
  readonly writesPerSecond: number;
  readonly heartbeatsPerSecond: number;
  readonly since: string;
  readonly firstOwnedMs: number;
  readonly lastOwnedMs: number;
  readonly claimsFloorMs?: number;
  readonly roundsMs: readonly { readonly first: number; readonly last: number }[];
  readonly gapMs: Summary;
  readonly moved: number;
  readonly minimumMoves: number;
  readonly overlapMs: number;
  readonly cuts?: readonly Cut[];
  readonly lostTerms: number;
  readonly strangerP99Ms: {
    readonly idle: number;
    readonly floor?: number;
    readonly during: number;
    readonly samples: number;
  };
  readonly consumers: BeforeAndAfter;
  readonly serverMemoryMb: BeforeAndAfter;
  readonly load: readonly [before: number, after: number];
}

/** True if no resource had two owners, and no more resources moved than had to. */
export function isSound({ overlapMs, moved, minimumMoves }: GroupBenchReport): boolean {
  return overlapMs === 0 && moved === minimumMoves;
}

export async function measureGroup(options: GroupBenchOptions): Promise<GroupBenchReport> {
  const { mode, members, to, rounds, serverVersion, serverPriority, signal, onProgress, ...rest } = options;
  const { resources, settleMs, idleMs, crashDetection } = rest;
  const [loadBefore = 0] = loadavg();
  using network = mode === "host" ? createNetwork() : null;
  await using server = await startNatsServer({
    signal,
    onProgress,
    ...(network === null ? {} : { host: network.address, backend: "process" }),
    ...(serverVersion === undefined ? {} : { version: serverVersion }),
  });
  const connection = await dial([server.url], signal, { name: "bench" });
  try {
    const jsm = await jetstreamManager(connection);
    await jsm.streams.add({ name: STRANGER_STREAM, subjects: [STRANGER_SUBJECT] });
    const config = { servers: [server.url], resources, settleMs, crashDetection };
    await using crew = new Crew({ ...config, network, signal });
    const priority = serverPriority === undefined ? [] : ["chrt", "-r", String(serverPriority)];
    if (serverPriority !== undefined) prioritize(server, serverPriority);
    await crew.addStranger(priority);
    const started = await crew.add(members);
    await crew.settled();
    const startedAt = Math.min(...started.map(({ startedAt: at }) => at ?? Number.POSITIVE_INFINITY));
    const firstBegins = crew.begins.map(({ at }) => at - startedAt);
    onProgress(`${members} members own ${resources} resources`);
    const idle = await measureIdle(crew, connection, { ...rest, members });
    const isTakeover = mode === "kill" || mode === "leave";
    const floor = isTakeover
      ? await measureFloor(connection, {
          servers: [server.url],
          claimers: members - 1,
          claims: Math.floor(resources / members),
          signal,
        })
      : null;
    const before = await stateOnceQuiet(server, crashDetection === "presence" ? members : 0);
    const done: Round[] = [];
    for (let number = 0; mode !== "idle" && number < rounds; number += 1) {
      const one = await runRound(crew, mode, number, to);
      done.push(one);
      const { firstOwnedMs, lastOwnedMs, moved, minimumMoves } = one;
      onProgress(
        `${mode} ${number + 1}/${rounds}: first ${round(firstOwnedMs)} ms, last ${round(lastOwnedMs)} ms, moved ${moved} of at least ${minimumMoves}`,
      );
    }
    const after = await stateOnceQuiet(server, before.consumers);
    const [loadAfter = 0] = loadavg();
    const { strangerMs, ...idleReport } = idle;
    const during = done.flatMap((one) => one.strangerMs);
    const isIdle = mode === "idle";
    const median = (of: (one: Round) => number): number => round(percentile(done.map(of), 50));
    return {
      resources,
      members,
      mode,
      rounds: done.length,
      ...(mode === "scale" ? { to } : {}),
      settleMs,
      idleMs,
      crashDetection,
      server: server.version,
      ...idleReport,
      since: START_OF[mode],
      firstOwnedMs: isIdle ? round(Math.min(...firstBegins)) : median((one) => one.firstOwnedMs),
      lastOwnedMs: isIdle ? round(Math.max(...firstBegins)) : median((one) => one.lastOwnedMs),
      ...(floor === null ? {} : { claimsFloorMs: round(floor.ms) }),
      roundsMs: done.map((one) => ({ first: round(one.firstOwnedMs), last: round(one.lastOwnedMs) })),
      gapMs: summarize(done.flatMap(({ gapsMs }) => gapsMs)),
      moved: sum(done.map((one) => one.moved)),
      minimumMoves: sum(done.map((one) => one.minimumMoves)),
      overlapMs: round(crew.overlapMs()),
      ...(mode === "host"
        ? { cuts: done.flatMap(({ cut }) => (cut === null ? [] : [roundedCut(cut)])) }
        : {}),
      lostTerms: crew.lostTerms,
      strangerP99Ms: {
        idle: round(p99(strangerMs)),
        ...(floor === null ? {} : { floor: round(p99(duringFloor(crew, floor))) }),
        during: round(p99(during)),
        samples: during.length,
      },
      consumers: { before: before.consumers, after: after.consumers },
      serverMemoryMb: { before: before.memoryMb, after: after.memoryMb },
      load: [loadBefore, loadAfter],
    };
  } finally {
    await connection.close();
  }
}

function duringFloor({ published }: Crew, { spans }: GroupFloor): number[] {
  return published
    .filter(({ at }) => spans.some(({ from, to }) => at >= from && at <= to))
    .map(({ ms }) => ms);
}

function createNetwork(): HostNetwork {
  try {
    return HostNetwork.create();
  } catch (error) {
    throw new Error(
      `--mode host pulls the cable of a network namespace, and ${messageOf(error)}. Run it as root on Linux with iproute2 installed`,
    );
  }
}

function roundedCut({ heldMs, overlapMs }: Cut): Cut {
  return { heldMs: round(heldMs), overlapMs: round(overlapMs) };
}

type Idle = Pick<
  GroupBenchReport,
  "idleCpuPercent" | "renewalsPerSecond" | "writesPerSecond" | "heartbeatsPerSecond"
> & { readonly strangerMs: readonly number[] };

async function measureIdle(
  crew: Crew,
  connection: NatsConnection,
  { idleMs, members }: { readonly idleMs: number; readonly members: number },
): Promise<Idle> {
  const jsm = await jetstreamManager(connection);
  const sequence = async (): Promise<number> =>
    (await jsm.streams.info(groupStreamName(GROUP_ID))).state.last_seq;
  let renewals = 0;
  const subscription = connection.subscribe(groupRepublishSubject(GROUP_ID, "session.>"), {
    callback: () => {
      renewals += 1;
    },
  });
  await connection.flush();
  const start = hostNowMs();
  const first = await sequence();
  const percents = await crew.cpuPercents(idleMs);
  const last = await sequence();
  const end = hostNowMs();
  subscription.unsubscribe();
  const perSecond = (count: number): number => round((count * 1_000) / (end - start));
  return {
    idleCpuPercent: round(Math.max(...percents)),
    renewalsPerSecond: perSecond(renewals),
    writesPerSecond: perSecond(last - first),
    heartbeatsPerSecond: round((members * 1_000) / DEFAULTS.heartbeatIntervalMs),
    strangerMs: crew.published.filter(({ at }) => at >= start && at <= end).map(({ ms }) => ms),
  };
}

/** All threads of the server get this real-time priority. */
function prioritize({ pid }: NatsServer, priority: number): void {
  if (pid === undefined)
    throw new Error("--server-priority needs a nats-server that is a process of this machine");
  try {
    runSync("chrt", "-a", "-r", "-p", String(priority), String(pid));
  } catch (error) {
    throw new Error(
      `--server-priority: ${messageOf(error)}. It needs Linux, root and the program chrt (Debian: util-linux)`,
    );
  }
}

/** The consumer of a catch-up is removed by the server when it has not been used for 2 s. */
async function stateOnceQuiet(server: NatsServer, consumers: number): ReturnType<typeof serverState> {
  const giveUpAt = hostNowMs() + QUIET_TIMEOUT_MS;
  for (;;) {
    const state = await serverState(server);
    if (state.consumers <= consumers || hostNowMs() > giveUpAt) return state;
    await pause(QUIET_POLL_MS);
  }
}

async function serverState({ monitorUrl }: NatsServer): Promise<{ consumers: number; memoryMb: number }> {
  const read = async (path: string, field: string): Promise<number> => {
    const answer = await readMonitor(`${monitorUrl}${path}`, MONITOR_TIMEOUT_MS);
    const value = (answer?.body as Readonly<Record<string, unknown>> | undefined)?.[field];
    if (typeof value !== "number") throw new Error(`the server's ${path} has no ${field}`);
    return value;
  };
  return {
    consumers: await read("/jsz", "consumers"),
    memoryMb: round((await read("/varz", "mem")) / BYTES_PER_MB),
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}
