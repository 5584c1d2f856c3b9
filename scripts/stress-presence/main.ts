/**
 * What the presence matrix of the tests does a few times, often: on a real server, with real processes.
 *
 *   false-suspicion  presences are deleted by hand while their leaders live: no leader may change
 *   flapping         the leader's TCP connection is cut, again and again: two may never answer `isLeader()` with true
 *   followers        a leader is killed that a hundred nodes follow: one wins, and what that costs the server
 *
 *   node scripts/build/run-compiled.mjs stress-presence --mode flapping [--rounds 50] [--server-version 2.9.10] [--json]
 *
 * With --json nothing but the report goes to stdout. Exit code 1 when what must not happen did.
 */
import { loadavg } from "node:os";
import { parseArgs } from "node:util";
import { startNatsServer } from "../../src/testing.ts";
import { runFalseSuspicion } from "./false-suspicion.ts";
import { runFlapping } from "./flapping.ts";
import { runFollowers } from "./followers.ts";
import type { Mode } from "./support.ts";

const MODES: Readonly<Record<string, { readonly run: Mode; readonly rounds: number }>> = {
  "false-suspicion": { run: runFalseSuspicion, rounds: 1000 },
  flapping: { run: runFlapping, rounds: 50 },
  followers: { run: runFollowers, rounds: 10 },
};

const { values } = parseArgs({
  options: {
    mode: { type: "string", default: "false-suspicion" },
    rounds: { type: "string" },
    nodes: { type: "string" },
    "server-version": { type: "string" },
    json: { type: "boolean", default: false },
  },
});
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
  throw new Error(`--${name} must be a whole number above 0`);
}
