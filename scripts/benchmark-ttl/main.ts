/**
 * Measures which `leaseTtlMs` keeps its leader when NATS servers restart or crash. Elections with several TTLs run side by
 * side, on one server and on a cluster of three, so that the same fault hits all of them.
 *
 *   npm run --silent bench:ttl -- [--ttl 2000,5000,10000,15000,30000] [--rounds 5] [--only "rolling restart"]
 *     [--crash-detection presence] [--silence-ms 2000] [--json]
 *
 * `--json` prints `{server, rounds, crashDetection, rows, load}`. Each row is one fault and TTL, times in milliseconds: `{fault,
 * replicas, ttlMs, silenceMs, rounds, leaderChanges, withoutLeaderMs, writeStallMs, overlapMs}`. `withoutLeaderMs` is the longest time of a round
 * without a leader, `writeStallMs` the longest time between two acks of writes to the lease's stream (each as percentiles
 * over the rounds). Exits with 1 if two nodes led at once (`overlapMs` > 0).
 */
import { loadavg } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { moveStreamLeader, waitForReplicas } from "../../src/bench/lease-stream.ts";
import { hostNowMs } from "../../src/bench/messages.ts";
import { round, type Summary, summarize } from "../../src/bench/stats.ts";
import { resolveOptions } from "../../src/config/resolve.ts";
import type { CrashDetection } from "../../src/election/types.ts";
import { messageOf } from "../../src/errors.ts";
import { endWhenOutputFails } from "../../src/system/output-failures.ts";
import { type NatsServer, startNatsCluster, startNatsServer } from "../../src/testing.ts";
import { readArguments } from "../shared/arguments.ts";
import { crashDetectionNamed, SILENCE_OPTIONS } from "../shared/silence-options.ts";
import { Contest, type ContestOptions } from "./contest.ts";

endWhenOutputFails();

const DOWN_MS = 5_000;

const values = readArguments(
  ["npm run bench:ttl --", "Measures which lease TTL keeps its leader when NATS servers restart or crash."],
  {
    ttl: {
      type: "string",
      default: "2000,5000,10000,15000,30000",
      value: "list",
      help: "lease TTLs in ms, compared side by side",
    },
    rounds: { type: "string", default: "5", value: "n", help: "rounds of each fault" },
    only: { type: "string", value: "text", help: "only faults whose name contains this text" },
    ...SILENCE_OPTIONS,
    json: { type: "boolean", default: false, help: "print the report as one line of JSON on stdout" },
  },
);
const ttls = values.ttl.split(",").map((text) => number("ttl", text, 1_000));
const rounds = number("rounds", values.rounds, 1);
const crashDetection = readCrashDetection();
const silenceMs =
  values["silence-ms"] === undefined ? undefined : number("silence-ms", values["silence-ms"], 0);
const options: readonly ContestOptions[] = ttls.map(optionsFor);

/** Effect of a fault on the election with one TTL. Milliseconds. */
interface Row {
  readonly fault: string;
  readonly replicas: number;
  readonly ttlMs: number;
  /** F of the nodes. 0: none. */
  readonly silenceMs: number;
  readonly rounds: number;
  readonly leaderChanges: number;
  /** Longest time without a leader; a leader that is suspended while it reconnects counts as none. */
  readonly withoutLeaderMs: Summary;
  /** Longest time between two acks of writes to the lease's stream. */
  readonly writeStallMs: Summary;
  readonly overlapMs: number;
}

interface Stage {
  readonly servers: readonly NatsServer[];
  readonly nats: NatsConnection;
  readonly contests: readonly Contest[];
  /** Resolves when all servers are back and every replica is current. */
  readonly whole: () => Promise<void>;
}

/** Resolves when the servers are back. */
type Fault = (stage: Stage) => Promise<void>;

async function inTurn({ servers, whole }: Stage, one: (server: NatsServer) => Promise<void>): Promise<void> {
  for (const server of servers) {
    await one(server);
    await whole();
  }
}

/** Kills the server that leads the streams of all elections; restarts it when each stream has another leader. */
async function killStreamLeader({ servers, nats, contests, whole }: Stage): Promise<void> {
  const [victim] = servers;
  if (victim === undefined) throw new Error("no server");
  for (const { clusterId } of contests) await moveStreamLeader(nats, clusterId, [victim.name]);
  await victim.kill();
  await Promise.all(contests.map((contest) => contest.written()));
  await victim.start();
  await whole();
}

const FAULTS: Readonly<Record<1 | 3, Readonly<Record<string, Fault>>>> = {
  1: {
    restart: (stage) => inTurn(stage, (server) => server.restart()),
    "kill -9, started at once": (stage) =>
      inTurn(stage, async (server) => {
        await server.kill();
        await server.start();
      }),
    [`down for ${DOWN_MS / 1000} s`]: (stage) =>
      inTurn(stage, async (server) => {
        await server.stop();
        await pause(DOWN_MS);
        await server.start();
      }),
  },
  3: {
    "rolling restart": (stage) => inTurn(stage, (server) => server.restart()),
    "rolling kill -9": (stage) =>
      inTurn(stage, async (server) => {
        await server.kill();
        await server.start();
      }),
    "stream leader killed": killStreamLeader,
  },
};

