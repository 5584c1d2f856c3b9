import { type Command, Option } from "commander";
import type { LoadedConfig } from "../../config/file/load.ts";
import { DEFAULTS } from "../../config/resolve.ts";
import { Manager } from "../../manager/manager.ts";
import { cliLogger } from "../log.ts";
import { type ClusterFlags, clusterCommand, configOf, duration, logLevelOption } from "../options.ts";
import { note } from "../output.ts";
import { untilSignal } from "../signals.ts";
import { ProgramRunner, RESTARTS, type Restart } from "../supervise/program-runner.ts";
import { makeVip } from "../vip.ts";

interface Flags extends ClusterFlags {
  readonly grace: number;
  readonly restart: Restart;
  readonly restartDelay: number;
  readonly onSuspend: "freeze" | "continue";
}

/** Beyond the grace: the time a killed program takes to be gone, and the lease to be deleted. */
const AFTER_GRACE_MS = 1_000;

export function run(): Command {
  return clusterCommand("run", "run any program, only while this host leads")
    .argument("<command...>", "the program and its arguments, after --")
    .passThroughOptions()
    .addOption(
      new Option("--grace <time>", "from SIGTERM to SIGKILL").argParser(duration).default(10_000, "10s"),
    )
    .addOption(
      new Option("--restart <when>", "if the program ends by itself").choices(RESTARTS).default("never"),
    )
    .addOption(
      new Option("--restart-delay <time>", "pause before a restart").argParser(duration).default(1_000, "1s"),
    )
    .addOption(
      new Option("--on-suspend <what>", "while the connection is lost")
        .choices(["freeze", "continue"])
        .default("freeze"),
    )
    .addOption(logLevelOption())
    .addHelpText("after", HELP)
    .action(act);
}

const HELP = `
This host competes as a node. When it leads, the program is started with
LEADER_EPOCH, LEADER_NODE_ID and LEADER_CLUSTER_ID in its environment.
When it steps down: SIGTERM, SIGKILL after the grace, then the lease goes.
When leadership is lost: SIGKILL at once. Should this process be killed, the
program is killed as well. Signals reach all processes of its group.

If the program ends by itself, this host steps down, and exits with its
exit code (128 + signal; 126 or 127 when it cannot be run), unless --restart
says otherwise. Told to end by a signal: exit code 0, or the program's own.

Example:
  nats-leader run --config a.json --grace 5s -- ./worker --queue jobs`;

async function act(command: string[], flags: Flags): Promise<void> {
  const loaded = configOf(flags, true);
  const log = cliLogger({ level: flags.logLevel ?? "info", json: flags.json === true, write: note });
  for (const line of loaded.notes) log.warn({}, line);
  const finished = new AbortController();
  const [program = "", ...args] = command;
  let code = 0;
  const runner = new ProgramRunner({
    command: program,
    args,
    graceMs: flags.grace,
    restart: flags.restart,
    restartDelayMs: flags.restartDelay,
    onSuspend: flags.onSuspend,
    log,
    onFinished: (own) => {
      code = own;
      finished.abort();
    },
    onStopped: (own) => {
      code = own;
    },
  });
  const ending = untilSignal(
    (signal) => log.info({ signal }, "Received signal, shutting down..."),
    () => runner.kill(),
  );
  const manager: Manager = new Manager(
    patient(loaded, flags.grace),
    {
      onBecomeLeader: (term) => runner.begin(term, manager.node),
      onLoseLeadership: () => runner.end(),
    },
    { logger: log, vip: makeVip },
  );
  try {
    await manager.runDaemon({ signal: AbortSignal.any([ending.signal, finished.signal]) });
  } finally {
    ending.close();
  }
  process.exitCode = code;
}

/** The lease is kept for as long as the program may take to end. */
function patient(loaded: LoadedConfig, graceMs: number): LoadedConfig {
  const { nodeOptions } = loaded;
  const drainTimeoutMs = Math.max(
    nodeOptions.drainTimeoutMs ?? DEFAULTS.drainTimeoutMs,
    graceMs + AFTER_GRACE_MS,
  );
  return { ...loaded, nodeOptions: { ...nodeOptions, drainTimeoutMs: Math.min(drainTimeoutMs, 3_600_000) } };
}
