/**
 * Compares metrics, health and alerts with what really happens: real NATS servers, daemons with an HTTP server, Prometheus and HAProxy, which
 * must be installed. Faults: a leader killed, frozen, cut off; a server killed, the majority killed; handovers. A few minutes.
 *
 *   npm run --silent validate:telemetry -- [--json]
 *
 * `--json` prints `{checks, failed, results}`; each result is `{scene, check, ok, detail?}`. Exits with 0 only if every check passed.
 */

import { findPrometheus } from "../../examples/observability/stack/prometheus.ts";
import { messageOf } from "../../src/errors.ts";
import { endWhenOutputFails } from "../../src/system/output-failures.ts";
import { readArguments } from "../shared/arguments.ts";
import { findHaproxy } from "../shared/haproxy.ts";
import { Checks } from "./checks.ts";
import { playApplication } from "./scenes/application.ts";
import { playBridge } from "./scenes/bridge.ts";
import { playEnd } from "./scenes/end.ts";
import { playFailovers, playHandover } from "./scenes/handovers.ts";
import { playFreeze, playKill, playPartition } from "./scenes/nodes.ts";
import { playQuorumLoss, playServerKill } from "./scenes/servers.ts";
import { playStart } from "./scenes/start.ts";
import { Stage } from "./stage.ts";

const SCENES: Readonly<Record<string, (stage: Stage, checks: Checks) => Promise<void>>> = {
  start: playStart,
  kill: playKill,
  freeze: playFreeze,
  partition: playPartition,
  server: playServerKill,
  handover: playHandover,
  failovers: playFailovers,
  application: playApplication,
  bridge: playBridge,
  quorum: playQuorumLoss,
  end: playEnd,
};

endWhenOutputFails();
const { json, only } = readArguments(
  [
    "npm run validate:telemetry --",
    "Compares metrics, health and alerts of real daemons, servers and a real Prometheus with what faults have done.",
  ],
  {
    json: { type: "boolean", default: false, help: "print {checks, failed, results} on stdout" },
    only: { type: "string", default: "", value: "scenes", help: `some of ${Object.keys(SCENES).join(",")}` },
  },
);
const say = (line: string): void => void (json ? process.stderr : process.stdout).write(`${line}\n`);
const missing = [
  ...(findPrometheus() === null ? ["prometheus"] : []),
  ...(findHaproxy() === null ? ["haproxy"] : []),
];
if (missing.length > 0) {
  console.error(`error: not installed: ${missing.join(", ")} (Debian: apt-get install ${missing.join(" ")})`);
  process.exit(2);
}
const chosen = only === "" ? Object.keys(SCENES) : only.split(",");
const unknown = chosen.filter((name) => !(name in SCENES));
if (unknown.length > 0) {
  console.error(`error: --only ${unknown.join(",")}: there are ${Object.keys(SCENES).join(", ")}`);
  process.exit(2);
}
const checks = new Checks(say);
{
  await using stage = new Stage();
  await stage.start(say);
  for (const name of chosen) {
    stage.mark();
    try {
      await SCENES[name]?.(stage, checks);
    } catch (error) {
      await checks.that("the scene can be played", () => messageOf(error));
    }
  }
}
const { results } = checks;
const failed = results.filter(({ ok }) => !ok).length;
if (json) process.stdout.write(`${JSON.stringify({ checks: results.length, failed, results })}\n`);
else
  say(
    failed === 0
      ? `\nAll ${results.length} checks passed ✓`
      : `\n${failed} of ${results.length} checks FAILED`,
  );
process.exit(failed === 0 && results.length > 0 ? 0 : 1);
