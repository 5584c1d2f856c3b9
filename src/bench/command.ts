/** The failover benchmark as a command, for `npm run bench:failover` and `nats-leader bench failover`. */
import { writeFile } from "node:fs/promises";
import { Command, InvalidArgumentError, Option } from "commander";
import { CRASH_DETECTIONS, resolveOptions } from "../config/resolve.ts";
import { messageOf } from "../errors.ts";
import { parseVersion } from "../nats/api/server-version.ts";
import { whyNotWritable } from "../system/output-file.ts";
import { PINNED_NATS_VERSION } from "../testing/server/find/versions.ts";
import { htmlChart, svgChart } from "./chart.ts";
import { runFailover } from "./failover.ts";
import { type FailoverOptions, type FailoverReport, isSound, MODES, TARGETS, WAYS } from "./options.ts";
import { CLUSTER_ID } from "./stage.ts";
import { summarize, textHistogram } from "./stats.ts";

type Parsed = Omit<FailoverOptions, "signal" | "onProgress" | "ttlMs" | "servers"> & {
  readonly ttl: number;
  readonly servers?: "1" | "3";
  readonly json: boolean;
  readonly chart?: string;
};

/** Exit code of invalid options, as of every command. */
const USAGE = 2;

/**
 * Sets `process.exitCode`: 0 sound; 1 two leaders at once or epochs that do not increase; 130 interrupted. Invalid options are a
 * `CommanderError`. Other failures are thrown.
 */
export function failoverCommand(): Command {
  return new Command("failover")
    .description("Measure how long a failover takes, and whether two nodes ever led at once.")
    .addOption(new Option("--mode <mode>", "what happens to the leader").choices(MODES).default("kill"))
    .option("--rounds <number>", "number of repetitions", wholeNumber(1, 100_000), 20)
    .option("--nodes <number>", "number of competing nodes", wholeNumber(2, 200), 3)
    .option("--ttl <ms>", "lease TTL in milliseconds", wholeNumber(1_000, 3_600_000), 10_000)
    .option(
      "--server-version <version>",
      `nats-server version, such as 2.9.10 (default: ${PINNED_NATS_VERSION} or newer)`,
      serverVersion,
    )
    .addOption(
      new Option(
        "--servers <number>",
        "one server, or a cluster of three with an R3 bucket (default: 1; 3 with --mode server-kill)",
      ).choices(["1", "3"]),
    )
    .addOption(
      new Option("--crash-detection <how>", "the node option crashDetection")
        .choices(CRASH_DETECTIONS)
        .default("presence"),
    )
    .option(
      "--silence-ms <ms>",
      "the node option silenceMs (default: that of a node)",
      wholeNumber(0, 1_800_000),
    )
    .addOption(
      new Option("--how <way>", "server-kill: how the server goes down").choices(WAYS).default("kill"),
    )
    .addOption(
      new Option(
        "--target <which>",
        "server-kill: each server in turn, the stream leader, or the leader's server, made the stream leader before",
      )
        .choices(TARGETS)
        .default("turn"),
    )
    .option("--json", "print the report as JSON on stdout; progress goes to stderr", false)
    .option("--chart <file>", "also write a histogram of the samples to a .svg or .html file", chartFile)
    .action(async (parsed: Parsed, command: Command) => {
      const wrong = contradiction(parsed, (name) => command.getOptionValueSource(name) === "cli");
      if (wrong !== null) command.error(`error: ${wrong}`, { exitCode: USAGE });
      await run(parsed);
    });
}

/** What is wrong with options that are valid one by one, or `null`. */
function contradiction(parsed: Parsed, isGiven: (name: string) => boolean): string | null {
  const { mode, servers, chart } = parsed;
  if (mode === "server-kill" && servers === "1") {
    return "--mode server-kill needs --servers 3: while the only server is down there is no election to observe. Omit --servers 1";
  }
  const ignored = ["how", "target"].find(isGiven);
  if (mode !== "server-kill" && ignored !== undefined) {
    return `--${ignored} applies to --mode server-kill only, not to --mode ${mode}. Omit it, or add --mode server-kill`;
  }
  const refused = refusedByNode(parsed);
  if (refused !== null) return refused;
  const unwritable = chart === undefined ? null : whyNotWritable(chart);
  if (unwritable === null) return null;
  return `--chart ${chart} cannot be written: ${unwritable}. Name a file in a folder that exists and can be written`;
}

