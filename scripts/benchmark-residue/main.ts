/**
 * Measures the residue of crash detection: for how long two nodes call themselves leader when the server, or a follower, concludes that the
 * leader is gone while the leader's process has not noticed anything. Real processes on a real server; one clock (CLOCK_MONOTONIC)
 * times all of them.
 *
 *   npm run --silent bench:residue -- [--rounds 50] [--only shared-flood] [--crash-detection presence] [--silence-ms 2000] [--json]
 *
 * Cases:
 *
 * - `service-flood`: a client floods a service subject of the leader, whose connection the server drops as a slow consumer. Megabytes
 *   that the leader has yet to read stand before the end of its connection.
 * - `shared-flood`: the same by the traffic of the application whose connection the leader shares.
 * - `one-sided-reset`: the server's side of the leader's connection is reset, and the leader's side does not hear of it.
 * - `count-lags`: the leader's loop is blocked, then publishes a beat and 1500 messages for 3000 subscriptions in one read buffer of the
 *   server. The server delivers the beat at once, and counts it more than a second later.
 *
 * `--json` prints `{ttlMs, silenceMs, account, cases, load}`. Each of `cases` is `{case, server, crashDetection, rounds, hits, takeovers,
 * twoLeadersMs: {max, p50}, bound}`, times in milliseconds; `count-lags` also has `lagMs: {max, p50}`. `hits` counts the rounds in which the
 * fault had its effect, `takeovers` those after which another node led. Exits with 1 if `twoLeadersMs.max` is above `bound` (half of
 * `silenceMs` with crash detection by presence, otherwise 0) or a case had no hit; with 2 for invalid arguments; with 130 if interrupted.
 */
import { loadavg } from "node:os";
import { resolveOptions } from "../../src/config/resolve.ts";
import type { CrashDetection } from "../../src/election/types.ts";
import { messageOf } from "../../src/errors.ts";
import { endWhenOutputFails } from "../../src/system/output-failures.ts";
import { readArguments } from "../shared/arguments.ts";
import { crashDetectionNamed, SILENCE_OPTIONS } from "../shared/silence-options.ts";
import { wholeNumber } from "../shared/whole-number.ts";
import { CASE_NAMES, CASES, type CaseName } from "./cases.ts";
import { CLUSTER_ID } from "./messages.ts";
import { isSound, type Row, runCase } from "./rounds.ts";

endWhenOutputFails();

const values = readArguments(
  [
    "npm run bench:residue --",
    "Measures for how long two nodes lead when the server drops a leader that does not notice.",
  ],
  {
    rounds: { type: "string", default: "50", value: "n", help: "rounds of each case" },
    only: { type: "string", value: "case", help: `one of ${CASE_NAMES.join(", ")} (default: all)` },
    ...SILENCE_OPTIONS,
    ttl: { type: "string", default: "10000", value: "ms", help: "lease TTL" },
    account: { type: "boolean", default: false, help: "run in a named account instead of $G" },
    "server-version": { type: "string", value: "version", help: "nats-server version, such as 2.9.10" },
    json: { type: "boolean", default: false, help: "print the report as one line of JSON on stdout" },
  },
);

function refuse(message: string): never {
  console.error(`error: ${message}`);
  process.exit(2);
}

function readNumber(option: "rounds" | "ttl" | "silence-ms", text: string, least: number): number {
  try {
    return wholeNumber(option, text, least);
  } catch (error) {
    return refuse(messageOf(error));
  }
}

function caseNamed(text: string): CaseName {
  const found = CASE_NAMES.find((one) => one === text);
  return found ?? refuse(`--only must be one of ${CASE_NAMES.join(", ")}, not ${text}`);
}

function readCrashDetection(): CrashDetection {
  try {
    return crashDetectionNamed(values["crash-detection"]);
  } catch (error) {
    return refuse(messageOf(error));
  }
}

const rounds = readNumber("rounds", values.rounds, 1);
const ttlMs = readNumber("ttl", values.ttl, 1_000);
const crashDetection = readCrashDetection();
const silenceMs = silenceMsOfNode();
const names: readonly CaseName[] = values.only === undefined ? CASE_NAMES : [caseNamed(values.only)];
const { account, json, "server-version": serverVersion } = values;

/** F of nodes with these options. */
function silenceMsOfNode(): number {
  const text = values["silence-ms"];
  const given = text === undefined ? undefined : readNumber("silence-ms", text, 0);
  try {
    const node = { clusterId: CLUSTER_ID, servers: "127.0.0.1", leaseTtlMs: ttlMs };
    return resolveOptions({ ...node, crashDetection, silenceMs: given }).silenceMs;
  } catch (error) {
    return refuse(messageOf(error));
  }
}

const abort = new AbortController();
const onSignal = (): void => {
  process.stderr.write("interrupted: stopping the server and the nodes\n");
  abort.abort(new Error("interrupted"));
};
process.once("SIGINT", onSignal).once("SIGTERM", onSignal);

try {
  const [before = 0] = loadavg();
  const cases: Row[] = [];
  for (const name of names) {
    const row = await runCase(name, {
      rounds,
      ttlMs,
      silenceMs,
      crashDetection,
      account,
      serverVersion,
      signal: abort.signal,
      onProgress: (line) => process.stderr.write(`${line}\n`),
    });
    cases.push(row);
    process.stderr.write(`${inWords(row)}\n\n`);
  }
  const [after = 0] = loadavg();
  const report = { ttlMs, silenceMs, account, cases, load: [before, after] };
  console.log(json ? JSON.stringify(report) : cases.map(inWords).join("\n"));
  if (!cases.every(isSound)) process.exitCode = 1;
} catch (error) {
  if (!abort.signal.aborted) process.stderr.write(`${messageOf(error)}\n`);
  process.exitCode = abort.signal.aborted ? 130 : 1;
}

function inWords(row: Row): string {
  const { twoLeadersMs, bound, hits, takeovers, lagMs } = row;
  const facts = [
    `two leaders for at most ${twoLeadersMs.max} ms (p50 ${twoLeadersMs.p50} ms, bound ${bound} ms)`,
    `${takeovers} takeovers in ${row.rounds} rounds`,
    ...(lagMs === undefined ? [] : [`count lagged at most ${lagMs.max} ms (p50 ${lagMs.p50} ms)`]),
    ...(hits === 0 ? [`SHOWS NOTHING: in no round ${CASES[row.case].hit}`] : []),
    ...(twoLeadersMs.max > bound ? ["ABOVE THE BOUND"] : []),
  ];
  return `${row.case}, ${row.crashDetection}: ${facts.join("; ")}`;
}
