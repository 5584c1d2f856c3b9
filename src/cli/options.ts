/** The flags that commands share, and the configuration that follows from them. */
import { Command, InvalidArgumentError, Option } from "commander";
import { type LoadedConfig, loadConfig } from "../config/file/load.ts";
import type { NodeOptions } from "../config/resolve.ts";
import { LOG_LEVELS, type LogLevel } from "../log/logger.ts";
import { ClusterClient } from "../manager/cluster-client.ts";
import { parseDuration } from "./duration.ts";
import { note } from "./output.ts";

/** go-cluster's. */
export const DEFAULT_CONFIG = "cluster.json";
const DEFAULT_TIMEOUT_MS = 2_000;

export interface ClusterFlags {
  readonly config?: string;
  readonly clusterId?: string;
  readonly nodeId?: string;
  readonly natsUrl?: string;
  readonly servers?: string;
  readonly creds?: string;
  readonly json?: boolean;
  readonly timeout?: number;
  readonly logLevel?: LogLevel;
}

/** A command with the flags that say which cluster. `what`: one line. */
export function clusterCommand(name: string, what: string): Command {
  return new Command(name)
    .description(what)
    .option("-c, --config <file>", `configuration file (default: ${DEFAULT_CONFIG} if there)`)
    .option("--cluster-id <id>", "which cluster")
    .option("--node-id <id>", "which node")
    .option("-s, --nats-url <urls>", "NATS servers, comma separated")
    .addOption(new Option("--servers <urls>").hideHelp())
    .option("--creds <file>", "NATS credentials file")
    .option("--json", "print JSON");
}

/** And those of commands that wait for an answer. */
export function askingCommand(name: string, what: string): Command {
  return clusterCommand(name, what).option(
    "--timeout <time>",
    "longest wait for an answer (default: 2s)",
    duration,
  );
}

export function logLevelOption(): Option {
  return new Option("--log-level <level>", "how much is logged (default: info)").choices(LOG_LEVELS);
}

/** Parses a flag's value. */
export function duration(text: string): number {
  const ms = parseDuration(text);
  if (ms === null || ms > 86_400_000)
    throw new InvalidArgumentError("must be a time such as 500ms, 2s or 1m30s");
  return ms;
}

/** Like `duration`, without 0. */
export function someTime(text: string): number {
  const ms = duration(text);
  if (ms === 0) throw new InvalidArgumentError("must be more than nothing, such as 2s");
  return ms;
}

export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`must be a whole number from ${min} to ${max}`);
  };
}

/** The configuration in force: flags, NATS_LEADER_* variables, the file, variables of other NATS tools. */
export function configOf(flags: ClusterFlags, forNode: boolean, forCluster = true): LoadedConfig {
  const { path, optional } = configPath(flags);
  const values = new Map<string, { value: unknown; flag: string }>();
  const give = (setting: string, flag: string, value: unknown): void => {
    if (value !== undefined) values.set(setting, { value, flag });
  };
  give("clusterId", "--cluster-id", flags.clusterId);
  give("nodeId", "--node-id", flags.nodeId);
  give("nats.servers", "--servers", listOf(flags.servers));
  give("nats.servers", "--nats-url", listOf(flags.natsUrl));
  give("nats.credentials", "--creds", flags.creds);
  return loadConfig({ path, optional, flags: values, env: process.env, forNode, forCluster });
}

/** The default file may be missing; one that was named must be there. */
export function configPath(flags: ClusterFlags): { readonly path: string; readonly optional: boolean } {
  const named = flags.config ?? (process.env["NATS_LEADER_CONFIG"] || undefined);
  return { path: named ?? DEFAULT_CONFIG, optional: named === undefined };
}

function listOf(text: string | undefined): string[] | undefined {
  return text
    ?.split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

export function tellNotes(loaded: LoadedConfig): void {
  for (const line of loaded.notes) note(`note: ${line}`);
}

/** Connects, runs, closes. */
export async function withCluster<T>(
  flags: ClusterFlags,
  run: (client: ClusterClient, loaded: LoadedConfig) => Promise<T>,
): Promise<T> {
  const loaded = configOf(flags, false);
  const timeoutMs = flags.timeout ?? DEFAULT_TIMEOUT_MS;
  const client = await ClusterClient.connect(impatient(loaded.nodeOptions, timeoutMs), { timeoutMs });
  try {
    return await run(client, loaded);
  } finally {
    await client.close();
  }
}

/** `--timeout` also limits the connecting. */
export function impatient(options: NodeOptions, timeoutMs: number): NodeOptions {
  return { ...options, connectTimeoutMs: Math.min(300_000, Math.max(100, timeoutMs)) };
}