/** Why a node would not start with these options, or `null`. */
function refusedByNode({ ttl, crashDetection, silenceMs }: Parsed): string | null {
  const node = { clusterId: CLUSTER_ID, nodeId: "node-1", servers: "127.0.0.1" };
  try {
    resolveOptions({ ...node, leaseTtlMs: ttl, crashDetection, silenceMs });
    return null;
  } catch (error) {
    return messageOf(error);
  }
}

async function run(parsed: Parsed): Promise<void> {
  const { ttl, servers, json, chart, ...options } = parsed;
  const abort = new AbortController();
  const onSignal = (): void => {
    process.stderr.write("interrupted: stopping all servers and nodes\n");
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
    process.stderr.write(`\n${textHistogram(report.samplesMs)}\n\n${summary(report)}\n`);
    if (json) process.stdout.write(`${JSON.stringify(report)}\n`);
    if (!isSound(report)) process.exitCode = 1;
    if (chart !== undefined) await drawChart(report, chart);
  } catch (error) {
    if (!abort.signal.aborted) throw error;
    process.exitCode = 130;
  } finally {
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
  }
}

async function drawChart(report: FailoverReport, file: string): Promise<void> {
  await writeFile(file, file.endsWith(".svg") ? svgChart(report) : htmlChart(report));
}

function summary(report: FailoverReport): string {
  const { p50, p90, p99, max, floor, afterLoseHook, cuts, load } = report;
  const lines = [
    `${report.sample}:`,
    `  p50 ${p50} ms, p90 ${p90} ms, p99 ${p99} ms, max ${max} ms (${report.rounds} rounds)`,
  ];
  if (afterLoseHook !== undefined) {
    lines.push(
      "from the end of onLoseLeadership:",
      `  p50 ${afterLoseHook.p50} ms, p90 ${afterLoseHook.p90} ms, p99 ${afterLoseHook.p99} ms, max ${afterLoseHook.max} ms`,
    );
  }
  if (cuts !== undefined) {
    const held = summarize(cuts.map(({ heldMs }) => heldMs));
    lines.push(
      `from the cut to the last isLeader() of the old leader that was true: p50 ${held.p50} ms, max ${held.max} ms`,
    );
  }
  lines.push(
    "floor, p50 / p99:",
    `  CONNZ ${floor.connz.p50} / ${floor.connz.p99} ms, CAS ${floor.cas.p50} / ${floor.cas.p99} ms`,
    `  handover (CAS, delivery, CAS) ${floor.handover.p50} / ${floor.handover.p99} ms`,
  );
  if (floor.advisory !== null) {
    const { p50: half, p99: most } = floor.advisory;
    lines.push(`  advisory of a crash ${half} / ${most} ms; advisory + CONNZ + CAS ${floor.killP50} ms`);
  }
  if (floor.scriptKill !== null)
    lines.push(`  takeover written by hand on nats.js ${floor.scriptKill.p50} / ${floor.scriptKill.p99} ms`);
  lines.push(
    `${report.leaderChanges} leader changes, overlap ${report.overlapMs} ms, epochs ${report.epochsIncrease ? "increase" : "DO NOT INCREASE"}`,
    `load average ${load[0].toFixed(2)} before, ${load[1].toFixed(2)} after`,
  );
  if (!isSound(report)) {
    lines.push(
      "NOT SOUND: two leaders at once, epochs that do not increase, or isLeader() true after a freeze",
    );
  }
  return lines.join("\n");
}

function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    // Number("") is 0.
    const value = text.trim() === "" ? Number.NaN : Number(text);
    if (!Number.isInteger(value) || value < min || value > max) {
      throw new InvalidArgumentError(`Must be a whole number from ${min} to ${max}.`);
    }
    return value;
  };
}

function serverVersion(text: string): string {
  if (parseVersion(text) !== null) return text;
  throw new InvalidArgumentError("Must be a version such as 2.15.1.");
}

function chartFile(text: string): string {
  if (/\.(svg|html)$/.test(text)) return text;
  throw new InvalidArgumentError("Must end in .svg or .html.");
}
