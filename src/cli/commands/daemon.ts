import type { Command } from "commander";
import type { Logger } from "../../log/logger.ts";
import { withoutLogin } from "../../log/redact.ts";
import { Manager, type ManagerHooks } from "../../manager/manager.ts";
import { serverFields } from "../../runtime/application/server-text.ts";
import { cliLogger, logTo } from "../log.ts";
import { handleUserSignals, SwitchedLevel } from "../node-signals.ts";
import {
  type ClusterFlags,
  configOf,
  httpOption,
  logLevelOption,
  requireNatsOption,
  withClusterOptions,
} from "../options.ts";
import { ServiceManager } from "../service-manager.ts";
import { untilSignal } from "../signals.ts";
import { makeVip, unusableAddress } from "../vip.ts";

export function daemon(command: Command): Command {
  return withClusterOptions(command)
    .addOption(httpOption())
    .addOption(requireNatsOption())
    .addOption(logLevelOption())
    .addHelpText("after", HELP)
    .action(run);
}

const HELP = `
The node competes for leadership. At SIGINT, SIGTERM or SIGHUP it releases its
leadership and exits 0; a second signal exits immediately. SIGUSR1 logs the
state of the node, SIGUSR2 switches to the log level debug and back. The log
goes to stdout, as text or, with --json, as JSON lines.

If NATS, or its JetStream, cannot be reached at the start, the daemon waits and
says so in the log; with --require-nats it exits 4. Refused credentials, TLS
problems and an invalid configuration end it in both cases.

Under systemd (Type=notify, NotifyAccess=all) it reports that it runs, what it
does, and with WatchdogSec= that its event loop runs.

With --http it answers /livez, /readyz, /leader and /status; port 0 takes a
free port, which the log names. docs/http.md has the answers.

Examples:
  nats-leader daemon --config a.json --log-level debug
  nats-leader daemon --config a.json --http 127.0.0.1:9465`;

async function run(flags: ClusterFlags): Promise<void> {
  const loaded = configOf(flags, true, { unusableAddress });
  const level = new SwitchedLevel(flags.logLevel ?? "info");
  const log = cliLogger({ level: level.now, json: flags.json === true, write: logTo(1) });
  const service = new ServiceManager(process.env, log);
  // Before the first line: a program that has read it may send signals.
  const ending = untilSignal((signal) => {
    log.info({ signal }, "Received signal, shutting down...");
    service.stopping();
  });
  let manager: Manager | null = null;
  const close = handleUserSignals(log, level, () => manager?.node ?? null);
  const { clusterId, nodeId, nats } = loaded.config;
  log.info(
    { nodeID: nodeId, clusterID: clusterId, natsServers: nats.servers.map(withoutLogin) },
    "Starting daemon",
  );
  for (const line of loaded.notes) log.warn({}, line);
  try {
    manager = new Manager(loaded, hooksFor(log, service), { logger: log, vip: makeVip });
    const waitForNats = flags.requireNats !== true;
    if (waitForNats) service.ready("connecting to NATS");
    await manager.runDaemon({ signal: ending.signal, waitForNats });
  } finally {
    ending.close();
    close();
    await service.close();
  }
}

/** Scripts for go-cluster match these messages. */
function hooksFor(log: Logger, service: ServiceManager): ManagerHooks {
  return {
    onBecomeLeader: (term) => log.info({ epoch: term.epoch }, "This node is now the LEADER"),
    onLoseLeadership: (term, reason) =>
      log.info({ epoch: term.epoch, reason }, "This node lost leadership, now PASSIVE"),
    onLeaderChange: (leader) => {
      // The first call comes when the node has connected and read the lease.
      service.ready(leader === null ? "no leader" : `leader: ${leader.nodeId}, epoch ${leader.epoch}`);
      if (leader === null) log.info({}, "No leader currently elected");
      else log.info({ leader: leader.nodeId, epoch: leader.epoch }, "Cluster leader changed");
    },
    onNatsReconnect: (server) => log.info(serverFields(server), "NATS reconnected"),
    onDaemonStart: () => log.info({}, "Daemon started"),
    onDaemonStop: () => log.info({}, "Daemon stopped"),
  };
}
