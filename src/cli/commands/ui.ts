import type { Command } from "commander";
import { isLoopback, LISTEN_RULE, type ListenAddress, parseListenAddress } from "../../config/listen.ts";
import { PACKAGE_VERSION } from "../../config/options.ts";
import { ClusterError } from "../../errors.ts";
import { startHttpServer } from "../../http/server.ts";
import { createLogger } from "../../log/logger.ts";
import { Ui } from "../../ui/server/ui.ts";
import { cliLogger, logTo } from "../log.ts";
import {
  type ClusterFlags,
  configOf,
  DEFAULT_TIMEOUT_MS,
  withConnectLimit,
  withGroupOptions,
} from "../options.ts";
import { print, printJsonLine } from "../output.ts";
import { unlessAborted, untilSignal } from "../signals.ts";

const DEFAULT_LISTEN = "127.0.0.1:0";

interface Flags extends ClusterFlags {
  readonly listen?: string;
  readonly allowHost?: readonly string[];
  readonly allowControl?: boolean;
}

export function ui(command: Command): Command {
  return withGroupOptions(command)
    .option("--listen <address>", `address and port (default: ${DEFAULT_LISTEN}, a free port)`)
    .option("--allow-host <name>", "name of this host in browsers; repeatable", gathered)
    .option("--allow-control", "allow step-down, handover and drain on the page")
    .addHelpText("after", HELP)
    .action(run);
}

const HELP = `
Prints the URL of the page and serves it until Ctrl-C. It writes nothing to NATS
and does not join the election. With --allow-control the page has buttons; each
is confirmed by typing a name, and logged to stderr.

Examples:
  nats-leader ui --nats-url nats://localhost:4222
  nats-leader ui --config a.json --listen 9466 --allow-control`;

function gathered(name: string, before: readonly string[] = []): readonly string[] {
  return [...before, name];
}

async function run(flags: Flags): Promise<void> {
  const listen = flags.listen ?? DEFAULT_LISTEN;
  const control = flags.allowControl === true;
  checkListen(parseListenAddress(listen), listen, control);
  const loaded = configOf(flags, false, { forCluster: false });
  const { nodeOptions, origins, config } = loaded;
  const timeoutMs = flags.timeout ?? DEFAULT_TIMEOUT_MS;
  const json = flags.json === true;
  const logger = createLogger({ logger: cliLogger({ level: () => "info", json, write: logTo(2) }) });
  const page = new Ui({
    nodeOptions: withConnectLimit(nodeOptions, timeoutMs),
    timeoutMs,
    clusters: origins.has("clusterId") && nodeOptions.clusterId !== undefined ? [nodeOptions.clusterId] : [],
    groups: config.group?.id === undefined ? [] : [config.group.id],
    control,
    version: PACKAGE_VERSION,
    logger,
  });
  const ending = untilSignal();
  try {
    const started = await unlessAborted(
      ending.signal,
      page.start().then(() => true),
    );
    if (started === null) return;
    await using server = await startHttpServer({
      listen,
      hosts: flags.allowHost,
      mounts: { "/ui/": page },
      // The page logs what concerns it; its address is printed below.
      logger: false,
    });
    const url = `${server.url}/ui/`;
    if (json) printJsonLine({ url, control });
    else print(`${url}  (${control ? "with control" : "read-only"}; Ctrl-C ends it)`);
    await new Promise<void>((resolve) => {
      if (ending.signal.aborted) return resolve();
      ending.signal.addEventListener("abort", () => resolve(), { once: true });
    });
    // Its streams end before the server waits for them.
    await page.close();
  } finally {
    ending.close();
    await page.close();
  }
}

function checkListen(address: ListenAddress | null, text: string, control: boolean): void {
  if (address === null) throw new ClusterError("INVALID_CONFIG", `--listen "${text}" must be ${LISTEN_RULE}`);
  if (!control || isLoopback(address.host)) return;
  throw new ClusterError(
    "INVALID_CONFIG",
    `--allow-control needs a loopback address, and --listen is "${text}": every host that reaches it could change ` +
      "leadership. Listen on 127.0.0.1, and reach it through a tunnel such as ssh -L",
  );
}
