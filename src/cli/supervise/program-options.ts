/** What `run` makes of its flags, for a node and for a member of a group alike. */
import type { LoadedConfig } from "../../config/file/load.ts";
import { DEFAULTS } from "../../config/resolve.ts";
import type { Logger } from "../../log/logger.ts";
import type { RunFlags } from "../groups/run-flags.ts";
import { withoutCredentials } from "./environment.ts";
import type { RunnerOptions } from "./program-runner.ts";

export type ProgramOptions = Omit<RunnerOptions, "onFinished" | "onStopped">;

/** Time after the grace period for SIGKILL to take effect, and for the release. */
const AFTER_GRACE_MS = 1_000;
/** The largest `drainTimeoutMs` that a node or a member accepts. */
const MAX_DRAIN_TIMEOUT_MS = 3_600_000;

/** The program and how it is run. Logs which variables are kept from it. */
export function programOptions(
  [command = "", ...args]: readonly string[],
  flags: RunFlags,
  { nodeOptions }: LoadedConfig,
  log: Logger,
): ProgramOptions {
  const { env, withheld } =
    flags.passCredentials === true ? { env: process.env, withheld: [] } : withoutCredentials(process.env);
  if (withheld.length > 0) log.info({ variables: withheld }, "credentials are not passed to the program");
  return {
    command,
    args,
    env,
    graceMs: flags.grace,
    restart: flags.restart,
    restartDelayMs: flags.restartDelay,
    // Without crash detection no other process takes over before the deadline.
    onSuspend: nodeOptions.crashDetection === "lease" ? "continue" : flags.onSuspend,
    log,
  };
}

/** The lease is kept until the program has ended, so that a drain has at least the grace period. */
export function drainTimeoutMs({ nodeOptions }: LoadedConfig, graceMs: number): number {
  const configuredMs = nodeOptions.drainTimeoutMs ?? DEFAULTS.drainTimeoutMs;
  return Math.min(Math.max(configuredMs, graceMs + AFTER_GRACE_MS), MAX_DRAIN_TIMEOUT_MS);
}
