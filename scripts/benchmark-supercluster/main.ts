/**
 * Measures an election over three regions: lease writes, failover, step-down, and faults between regions. Real servers and
 * node processes run on this machine; traffic between regions passes a proxy that delays it in both directions.
 *
 * - `gateways`: a cluster of three servers in each region, the bucket (R3) in the first region. A stream lives in one
 *   cluster: placement can choose the region, and cannot spread the replicas over several.
 * - `stretched`: one cluster with one server in each region, and a replica of the bucket in each.
 *
 *   npm run --silent bench:supercluster -- [--layout gateways] [--rounds 5] [--ttl 10000] [--link-ms 30,55,80] [--json]
 *
 * `--link-ms` is the added latency one way of the links eu-us, us-ap, eu-ap. `--json` prints a `SuperclusterReport`
 * (report.ts), all times in milliseconds: `writes` (acquire and renew, by region and stream leader), `kills` (SIGKILL to the
 * next leader), `handovers` (step-down request to the next leader), `faults` (when the old leader stopped, when the next one
 * led), `terms`, `overlapMs` (must be 0), `epochsIncrease`, `load`, and the conditions. Exits with 1 if two nodes led at
 * once or an epoch did not increase.
 */
import { loadavg } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { connect } from "@nats-io/transport-node";
import { moveStreamLeader } from "../../src/bench/lease-stream.ts";
import { hostNowMs } from "../../src/bench/messages.ts";
import { round, summarize } from "../../src/bench/stats.ts";
import type { CrashDetection } from "../../src/index.ts";
import { endWhenOutputFails } from "../../src/system/output-failures.ts";
import { readArguments } from "../shared/arguments.ts";
import { LAYOUTS, type Layout, type RegionSize, Regions } from "../shared/regions.ts";
import { Election, SUCCESSOR_GRACE_MS } from "./election.ts";
import { faultsOf, inflict } from "./faults.ts";
import {
  type ChangeTimes,
  type FaultTimes,
  faultText,
  type KillTimes,
  type SuperclusterReport,
  textOf,
  type WriteTimes,
} from "./report.ts";
import { WriteMeter } from "./write-meter.ts";

endWhenOutputFails();

const NAMES = ["eu", "us", "ap"] as const;
/** Links in the order of `--link-ms`. */
const LINKS = ["eu-us", "us-ap", "eu-ap"] as const;
const RENEWALS = 20;
/** Age of a term when its leader is killed: by then its presence is set up and all nodes see the leader. */
const STEADY_MS = 2_000;

const values = readArguments(
  [
    "npm run bench:supercluster --",
    "Measures an election over three regions: lease writes, failover, step-down, faults between regions.",
  ],
  {
    layout: {
      type: "string",
      default: "gateways",
      value: "name",
      help: "gateways: a cluster in each region; stretched: one cluster over all",
    },
    rounds: { type: "string", default: "5", value: "n", help: "rounds of each measurement" },
    ttl: { type: "string", default: "10000", value: "ms", help: "lease TTL" },
    "link-ms": {
      type: "string",
      default: "30,55,80",
      value: "list",
      help: "latency one way of the links eu-us, us-ap, eu-ap",
    },
    json: { type: "boolean", default: false, help: "print the report as one line of JSON on stdout" },
  },
);
const layout =
  LAYOUTS.find((name) => name === values.layout) ?? refuse(`--layout must be ${LAYOUTS.join(" or ")}`);
const rounds = number("rounds", values.rounds, 1);
const ttlMs = number("ttl", values.ttl, 1_000);
const linkMs = linksOf(values["link-ms"]);

const abort = new AbortController();
const { signal } = abort;
for (const name of ["SIGINT", "SIGTERM"] as const) {
  process.once(name, () => abort.abort(new Error("interrupted: all servers and nodes have been stopped")));
}

try {
  const report = await run(layout);
  if (values.json) console.log(JSON.stringify(report));
  else console.log(textOf(report));
  if (report.overlapMs > 0 || !report.epochsIncrease) process.exitCode = 1;
} catch (error) {
  say(error instanceof Error ? (signal.aborted ? error.message : `${error.stack}`) : String(error));
  process.exitCode = signal.aborted ? 130 : 1;
}

async function run(layout: Layout): Promise<SuperclusterReport> {
  const [loadBefore = 0] = loadavg();
  const sizes = NAMES.map((name): RegionSize => [name, layout === "stretched" ? 1 : 3]);
  const delayMs = (one: string, other: string): number =>
    linkMs[`${one}-${other}`] ?? linkMs[`${other}-${one}`] ?? 0;
  await using regions = await Regions.start({ layout, regions: sizes, delayMs, signal });
  say(
    `${layout}: nats-server ${regions.version}, ${sizes.map(([name, size]) => `${size} in ${name}`).join(", ")}`,
  );
  const writes = await measureWrites(regions, layout);
  const first = await withElection(regions, "presence", async (election) => ({
    kills: await measureKills(election, "presence", rounds),
    handovers: await measureHandovers(election),
    faults: await measureFaults(regions, election),
  }));
  const second = await withElection(regions, "lease", (election) =>
    measureKills(election, "lease", Math.ceil(rounds / 3)),
  );
  const [loadAfter = 0] = loadavg();
  return {
    layout,
    regions: sizes,
    linkMs,
    ttlMs,
    successorGraceMs: SUCCESSOR_GRACE_MS,
    server: regions.version,
    writes,
    kills: [...first.found.kills, ...second.found],
    handovers: first.found.handovers,
    faults: first.found.faults,
    terms: first.epochs.length + second.epochs.length,
    overlapMs: round(Math.max(first.overlapMs, second.overlapMs)),
    epochsIncrease: [first, second].every(({ epochs }) => increase(epochs)),
    load: [loadBefore, loadAfter],
  };
}

