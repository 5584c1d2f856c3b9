/**
 * Compares the simulator's fakes with real servers: runs random scripts of what nodes, operators and networks do to a bucket
 * and to connections on both, and compares every answer and every message to a watcher.
 *
 *   npm run calibrate -- [--scripts 1000] [--seed 1] [--versions 2.9.10,2.15.1] [--replicas 1,3] [--lanes 6]
 *     [--kinds buckets,sessions,restarts,connz] [--json]
 *
 * For each version: `scripts` bucket scripts, half as many session scripts, and on a single server a twentieth as many scripts
 * with restarts. `connz` checks facts about the answers to CONNZ, on servers of its own: `scripts` is their number, `steps` that
 * of the questions. Three replicas need a cluster of nats-server 2.9.21 or later; older versions are skipped. A script with a
 * mismatch is shortened and printed step by step, and the exit code is 1. With --json only the report goes to stdout.
 */
import { loadavg } from "node:os";
import { REPLICATED_CAS_SINCE } from "../../src/nats/api/server-version.ts";
import { endWhenOutputFails } from "../../src/system/output-failures.ts";
import { compareVersions } from "../../src/testing/server/find/versions.ts";
import {
  OLDEST_NATS_VERSION,
  PINNED_NATS_VERSION,
  startNatsCluster,
  startNatsServer,
} from "../../src/testing.ts";
import { readArguments } from "../shared/arguments.ts";
import { wholeNumber } from "../shared/whole-number.ts";
import { type Calibration, calibrateBuckets, calibrateSessions } from "./calibrate.ts";
import { CONNZ_FACTS, calibrateConnz } from "./connz/facts.ts";
import { DEVIATIONS } from "./deviations.ts";
import type { CalibrationTarget } from "./nats-lane.ts";

endWhenOutputFails();

const values = readArguments(["npm run calibrate --", "Compares the simulator's fakes with real servers."], {
  scripts: {
    type: "string",
    default: "1000",
    value: "n",
    help: "bucket scripts per version; half as many session scripts",
  },
  seed: { type: "string", default: "1", value: "n", help: "seed of the first script" },
  versions: {
    type: "string",
    default: `${OLDEST_NATS_VERSION},${PINNED_NATS_VERSION}`,
    value: "list",
    help: "nats-server versions",
  },
  replicas: { type: "string", default: "1", value: "list", help: "1: a single server; 3: a cluster" },
  lanes: { type: "string", default: "6", value: "n", help: "scripts at once" },
  kinds: {
    type: "string",
    default: "buckets,sessions,restarts,connz",
    value: "list",
    help: "what to compare",
  },
  json: { type: "boolean", default: false, help: "print the report as one line of JSON on stdout" },
});
const [scripts, seed, lanes] = [
  wholeNumber("scripts", values.scripts),
  wholeNumber("seed", values.seed),
  wholeNumber("lanes", values.lanes),
];

/** The result of one kind of scripts on one server or cluster. */
interface Result extends Calibration {
  readonly version: string;
  readonly replicas: number;
  readonly kind: "buckets" | "connz" | "restarts" | "sessions";
  readonly seconds: number;
}

const [loadBefore = 0] = loadavg();
const results: Result[] = [];
for (const version of values.versions.split(",")) {
  for (const replicas of values.replicas.split(",").map(Number)) {
    if (replicas > 1 && compareVersions(version, REPLICATED_CAS_SINCE) < 0) {
      process.stderr.write(`${version}: skipped, compare-and-set is broken on its replicated streams\n`);
    } else if (replicas > 1) await onCluster(version, replicas);
    else await onServer(version);
  }
}
const report = { seed, load: [loadBefore, loadavg()[0]], results };
console.log(values.json ? JSON.stringify(report) : text());
if (results.some(({ mismatches }) => mismatches.length > 0)) process.exitCode = 1;

async function onServer(version: string): Promise<void> {
  const server = await startNatsServer({ version });
  try {
    const target: CalibrationTarget = { servers: [server], version: server.version, replicas: 1 };
    const restart = async (how: "stop" | "kill"): Promise<void> => {
      await server[how]();
      await server.start();
    };
    await measure("buckets", target, scripts);
    await measure("sessions", target, Math.ceil(scripts / 2));
    await measure("restarts", { ...target, restart }, Math.ceil(scripts / 20));
  } finally {
    await server.dispose();
  }
  await measureConnz(version);
}

async function measureConnz(version: string): Promise<void> {
  if (!values.kinds.split(",").includes("connz")) return;
  const began = performance.now();
  let done = 0;
  const calibration = await calibrateConnz(version, CONNZ_FACTS, () => {
    done += 1;
    process.stderr.write(`${version} connz: ${done} of ${CONNZ_FACTS.length}\r`);
  });
  process.stderr.write("\n");
  const seconds = Math.round((performance.now() - began) / 100) / 10;
  results.push({ version, replicas: 1, kind: "connz", seconds, ...calibration });
}

async function onCluster(version: string, replicas: number): Promise<void> {
  const cluster = await startNatsCluster({ version, size: replicas });
  try {
    const target: CalibrationTarget = { servers: cluster.servers, version, replicas };
    await measure("buckets", target, scripts);
    await measure("sessions", target, Math.ceil(scripts / 2));
  } finally {
    await cluster.dispose();
  }
}

async function measure(kind: Result["kind"], target: CalibrationTarget, count: number): Promise<void> {
  if (!values.kinds.split(",").includes(kind)) return;
  const began = performance.now();
  let done = 0;
  const options = {
    seed,
    scripts: count,
    lanes: kind === "restarts" ? 1 : lanes,
    onScript: (): void => {
      done += 1;
      const { version, replicas } = target;
      if (done % 20 === 0)
        process.stderr.write(`${version} replicas ${replicas} ${kind}: ${done} of ${count}\r`);
    },
  };
  const run = kind === "sessions" ? calibrateSessions : calibrateBuckets;
  const calibration = await run(target, options);
  process.stderr.write("\n");
  const seconds = Math.round((performance.now() - began) / 100) / 10;
  results.push({ version: target.version, replicas: target.replicas, kind, seconds, ...calibration });
}

function text(): string {
  const lines = results.map(
    ({ version, replicas, kind, scripts: ran, steps, seconds, tooSlow, deviations }) => {
      const names = Object.entries(deviations).map(([name, times]) => `${name} ${times}`);
      const slow = tooSlow === 0 ? "" : `, ${tooSlow} ended early: machine too slow`;
      const declared = names.length === 0 ? "" : `; declared deviations: ${names.join(", ")}`;
      return `${version} replicas ${replicas} ${kind}: ${ran} scripts, ${steps} steps in ${seconds} s${slow}${declared}`;
    },
  );
  const met = new Set(results.flatMap(({ deviations }) => Object.keys(deviations)));
  for (const { name, range, reason } of DEVIATIONS)
    if (met.has(name)) lines.push("", `${name} (${range}): ${reason}`);
  for (const { mismatches } of results) for (const mismatch of mismatches) lines.push("", mismatch);
  return lines.join("\n");
}
