/**
 * Repeats the presence tests many times, on a real server with real processes.
 *
 *   false-suspicion  deletes presences while their leaders are alive: no leader may change
 *   flapping         cuts the leader's TCP connection repeatedly: no two `isLeader()` may be true at once
 *   followers        kills a leader with a hundred followers: exactly one wins; counts inquiries and writes
 *   flood            floods what others can reach on the leader's connection: how late are beats, is the leader dropped
 *   cost             CPU time of the server for questions about connections, and for beats
 *
 *   npm run --silent stress:presence -- --mode flapping [--rounds 50] [--server-version 2.9.10] [--json]
 *
 * `--json` prints one line with `{mode, rounds, violations, server, seconds, load}` and the fields of the mode; times in
 * milliseconds. Exits with 1 if `violations` is not empty.
 */
import { loadavg } from "node:os";
import { endWhenOutputFails } from "../../src/system/output-failures.ts";
import { startNatsServer } from "../../src/testing.ts";
import { readArguments } from "../shared/arguments.ts";
import { runCost } from "./cost.ts";
import { runFalseSuspicion } from "./false-suspicion.ts";
import { runFlapping } from "./flapping.ts";
import { runFlood } from "./flood.ts";
import { runFollowers } from "./followers.ts";
import type { Mode } from "./support.ts";

endWhenOutputFails();

const MODES: Readonly<Record<string, { readonly run: Mode; readonly rounds: number }>> = {
  "false-suspicion": { run: runFalseSuspicion, rounds: 1000 },
  flapping: { run: runFlapping, rounds: 50 },
  followers: { run: runFollowers, rounds: 10 },
  flood: { run: runFlood, rounds: 1 },
  cost: { run: runCost, rounds: 1 },
};

const values = readArguments(
  [
    "npm run stress:presence --",
    "Repeats the presence tests many times, on a real server with real processes.",
  ],
  {
    mode: {
      type: "string",
      default: "false-suspicion",
      value: "name",
      help: "false-suspicion, flapping, followers, flood or cost",
    },
    rounds: { type: "string", value: "n", help: "rounds (default: 1000, 50, 10 or 1, by mode)" },
    nodes: { type: "string", value: "n", help: "number of nodes (default: by mode)" },
    "server-version": {
      type: "string",
      value: "version",
      help: "nats-server to test (default: the pinned one)",
    },
    json: { type: "boolean", default: false, help: "print the report as one line of JSON on stdout" },
  },
);
const mode = MODES[values.mode];
if (mode === undefined) throw new Error(`--mode must be one of ${Object.keys(MODES).join(", ")}`);
const rounds = wholeNumber("rounds", values.rounds ?? String(mode.rounds));
const nodes = values.nodes === undefined ? undefined : wholeNumber("nodes", values.nodes);

const version = values["server-version"];
const server = await startNatsServer(version === undefined ? {} : { version });
const [loadBefore = 0] = loadavg();
const began = performance.now();
try {
  const { violations, ...found } = await mode.run({
    server,
    rounds,
    nodes,
    progress: (line) => process.stderr.write(`${line}\n`),
  });
  const report = {
    mode: values.mode,
    rounds,
    ...found,
    violations,
    server: server.version,
    seconds: Math.round((performance.now() - began) / 1000),
    load: [loadBefore, loadavg()[0]],
  };
  console.log(values.json ? JSON.stringify(report) : JSON.stringify(report, null, 2));
  if (violations.length > 0) process.exitCode = 1;
} finally {
  await server.dispose();
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new Error(`--${name} is ${text}, must be a whole number above 0`);
}
