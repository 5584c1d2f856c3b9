import { type Command, Option } from "commander";
import { Manager } from "../../manager/manager.ts";
import type { Term } from "../../node/term.ts";
import type { RunFlags } from "../groups/run-flags.ts";
import { checkNoGroupFlags, groupConfigOf, runGroup } from "../groups/run-group.ts";
import { cliLogger, logTo } from "../log.ts";
import { handleUserSignals, SwitchedLevel } from "../node-signals.ts";
import {
  configOf,
  duration,
  groupIdOf,
  httpOption,
  logLevelOption,
  requireNatsOption,
  wholeNumber,
  withClusterOptions,
} from "../options.ts";
import { ServiceManager } from "../service-manager.ts";
import { beforeTerminalStop, untilSignal } from "../signals.ts";
import { drainTimeoutMs, programOptions } from "../supervise/program-options.ts";
import { ProgramRunner, RESTARTS } from "../supervise/program-runner.ts";
import { makeVip, unusableAddress } from "../vip.ts";

export function run(command: Command): Command {
  return withClusterOptions(command.argument("<command...>", "the program and its arguments, after --"))
    .passThroughOptions()
    .addOption(
      new Option("--grace <time>", "time from SIGTERM to SIGKILL").argParser(duration).default(10_000, "10s"),
    )
    .addOption(
      new Option("--restart <when>", "whether to restart a program that exits")
        .choices(RESTARTS)
        .default("never"),
    )
    .addOption(
      new Option("--restart-delay <time>", "pause before a restart").argParser(duration).default(1_000, "1s"),
    )
    .addOption(
      new Option("--on-suspend <what>", "what to do while the term is suspended")
        .choices(["freeze", "continue"])
        .default("freeze"),
    )
    .option("--group <id>", "run one program for each resource of a group that this host owns", groupIdOf)
    .option("--resources <number>", "with --group: a number of partitions, or names separated by commas")
    .option(
      "--weight <number>",
      "with --group: share relative to other members (default: 1)",
      wholeNumber(0, 10_000),
    )
    .option("--zone <name>", "with --group: where this host is", groupIdOf)
    .option("--max-owned <number>", "with --group: most resources of this host", wholeNumber(0, 1_000_000))
    .option(
      "--settle <time>",
      "with --group: time without a change of the members before resources move for balance (default: 3s)",
      duration,
    )
    .option(
      "--rejoin-grace <time>",
      "with --group: time for which the resources of a member that vanished are kept for it (default: 0s)",
      duration,
    )
    .option(
      "--unowned-grace <time>",
      "with --group: time without an owner until any member may take a resource (default: 3s)",
      duration,
    )
    .option(
      "--max-moves <number>",
      "with --group: most resources given up at a time (default: 16)",
      wholeNumber(1, 100_000),
    )
    .option("--no-create-bucket", "with --group: fail if the bucket of the group does not exist")
    .option("--pass-credentials", "leave NATS credentials in the program's environment")
    .addOption(httpOption())
    .addOption(requireNatsOption())
    .addOption(logLevelOption())
    .addHelpText("after", HELP)
    .action(act);
}

const HELP = `
This host competes as a node. When it becomes the leader, the program starts
with LEADER_EPOCH, LEADER_NODE_ID and LEADER_CLUSTER_ID in its environment.
When it steps down, the program gets SIGTERM, and SIGKILL after the grace
period; then the lease is released. When it loses its leadership, the program
gets SIGKILL. If this process is killed, the program is killed, too; if it is
stopped (Ctrl-Z), the program is frozen. Signals reach all processes of the
program's process group. Variables that contain NATS credentials, such as
NATS_LEADER_PASSWORD and NATS_CREDS, are not passed on.

If the program exits by itself, this host steps down and exits with the same
code (128 + signal; 126 or 127 if the program cannot be run), unless --restart
applies. After a signal it exits 0, or with the program's own exit code.

If NATS cannot be reached at the start, it waits for it, unless --require-nats
is given, as "nats-leader daemon" does.

With --group this host joins a group, as the member --node-id, and the program
runs once for each resource that it owns, with LEADER_RESOURCE, LEADER_EPOCH,
LEADER_GROUP_ID and LEADER_MEMBER_ID. A program that fails gives its resource
up, which this host refuses for a while; one that exits with 0 is not run again
until the resource comes back. A cluster id is not needed.

Examples:
  nats-leader run --config a.json --grace 5s -- ./worker --queue jobs
  nats-leader run --group orders --resources 16 -- ./worker`;

async function act(command: string[], flags: RunFlags): Promise<void> {
  const ofGroup = groupConfigOf(flags);
  if (ofGroup !== null) return runGroup(ofGroup, command, flags);
  checkNoGroupFlags(flags);
  const loaded = configOf(flags, true, { unusableAddress, forCluster: "or-group" });
  const level = new SwitchedLevel(flags.logLevel ?? "info");
  const log = cliLogger({ level: level.now, json: flags.json === true, write: logTo(2) });
  for (const line of loaded.notes) log.warn({}, line);
  // Before the program's environment is made: systemd's variables are not for the program.
  const service = new ServiceManager(process.env, log);
  const finished = new AbortController();
  let code = 0;
  const runner = new ProgramRunner({
    ...programOptions(command, flags, loaded, log),
    onFinished: (own) => {
      code = own;
      finished.abort();
    },
    onStopped: (own) => {
      code = own;
    },
  });
  const ending = untilSignal(
    (signal) => {
      log.info({ signal }, "Received signal, shutting down...");
      service.stopping();
    },
    () => runner.kill(),
  );
  const ignoreStops = beforeTerminalStop(
    () => runner.freeze(),
    () => runner.thaw(),
  );
  const close = handleUserSignals(log, level, () => manager.node);
  const nodeOptions = { ...loaded.nodeOptions, drainTimeoutMs: drainTimeoutMs(loaded, flags.grace) };
  const manager: Manager = new Manager(
    { ...loaded, nodeOptions },
    {
      onBecomeLeader: (term) => runner.begin(term, manager.node, environmentOf(term)),
      onLoseLeadership: () => runner.end(),
    },
    { logger: log, vip: makeVip },
  );
  try {
    const waitForNats = flags.requireNats !== true;
    service.ready("running");
    await manager.runDaemon({ signal: AbortSignal.any([ending.signal, finished.signal]), waitForNats });
  } finally {
    await service.close();
    ending.close();
    ignoreStops();
    close();
  }
  process.exitCode = code;
}

function environmentOf({ epoch, nodeId, clusterId }: Term): NodeJS.ProcessEnv {
  return { LEADER_EPOCH: String(epoch), LEADER_NODE_ID: nodeId, LEADER_CLUSTER_ID: clusterId };
}
