/** Options that commands share, and the configuration that follows from them. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { show } from "../config/check.ts";
import { type LoadedConfig, type LoadOptions, loadConfig } from "../config/file/load.ts";
import { monitorUrl } from "../config/file/monitors.ts";
import { meaningOfServers, splitList } from "../config/file/spellings.ts";
import type { NodeOptions } from "../config/resolve.ts";
import { ClusterError } from "../errors.ts";
import { LOG_LEVELS, type LogLevel } from "../log/logger.ts";
import { type ClientOptions, ClusterClient } from "../manager/cluster-client.ts";
import { isId } from "../nats/identity.ts";
import { note } from "./output.ts";
import { parseDuration } from "./render/duration.ts";

/** go-cluster's name. */
export const DEFAULT_CONFIG = "cluster.json";
export const DEFAULT_TIMEOUT_MS = 2_000;
const MAX_DURATION_MS = 86_400_000;

export interface ClusterFlags {
  readonly config?: string;
  readonly clusterId?: string;
  readonly nodeId?: string;
  readonly natsUrl?: string;
  readonly servers?: string;
  readonly creds?: string;
  readonly domain?: string;
  readonly json?: boolean;
  readonly timeout?: number;
  readonly logLevel?: LogLevel;
  readonly http?: string;
  readonly requireNats?: boolean;
}

/** Adds the options that select the cluster, the node and the servers, and `--json`. */
export function withClusterOptions(command: Command): Command {
  return withServerOptions(
    withConfigOption(command).option("--cluster-id <id>", "cluster id").option("--node-id <id>", "node id"),
  );
}

/** Adds the options that select the servers, `--json`, and the time limit of one answer: for commands about groups. */
export function withGroupOptions(command: Command): Command {
  return withAnswerLimit(withServerOptions(withConfigOption(command)));
}

function withConfigOption(command: Command): Command {
  return command.option(
    "-c, --config <file>",
    `configuration file (default: ${DEFAULT_CONFIG} if it exists)`,
  );
}

function withServerOptions(command: Command): Command {
  return command
    .option("-s, --nats-url <urls>", "URLs of NATS servers, separated by commas")
    .addOption(new Option("--servers <urls>").hideHelp())
    .option("--creds <file>", "NATS credentials file")
    .option("--domain <name>", "JetStream domain that has the bucket")
    .option("--json", "print JSON");
}

/** `withClusterOptions`, and the time limit of one answer. */
export function withQueryOptions(command: Command): Command {
  return withAnswerLimit(withClusterOptions(command));
}

function withAnswerLimit(command: Command): Command {
  return command.option("--timeout <time>", "time limit for each answer (default: 2s)", positiveDuration);
}

export function logLevelOption(): Option {
  return new Option("--log-level <level>", "lowest level that is logged (default: info)").choices(LOG_LEVELS);
}

/** Where a command that runs a node or a member answers HTTP requests. */
export function httpOption(): Option {
  return new Option(
    "--http <address>",
    "answer health, leadership, status and metrics over HTTP there, such as 127.0.0.1:9465 (default: off)",
  );
}

/** For commands that run a node or a member. */
export function requireNatsOption(): Option {
  return new Option(
    "--require-nats",
    "exit 4 if NATS cannot be reached at the start, instead of waiting for it",
  );
}

/** Parses the value of an option, in milliseconds. */
export function duration(text: string): number {
  const ms = parseDuration(text);
  if (ms !== null && ms <= MAX_DURATION_MS) return ms;
  throw new InvalidArgumentError("Must be a duration of at most 24h, such as 500ms, 2s or 1m30s.");
}

/** Like `duration`, without 0. */
export function positiveDuration(text: string): number {
  const ms = duration(text);
  if (ms > 0) return ms;
  throw new InvalidArgumentError("Must be a duration above 0, such as 500ms, 2s or 1m30s.");
}

/** Parses the node id in an argument or option. */
export function nodeIdOf(text: string): string {
  if (isId(text)) return text;
  throw new InvalidArgumentError("A node id has 1 to 64 of the characters A-Z a-z 0-9 _ -.");
}

/** Parses the id of a group, or of a member, in an argument or option. */
export function groupIdOf(text: string): string {
  if (isId(text)) return text;
  throw new InvalidArgumentError("An id has 1 to 64 of the characters A-Z a-z 0-9 _ -.");
}

/** Parses monitoring ports: an option that may have several values, with commas or blanks between them. */
export function monitors(text: string, previous: readonly string[] = []): string[] {
  const urls = text.split(",").map((part) => part.trim());
  if (urls.some((url) => monitorUrl(url) === null))
    throw new InvalidArgumentError("Must be http or https URLs, such as http://n1:8222.");
  return [...previous, ...urls];
}