interface Ended<T> {
  readonly found: T;
  readonly epochs: readonly number[];
  readonly overlapMs: number;
}

async function withElection<T>(
  regions: Regions,
  crashDetection: CrashDetection,
  measure: (election: Election) => Promise<T>,
): Promise<Ended<T>> {
  const clusterId = `bench_${crashDetection}`;
  const election = await Election.start({ regions, clusterId, ttlMs, crashDetection, signal });
  try {
    const found = await measure(election);
    const { terms } = election.fleet;
    return { found, epochs: terms.map(({ epoch }) => epoch), overlapMs: election.fleet.overlapMs() };
  } finally {
    await election.dispose();
  }
}

/** Measures from each region; in the stretched cluster also with the stream's leader in each region. */
async function measureWrites(regions: Regions, layout: Layout): Promise<WriteTimes[]> {
  const found: WriteTimes[] = [];
  const meters = new Map<string, WriteMeter>();
  const operator = await connect({ servers: regions.urls("eu") });
  try {
    for (const name of NAMES) {
      const meter = new WriteMeter(await connect({ servers: regions.urls(name) }), "bench_writes", ttlMs);
      meters.set(name, meter);
      await meter.open(signal);
    }
    for (const streamLeader of layout === "stretched" ? NAMES : (["eu"] as const)) {
      const servers = regions.serversOf(streamLeader).map(({ name }) => name);
      await moveStreamLeader(operator, "bench_writes", servers);
      for (const [from, meter] of meters) {
        found.push({ from, streamLeader, ...(await meter.measure(rounds, RENEWALS)) });
        say(`writes from ${from}, stream leader in ${streamLeader}: renew ${found.at(-1)?.renew.p50} ms`);
      }
    }
    return found;
  } finally {
    await operator.close();
    for (const meter of meters.values()) await meter.close();
  }
}

async function measureKills(
  election: Election,
  crashDetection: CrashDetection,
  times: number,
): Promise<KillTimes[]> {
  return everyRegion(times, `kill, ${crashDetection}`, async (from) => {
    await election.settled();
    await election.leadIn(from);
    await pause(STEADY_MS, undefined, { signal });
    const epoch = election.newestEpoch();
    const start = hostNowMs();
    election.kill(election.fleet.leader());
    const next = await election.fleet.nextTerm(epoch, 3 * ttlMs + 10_000);
    election.addNode(from);
    await election.fleet.settled();
    return { ms: next.at - start, to: election.homeOf(next.node) };
  }).then((all) => all.map((one) => ({ ...one, crashDetection })));
}

async function measureHandovers(election: Election): Promise<ChangeTimes[]> {
  return everyRegion(rounds, "step-down", async (from) => {
    await election.leadIn(from);
    const epoch = election.newestEpoch();
    const start = hostNowMs();
    const [next] = await Promise.all([election.fleet.nextTerm(epoch, ttlMs), election.requestStepDown()]);
    await election.fleet.settled();
    return { ms: next.at - start, to: election.homeOf(next.node) };
  });
}

async function everyRegion(
  times: number,
  what: string,
  one: (from: string) => Promise<{ readonly ms: number; readonly to: string }>,
): Promise<ChangeTimes[]> {
  const found: ChangeTimes[] = [];
  for (const from of NAMES) {
    const [samplesMs, to]: [number[], string[]] = [[], []];
    for (let time = 0; time < times; time++) {
      const sample = await one(from);
      samplesMs.push(round(sample.ms));
      to.push(sample.to);
    }
    found.push({ from, to, samplesMs, ...summarize(samplesMs) });
    say(`${what}, leader in ${from}: ${samplesMs.join(", ")} ms`);
  }
  return found;
}

async function measureFaults(regions: Regions, election: Election): Promise<FaultTimes[]> {
  const found: FaultTimes[] = [];
  for (const plan of faultsOf(layout, NAMES)) {
    const one = await inflict(regions, election, plan, { ttlMs, signal });
    found.push(one);
    say(faultText(one));
  }
  return found;
}

function increase(epochs: readonly number[]): boolean {
  return epochs.every((epoch, index) => index === 0 || epoch > (epochs[index - 1] ?? 0));
}

function linksOf(text: string): Record<string, number> {
  const delays = text.split(",").map((delay) => number("link-ms", delay, 0));
  if (delays.length !== LINKS.length) refuse(`--link-ms must be three numbers, for ${LINKS.join(", ")}`);
  return Object.fromEntries(LINKS.map((link, index) => [link, delays[index] ?? 0]));
}

function number(name: string, text: string, min: number): number {
  const value = Number(text);
  return Number.isInteger(value) && value >= min
    ? value
    : refuse(`--${name} must be a whole number from ${min}, not ${text}`);
}

function refuse(message: string): never {
  console.error(message);
  process.exit(2);
}

function say(line: string): void {
  console.error(line);
}