const names = Object.values(FAULTS).flatMap((faults) => Object.keys(faults));
const { only } = values;
if (only !== undefined && !names.some((name) => name.includes(only))) {
  console.error(`--only ${only} is in the name of no fault: ${names.join("; ")}`);
  process.exit(2);
}

const [loadBefore = 0] = loadavg();
const rows: Row[] = [];
let version = "";
for (const replicas of [1, 3] as const) rows.push(...(await measure(replicas)));
const [loadAfter = 0] = loadavg();
const report = { server: version, rounds, crashDetection, rows, load: [loadBefore, loadAfter] };
console.log(values.json ? JSON.stringify(report) : table(rows));
if (rows.some(({ overlapMs }) => overlapMs > 0)) process.exitCode = 1;

async function measure(replicas: 1 | 3): Promise<Row[]> {
  const faults = Object.entries(FAULTS[replicas]).filter(
    ([name]) => values.only === undefined || name.includes(values.only),
  );
  if (faults.length === 0) return [];
  await using nats = replicas === 1 ? await startNatsServer() : await startNatsCluster();
  const servers = "servers" in nats ? nats.servers : [nats];
  version = servers[0]?.version ?? "";
  const urls = servers.map(({ url }) => url);
  const connection = await connect({ servers: urls, maxReconnectAttempts: -1, reconnectTimeWait: 100 });
  const contests: Contest[] = [];
  try {
    for (const one of options) {
      contests.push(await Contest.start(`ttl_${one.leaseTtlMs}`, one, urls, connection));
    }
    const whole = async (): Promise<void> => {
      if (!("servers" in nats)) return;
      await nats.ready({ timeoutMs: 60_000 });
      for (const { clusterId } of contests) await waitForReplicas(connection, clusterId);
    };
    const stage: Stage = { servers, nats: connection, contests, whole };
    const found: Row[] = [];
    for (const [name, fault] of faults) found.push(...(await repeat(stage, replicas, name, fault)));
    return found;
  } finally {
    await Promise.all(contests.map((contest) => contest.stop()));
    await connection.close();
  }
}

async function repeat(stage: Stage, replicas: number, name: string, fault: Fault): Promise<Row[]> {
  const { contests, whole } = stage;
  const kept = contests.map(() => ({ changes: 0, without: [] as number[], stall: [] as number[] }));
  for (let time = 1; time <= rounds; time++) {
    await whole();
    await Promise.all(contests.map((contest) => contest.calm()));
    const from = hostNowMs();
    for (const contest of contests) contest.beginRound();
    await fault(stage);
    // A renewal sent after the servers were back ends the fault for that election.
    await Promise.all(contests.map((contest) => contest.calm()));
    for (const [index, contest] of contests.entries()) {
      const { changes, withoutLeaderMs, writeStallMs } = contest.endRound(from);
      kept[index]?.without.push(withoutLeaderMs);
      kept[index]?.stall.push(writeStallMs);
      if (kept[index] !== undefined) kept[index].changes += changes;
    }
    const changes = contests.map(({ ttlMs }, index) => `${ttlMs}: ${kept[index]?.changes}`).join(", ");
    console.error(`R${replicas}, ${name} ${time}/${rounds}: leader changes by TTL ${changes}`);
  }
  return contests.map((contest, index) => ({
    fault: name,
    replicas,
    ttlMs: contest.ttlMs,
    silenceMs: contest.silenceMs,
    rounds,
    leaderChanges: kept[index]?.changes ?? 0,
    withoutLeaderMs: summarize(kept[index]?.without ?? []),
    writeStallMs: summarize(kept[index]?.stall ?? []),
    overlapMs: round(contest.overlapMs()),
  }));
}

function table(all: readonly Row[]): string {
  const lines = all.map(({ fault, replicas, ttlMs, leaderChanges, withoutLeaderMs, writeStallMs }) =>
    [
      `R${replicas}`,
      fault.padEnd(30),
      `${ttlMs} ms`.padStart(9),
      `${leaderChanges} changes`.padStart(11),
      `without leader ${withoutLeaderMs.p50} / ${withoutLeaderMs.max} ms`,
      `writes stalled ${writeStallMs.p50} / ${writeStallMs.max} ms`,
    ].join("  "),
  );
  return [`nats-server ${version}, ${rounds} rounds per fault, p50 / max`, ...lines].join("\n");
}

/** Exits if a node would refuse the options. */
function optionsFor(leaseTtlMs: number): ContestOptions {
  try {
    const node = { clusterId: "ttl", servers: "127.0.0.1", leaseTtlMs, silenceMs };
    const resolved = resolveOptions({ ...node, crashDetection });
    return { leaseTtlMs, crashDetection: resolved.crashDetection, silenceMs: resolved.silenceMs };
  } catch (error) {
    console.error(messageOf(error));
    process.exit(2);
  }
}

function readCrashDetection(): CrashDetection {
  try {
    return crashDetectionNamed(values["crash-detection"]);
  } catch (error) {
    console.error(messageOf(error));
    process.exit(2);
  }
}

function number(name: string, text: string, min: number): number {
  // Number("") is 0.
  if (text.trim() !== "") {
    const value = Number(text);
    if (Number.isInteger(value) && value >= min) return value;
  }
  console.error(`--${name} must be whole numbers from ${min}, not ${text}`);
  process.exit(2);
}
