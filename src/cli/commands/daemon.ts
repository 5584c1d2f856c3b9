import type { Command } from "commander";
import { httpToken } from "../../config/file/http.ts";
import type { LoadedConfig } from "../../config/file/load.ts";
import { PACKAGE_VERSION } from "../../config/options.ts";
import { ClusterError } from "../../errors.ts";
import type { Logger } from "../../log/logger.ts";
import { withoutLogin } from "../../log/redact.ts";
import { Manager, type ManagerHooks } from "../../manager/manager.ts";
import { serverFields } from "../../runtime/application/server-text.ts";
import type { Ui } from "../../ui/server/ui.ts";
import { cliLogger, logTo } from "../log.ts";
import { handleUserSignals, SwitchedLevel } from "../node-signals.ts";
import {
  type ClusterFlags,
  configOf,
  DEFAULT_TIMEOUT_MS,
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
    .option("--ui", "with --http: serve the live page at /ui/, read-only")
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

With --http it answers /livez, /readyz, /leader, /status and /metrics; port 0
takes a free port, which the log names. docs/http.md has the answers. With
--ui also the page of "nats-leader ui", read-only: docs/ui.md.

Examples:
  nats-leader daemon --config a.json --log-level debug
  nats-leader daemon --config a.json --http 127.0.0.1:9465`;

interface Flags extends ClusterFlags {
  readonly ui?: boolean;
}

async function run(flags: Flags): Promise<void> {
  const loaded = configOf(flags, true, { unusableAddress });
  if (flags.ui === true && loaded.http === null)
    throw new ClusterError(
      "INVALID_CONFIG",
      "--ui needs an HTTP server: add --http ADDRESS, or http.listen to the file",
    );
  // A bad token is refused before the log says that the daemon starts.
  if (loaded.http !== null) httpToken(loaded.http);
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
  const page = flags.ui === true ? await livePage(loaded, log) : null;
  const mounts = page === null ? {} : { "/ui/": page };
  // Its streams end before the server waits for them.
  ending.signal.addEventListener("abort", () => void page?.close(), { once: true });
  try {
    manager = new Manager(loaded, hooksFor(log, service), { logger: log, vip: makeVip, mounts });
    const waitForNats = flags.requireNats !== true;
    if (waitForNats) service.ready("connecting to NATS");
    await manager.runDaemon({ signal: ending.signal, waitForNats });
  } finally {
    await page?.close();
    ending.close();
    close();
    await service.close();
  }
}

/** It connects with its first viewer. */
async function livePage({ nodeOptions }: LoadedConfig, log: Logger): Promise<Ui> {
  const { Ui } = await import("../../ui/server/ui.ts");
  const { clusterId } = nodeOptions;
  return new Ui({
    nodeOptions,
    timeoutMs: DEFAULT_TIMEOUT_MS,
    clusters: [clusterId],
    control: false,
    version: PACKAGE_VERSION,
    logger: log,
  });
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
