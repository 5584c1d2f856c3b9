/** The failover benchmark as a command, for `scripts/benchmark-failover/main.ts` and for `nats-leader bench failover`. */
import { writeFile } from "node:fs/promises";
import { Command, InvalidArgumentError, Option } from "commander";
import { htmlChart, svgChart } from "./chart.ts";
import { runFailover } from "./failover.ts";
import { type FailoverOptions, type FailoverReport, isSound, MODES, TARGETS, WAYS } from "./options.ts";
import { textHistogram } from "./stats.ts";

type Parsed = Omit<FailoverOptions, "signal" | "onProgress" | "ttlMs" | "servers"> & {
  readonly ttl: number;
  readonly servers?: "1" | "3";
  readonly json: boolean;
  readonly chart?: string;
};

/** Sets `process.exitCode`: 0 sound, 1 two leaders, falling epochs or a failure, 130 interrupted. */
export function failoverCommand(): Command {
  return new Command("failover")
    .description("Measure failover: how long until the next node leads, and whether two ever led at once.")
    .addOption(new Option("--mode <mode>", "what happens").choices(MODES).default("kill"))
    .option("--rounds <number>", "how often", wholeNumber(1, 100_000), 20)
    .option("--nodes <number>", "nodes that compete", wholeNumber(2, 200), 3)
    .option("--ttl <ms>", "lease TTL in milliseconds", wholeNumber(1_000, 3_600_000), 10_000)
    .option("--server-version <version>", "nats-server to run on, like 2.9.10 (default: a current one)")
    .addOption(
      new Option("--servers <number>", "one server, or a cluster of three with R3").choices(["1", "3"]),
    )
    .addOption(
      new Option("--crash-detection <how>", "as the node's option")
        .choices(["presence", "lease"])
        .default("presence"),
    )
    .addOption(
      new Option("--how <way>", "server-kill: what becomes of the server").choices(WAYS).default("kill"),
    )
    .addOption(new Option("--target <which>", "server-kill: which server").choices(TARGETS).default("turn"))
    .option("--json", "print the report as JSON and nothing else on stdout", false)
    .option("--chart <file>", "also draw the samples into a .svg or .html file", chartFile)
    .action(async (parsed: Parsed) => run(parsed));
}

async function run(parsed: Parsed): Promise<void> {
  const { ttl, servers, json, chart, ...options } = parsed;
  const abort = new AbortController();
  const onSignal = (): void => {
    process.stderr.write("interrupted: ending what was started\n");
    abort.abort(new Error("interrupted"));
  };
  process.once("SIGINT", onSignal);
  process.once("SIGTERM", onSignal);
  try {
    const report = await runFailover({
      ...options,
      ttlMs: ttl,
      servers: (servers ?? (options.mode === "server-kill" ? "3" : "1")) === "3" ? 3 : 1,
      signal: abort.signal,
      onProgress: (line) => process.stderr.write(`${line}\n`),
    });
    if (chart !== undefined) await drawChart(report, chart);
    process.stderr.write(`\n${textHistogram(report.samplesMs)}\n\n${summary(report)}\n`);
    if (json) process.stdout.write(`${JSON.stringify(report)}\n`);
    if (!isSound(report)) process.exitCode = 1;
  } catch (error) {
    process.exitCode = abort.signal.aborted ? 130 : 1;
    if (!abort.signal.aborted) process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
  } finally {
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
  }
}

async function drawChart(report: FailoverReport, file: string): Promise<void> {
  await writeFile(file, file.endsWith(".svg") ? svgChart(report) : htmlChart(report));
}

function summary(report: FailoverReport): string {
  const { p50, p90, p99, max, floor, afterLoseHook, load } = report;
  const lines = [
    `${report.sample}:`,
    `  p50 ${p50} ms, p90 ${p90} ms, p99 ${p99} ms, max ${max} ms (${report.rounds} rounds)`,
  ];
  if (afterLoseHook !== undefined) {
    lines.push(
      "from the moment onLoseLeadership resolved:",
      `  p50 ${afterLoseHook.p50} ms, p90 ${afterLoseHook.p90} ms, p99 ${afterLoseHook.p99} ms, max ${afterLoseHook.max} ms`,
    );
  }
  lines.push(
    "floor, p50 / p99:",
    `  CONNZ ${floor.connz.p50} / ${floor.connz.p99} ms, CAS ${floor.cas.p50} / ${floor.cas.p99} ms`,
    `  handover (CAS, delivery, CAS) ${floor.handover.p50} / ${floor.handover.p99} ms`,
  );
  if (floor.advisory !== null) {
    const { p50: half, p99: most } = floor.advisory;
    lines.push(`  advisory of a death ${half} / ${most} ms; advisory + CONNZ + CAS ${floor.killP50} ms`);
  }
  lines.push(
    `${report.leaderChanges} leader changes, overlap ${report.overlapMs} ms, epochs ${report.epochsIncrease ? "increase" : "DO NOT INCREASE"}`,
    `load average ${load[0].toFixed(2)} before, ${load[1].toFixed(2)} after`,
  );
  if (!isSound(report)) lines.push("NOT SOUND: two leaders at once, epochs that fall, or a wrong answer");
  return lines.join("\n");
}

function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < min || value > max) {
      throw new InvalidArgumentError(`must be a whole number from ${min} to ${max}`);
    }
    return value;
  };
}

function chartFile(text: string): string {
  if (/\.(svg|html)$/.test(text)) return text;
  throw new InvalidArgumentError("must end in .svg or .html");
}