export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Must be a whole number from ${min} to ${max}.`);
  };
}

/** The configuration from flags, NATS_LEADER_* variables, the file, variables of other tools and of the platform, in this order. */
export function configOf(
  flags: ClusterFlags,
  forNode: boolean,
  {
    settings = [],
    ...more
  }: Pick<LoadOptions, "forCluster" | "namedByHost" | "requireFiles" | "unusableAddress"> & {
    /** Of flags that only this command has. */
    readonly settings?: readonly (readonly [path: string, flag: string, value: unknown])[];
  } = {},
): LoadedConfig {
  const { path, optional } = configPath(flags);
  const values = new Map<string, { value: unknown; flag: string }>();
  const give = (setting: string, flag: string, value: unknown): void => {
    if (value !== undefined) values.set(setting, { value, flag });
  };
  give("clusterId", "--cluster-id", flags.clusterId);
  give("nodeId", "--node-id", flags.nodeId);
  give("nats.servers", "--servers", listOf(flags.servers));
  give("nats.servers", "--nats-url", listOf(flags.natsUrl));
  checkServerFlags(flags);
  give("nats.credentials", "--creds", flags.creds);
  give("nats.domain", "--domain", flags.domain);
  give("http.listen", "--http", flags.http);
  for (const [path, flag, value] of settings) give(path, flag, value);
  const requireFiles = "to-connect";
  return loadConfig({ path, optional, flags: values, env: process.env, forNode, requireFiles, ...more });
}

/** A file that a flag or a variable names must exist; the default file need not. */
export function configPath(flags: ClusterFlags): { readonly path: string; readonly optional: boolean } {
  const named = flags.config ?? (process.env["NATS_LEADER_CONFIG"] || undefined);
  return { path: named ?? DEFAULT_CONFIG, optional: named === undefined };
}

function listOf(text: string | undefined): string[] | undefined {
  return text === undefined ? undefined : splitList(text);
}

function checkServerFlags({ natsUrl, servers }: ClusterFlags): void {
  if (natsUrl === undefined || servers === undefined) return;
  if (meaningOfServers(listOf(natsUrl)) === meaningOfServers(listOf(servers))) return;
  throw new ClusterError(
    "INVALID_CONFIG",
    `--nats-url ${show(listOf(natsUrl))} and --servers ${show(listOf(servers))} name different servers; keep one of them`,
  );
}

/** Prints how the configuration is interpreted where that differs from its text. */
export function printNotes(loaded: LoadedConfig): void {
  for (const line of loaded.notes) note(`note: ${line}`);
}

/**
 * Connects, calls `run`, and closes the connection. `--timeout` limits each answer.
 * @param limits `limitMs`: time limit for everything together.
 */
export async function withCluster<T>(
  flags: ClusterFlags,
  run: (client: ClusterClient, loaded: LoadedConfig) => Promise<T>,
  limits: Pick<ClientOptions, "limitMs" | "signal"> = {},
): Promise<T> {
  const loaded = configOf(flags, false);
  return withConnection(loaded, flags, (client) => run(client, loaded), limits);
}

/** As `withCluster`, for commands that need the servers and no cluster. */
export function withServers<T>(
  flags: ClusterFlags,
  run: (client: ClusterClient) => Promise<T>,
  limits: Pick<ClientOptions, "limitMs" | "signal"> = {},
): Promise<T> {
  return withConnection(configOf(flags, false, { forCluster: false }), flags, run, limits);
}

/** As `withCluster`, with a configuration that has been loaded. */
export async function withConnection<T>(
  loaded: LoadedConfig,
  flags: ClusterFlags,
  run: (client: ClusterClient) => Promise<T>,
  limits: Pick<ClientOptions, "limitMs" | "signal"> = {},
): Promise<T> {
  const timeoutMs = flags.timeout ?? DEFAULT_TIMEOUT_MS;
  const options = withConnectLimit(loaded.nodeOptions, timeoutMs);
  const client = await ClusterClient.connect(options, { timeoutMs, ...limits });
  try {
    return await run(client);
  } finally {
    await client.close();
  }
}

/** `--timeout` also limits the connection attempt, within the range that the option accepts. */
export function withConnectLimit(options: NodeOptions, timeoutMs: number): NodeOptions {
  return { ...options, connectTimeoutMs: Math.min(300_000, Math.max(100, timeoutMs)) };
}
