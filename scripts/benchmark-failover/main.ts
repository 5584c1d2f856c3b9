/**
 * Measures how long a failover takes and whether two nodes ever lead at once. Real node processes compete on a real
 * nats-server on loopback; one clock (CLOCK_MONOTONIC) times all of them.
 *
 *   npm run --silent bench:failover -- --mode kill --rounds 100 --json
 *
 * Modes, and what a sample measures:
 *
 * - `kill`, `term`: SIGKILL or SIGTERM of the leader, to the first instruction of the next leader's `onBecomeLeader`.
 * - `stepdown`: the step-down request, to the same instant.
 * - `freeze`: SIGSTOP of the leader, to the same instant; then checks that the thawed leader answers `isLeader()` with false.
 * - `host`: the cable of the leader's host is pulled, to the same instant. Every node has a network namespace of its own, so this
 *   needs Linux, root and iproute2. Nothing is closed; the leader runs on, and its `isLeader()` is asked every millisecond.
 * - `server-kill`: one server of a cluster of three goes down (`--how`); a sample is how long the leader was suspended.
 *
 * `--json` prints a `FailoverReport` (src/bench/options.ts), all times in milliseconds:
 *
 * - `samplesMs`, `p50`, `p90`, `p99`, `max`; `sample` describes a sample in words; `rounds`, `mode`, `ttlMs`, `nodes`,
 *   `crashDetection`, `silenceMs`, `server` (version), `servers` repeat the conditions.
 * - `afterLoseHook` (`term`, `stepdown`): the same, counted from the end of `onLoseLeadership`.
 * - `floor`: what the server alone takes, from the same run: `advisory`, `connz`, `cas`, `handover`, `killP50`;
 *   `scriptKill` (`kill`): a takeover written by hand on nats.js, with as many processes.
 * - `leaderChanges`, `overlapMs` (must be 0), `epochs`, `epochsIncrease`: what makes the run sound.
 * - `thaws` (`freeze`), `cuts` (`host`), `how` and `blows` (`server-kill`), `cooldownMs` (`stepdown`), `load` (load average before, after).
 *
 * Exits with 1 if two nodes led at once, an epoch did not increase, or a thawed leader still answered true; with 2 for invalid
 * options.
 */
import { CommanderError } from "commander";
import { failoverCommand } from "../../src/bench/command.ts";
import { messageOf } from "../../src/errors.ts";
import { endWhenOutputFails } from "../../src/system/output-failures.ts";

endWhenOutputFails();

try {
  await failoverCommand().name("bench:failover").exitOverride().parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  } else {
    process.stderr.write(`${messageOf(error)}\n`);
    process.exitCode = 1;
  }
}
