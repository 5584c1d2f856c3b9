/**
 * Measures whether requests to the HTTP server of a leader delay its renewals. A leader with its door runs in a process of its own; this one
 * sends requests at a constant rate, first none, then `--rate`.
 *
 *   npm run --silent bench:http -- [--rate 5000] [--connections 50] [--seconds 20] [--path /leader] [--lease-ttl 2000] [--json]
 *
 * `--json` prints one line: `{server, path, connections, leaseTtlMs, renewIntervalMs, seconds, idle, loaded, load}`. `idle` and `loaded` have
 * `{rate, requestsPerSecond, unsent, failures, bytesPerAnswer, latencyMs, renewals, lateRenewals, longestIntervalMs, slowestRenewalMs,
 * leastMarginMs, suspensions, lostTerms, loopDelay, cpuPercent}`. A renewal is late if it was confirmed 1.5 intervals after the one before, or
 * later: followers miss it then. Latencies count from when a request was due. Exits with 1 if a renewal was late, a term was lost, a request
 * failed, or fewer than 99 % of the requests were answered.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { loadavg } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { round, type Summary, summarize } from "../../src/bench/stats.ts";
import { endWhenOutputFails } from "../../src/system/output-failures.ts";
import { startNatsServer } from "../../src/testing.ts";
import { checked, readArguments } from "../shared/arguments.ts";
import { wholeNumber } from "../shared/whole-number.ts";
import { load } from "./load.ts";
import type { HttpCommand, HttpTask, Measured, Ready } from "./messages.ts";

endWhenOutputFails();

/** Requests before the measurement, so that the code is compiled. */
const WARM_UP = { rate: 2_000, durationMs: 2_000 } as const;
const LEAST_SHARE = 0.99;

const values = readArguments(
  ["npm run bench:http --", "Measures whether requests to the HTTP server of a leader delay its renewals."],
  {
    rate: { type: "string", default: "5000", value: "n", help: "requests per second" },
    connections: { type: "string", default: "50", value: "n", help: "connections that are used in turn" },
    seconds: { type: "string", default: "20", value: "n", help: "duration of each of the two runs" },
    path: { type: "string", default: "/leader", value: "path", help: "what is requested" },
    "lease-ttl": { type: "string", default: "2000", value: "ms", help: "lease TTL of the leader" },
    json: { type: "boolean", default: false, help: "print the report as one line of JSON on stdout" },
  },
);
const settings = checked(() => ({
  rate: wholeNumber("rate", values.rate),
  connections: wholeNumber("connections", values.connections),
  durationMs: 1_000 * wholeNumber("seconds", values.seconds),
  leaseTtlMs: wholeNumber("lease-ttl", values["lease-ttl"]),
}));
const { connections, leaseTtlMs, durationMs } = settings;

interface Run extends Omit<Measured, "type"> {
  readonly rate: number;
  readonly requestsPerSecond: number;
  readonly unsent: number;
  readonly failures: number;
  readonly bytesPerAnswer: number;
  readonly latencyMs: Summary;
}

const [loadBefore = 0] = loadavg();
await using nats = await startNatsServer();
const task: HttpTask = { servers: nats.url, leaseTtlMs };
const child = fork(fileURLToPath(new URL(`./child${import.meta.url.slice(-3)}`, import.meta.url)), [
  JSON.stringify(task),
]);
const { port, renewIntervalMs } = await message<Ready>(child, "ready");
await load({ port, path: values.path, connections, ...WARM_UP });
const idle = await run(0);
const loaded = await run(settings.rate);
order("end");
await once(child, "exit");

const [loadAfter = 0] = loadavg();
const report = {
  server: nats.version,
  path: values.path,
  connections,
  leaseTtlMs,
  renewIntervalMs,
  seconds: durationMs / 1_000,
  idle,
  loaded,
  load: [loadBefore, loadAfter],
};
console.log(values.json ? JSON.stringify(report) : [text("idle", idle), text("loaded", loaded)].join("\n"));
const problems = [
  ...(loaded.lateRenewals > 0 ? [`${loaded.lateRenewals} renewals were late`] : []),
  ...(loaded.lostTerms > 0 ? [`${loaded.lostTerms} terms were lost`] : []),
  ...(loaded.failures > 0 ? [`${loaded.failures} requests failed`] : []),
  ...(loaded.requestsPerSecond < LEAST_SHARE * settings.rate
    ? [`only ${loaded.requestsPerSecond} of ${settings.rate} requests per second were answered`]
    : []),
];
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exitCode = 1;

async function run(rate: number): Promise<Run> {
  order("begin");
  const result =
    rate === 0
      ? await pause(durationMs, { answered: 0, unsent: 0, failures: 0, latenciesMs: [], bytes: 0 })
      : await load({ port, path: values.path, connections, rate, durationMs });
  const measured = message<Measured>(child, "measured");
  order("report");
  const { type: _, ...rest } = await measured;
  const { answered, unsent, failures, latenciesMs, bytes } = result;
  return {
    rate,
    requestsPerSecond: round((answered * 1_000) / durationMs),
    unsent,
    failures,
    bytesPerAnswer: answered === 0 ? 0 : Math.round(bytes / answered),
    latencyMs: summarize(latenciesMs),
    ...rest,
  };
}

function order(what: HttpCommand["do"]): void {
  child.send({ do: what } satisfies HttpCommand);
}

async function message<T extends { readonly type: string }>(from: ChildProcess, type: T["type"]): Promise<T> {
  for (;;) {
    const [received] = (await Promise.race([
      once(from, "message"),
      once(from, "exit").then(([code]) => {
        throw new Error(`the measured process has exited with ${code}`);
      }),
    ])) as [T];
    if (received.type === type) return received;
  }
}

function text(name: string, one: Run): string {
  const { requestsPerSecond, latencyMs, renewals, lateRenewals, longestIntervalMs, loopDelay, cpuPercent } =
    one;
  return [
    name.padEnd(7),
    `${requestsPerSecond} requests/s`,
    `latency ${latencyMs.p50} / ${latencyMs.p99} / ${latencyMs.max} ms`,
    `${renewals} renewals, ${lateRenewals} late, longest interval ${longestIntervalMs} of ${renewIntervalMs} ms`,
    `loop delay ${loopDelay.p99} / ${loopDelay.max} ms`,
    `CPU ${cpuPercent} %`,
  ].join("  ");
}
