/**
 * Measures a group: what it costs while nothing happens, how long resources have no owner after a crash, a leave or a join, how many
 * move, and what a client feels that has nothing to do with it. Real member processes on a real nats-server on loopback; one clock
 * (CLOCK_MONOTONIC) times all of them.
 *
 *   npm run --silent bench:group -- --resources 10000 --members 1 --json
 *   npm run --silent bench:group -- --resources 3000 --members 3 --mode kill --rounds 10 --json
 *
 * Modes (`--mode`): `idle` (default), `kill`, `leave`, `host` (the cable of a member's host is pulled; every member
 * has a network namespace of its own, so this needs Linux, root and iproute2), `join` (one member more), `scale` (`--to` members, at once). After each round the group
 * is brought back to `--members` members, and settles.
 *
 * `--json` prints one line, all times in milliseconds:
 *
 * - `resources`, `members`, `mode`, `rounds`, `to` (`scale`), `settleMs`, `crashDetection`, `server` (version), `load` (average before,
 *   after) repeat the conditions.
 * - `idleCpuPercent`: of one core, of the busiest member, over `idleMs` in which nothing happens. `renewalsPerSecond`: session records
 *   that the bucket republished in that time, `writesPerSecond`: by how much the sequence of its stream rose, `heartbeatsPerSecond`: one per
 *   member and heartbeat.
 * - `firstOwnedMs`, `lastOwnedMs`: until the first and until the last of the resources that had to get an owner had one, p50 over the
 *   rounds; `since` says from when they are counted. `roundsMs` has them for every round.
 * - `claimsFloorMs` (`kill`, `leave`): what bare clients in as many processes take for as many claims with as many in flight, p50 of 5, measured
 *   in the same run. `lastOwnedMs / claimsFloorMs` compares runs on different machines better than milliseconds do.
 * - `gapMs: {p50, p90, p99, max}`: for how long a resource that moved had no owner.
 * - `moved`: terms that began in all rounds, until the group had settled; `minimumMoves`: how many had to.
 * - `cuts: {heldMs, overlapMs}[]` (`host`): in each round, how long after the cut the member still held its terms (`term.held`, asked every
 *   millisecond), and after the first term of another member. In this mode a member owns a resource for as long as it holds the term.
 * - `overlapMs`: the longest time during which two members owned one resource. `lostTerms`: terms whose session was lost.
 * - `strangerP99Ms: {idle, floor, during, samples}`: publishes of another process to another stream, every 5 ms: while nothing happens, while
 *   the bare clients claim, and until the last resource was owned again. With `--server-priority` the server and that process run before the
 *   members: then it shows how long the server makes others wait, and not how long a processor does.
 * - `consumers: {before, after}`, `serverMemoryMb: {before, after}`: of the server, before the first round and after the last, when the
 *   server has removed what has not been used for 2 s.
 *
 * Exits with 1 if two members owned a resource at once, or more resources moved than had to; with 2 for invalid arguments; with 130 if
 * interrupted.
 */
import { messageOf } from "../../src/errors.ts";
import { endWhenOutputFails } from "../../src/system/output-failures.ts";
import { checked, readArguments } from "../shared/arguments.ts";
import { crashDetectionNamed, SILENCE_OPTIONS } from "../shared/silence-options.ts";
import { wholeNumber } from "../shared/whole-number.ts";
import { type GroupBenchReport, isSound, measureGroup } from "./measure.ts";
import { MODES, type Mode } from "./rounds.ts";

endWhenOutputFails();

const values = readArguments(
  ["npm run bench:group --", "Measures what a group costs, and how long its resources have no owner."],
  {
    resources: { type: "string", default: "3000", value: "n", help: "number of resources" },
    members: { type: "string", default: "3", value: "n", help: "number of member processes" },
    mode: { type: "string", default: "idle", value: "mode", help: `one of ${MODES.join(", ")}` },
    to: { type: "string", value: "n", help: "members in mode scale (default: twice as many)" },
    rounds: { type: "string", default: "10", value: "n", help: "rounds" },
    "settle-ms": { type: "string", default: "1000", value: "ms", help: "the group option settleMs" },
    "idle-ms": { type: "string", default: "10000", value: "ms", help: "how long nothing happens" },
    "crash-detection": SILENCE_OPTIONS["crash-detection"],
    "server-version": { type: "string", value: "version", help: "nats-server version, such as 2.9.10" },
    "server-priority": {
      type: "string",
      value: "n",
      help: "real-time priority of the server and the stranger, by chrt",
    },
    json: { type: "boolean", default: false, help: "print the report as one line of JSON on stdout" },
  },
);

function modeNamed(text: string): Mode {
  const found = MODES.find((one) => one === text);
  if (found !== undefined) return found;
  throw new Error(`--mode must be one of ${MODES.join(", ")}, not ${text}`);
}

const abort = new AbortController();
const options = checked(() => {
  const mode = modeNamed(values.mode);
  const members = wholeNumber(
    "members",
    values.members,
    mode === "idle" || mode === "join" || mode === "scale" ? 1 : 2,
  );
  return {
    mode,
    members,
    resources: wholeNumber("resources", values.resources, members),
    to: values.to === undefined ? 2 * members : wholeNumber("to", values.to, members + 1),
    rounds: wholeNumber("rounds", values.rounds),
    settleMs: wholeNumber("settle-ms", values["settle-ms"], 0),
    idleMs: wholeNumber("idle-ms", values["idle-ms"], 1),
    crashDetection: crashDetectionNamed(values["crash-detection"]),
    serverVersion: values["server-version"],
    serverPriority:
      values["server-priority"] === undefined
        ? undefined
        : wholeNumber("server-priority", values["server-priority"]),
    signal: abort.signal,
    onProgress: (line: string) => process.stderr.write(`${line}\n`),
  };
});

const onSignal = (): void => {
  process.stderr.write("interrupted: stopping the server and the members\n");
  abort.abort(new Error("interrupted"));
};
process.once("SIGINT", onSignal).once("SIGTERM", onSignal);

try {
  const report = await measureGroup(options);
  console.log(values.json ? JSON.stringify(report) : inWords(report));
  if (!isSound(report)) process.exitCode = 1;
} catch (error) {
  if (!abort.signal.aborted) process.stderr.write(`${messageOf(error)}\n`);
  process.exitCode = abort.signal.aborted ? 130 : 1;
}

function inWords(report: GroupBenchReport): string {
  const { resources, members, idleCpuPercent, renewalsPerSecond, firstOwnedMs, lastOwnedMs } = report;
  return [
    `${resources} resources, ${members} members: ${idleCpuPercent} % of a core, ${renewalsPerSecond} renewals/s`,
    `first owned after ${firstOwnedMs} ms, last after ${lastOwnedMs} ms (from ${report.since})`,
    `moved ${report.moved}, at least ${report.minimumMoves}; two owners for ${report.overlapMs} ms`,
    `a stranger's p99: idle ${report.strangerP99Ms.idle} ms, during ${report.strangerP99Ms.during} ms`,
  ].join("\n");
}
