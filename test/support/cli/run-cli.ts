/** Helpers for tests of the command line: commands in child processes, daemons in this process, configuration files. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import type { Command } from "commander";
import { waitFor } from "../../../scripts/shared/wait.ts";
import type { FileConfig } from "../../../src/config/file/types.ts";
import { Manager, type ManagerHooks } from "../../../src/manager/manager.ts";
import { bucketSubjects, streamName } from "../../../src/nats/names.ts";
import type { CommandOutput } from "../../../src/system/run-command.ts";
import { atEnd } from "../at-end.ts";
import { ROOT } from "../processes/node-command.ts";
import { runToEnd } from "../processes/run-to-end.ts";
import { type Child, spawnChild } from "../processes/spawn-child.ts";

const main = "src/cli/main.ts";
/** Variables that configure nats-leader in the shell of the test run must not reach the commands. */
export const CLEAN: NodeJS.ProcessEnv = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name]) => !/^(NATS_(?!LEADER_TEST)|NATS_LEADER_(?!TEST)|FORCE_COLOR|HOSTNAME$|INSTANCE_ID$)/.test(name),
  ),
);

export interface CliOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** Runs a command to its end. */
export function cli(args: readonly string[], options: CliOptions = {}): Promise<CommandOutput> {
  const { cwd = ROOT, env } = options;
  return runToEnd(main, args, { cwd, env: { ...CLEAN, NO_COLOR: "1", ...env } });
}

/** Runs a command with `--json` and parses its stdout. */
export async function json<T = Record<string, unknown>>(
  args: readonly string[],
  options?: CliOptions,
): Promise<{ readonly code: number; readonly value: T }> {
  const { code, stdout, stderr } = await cli([...args, "--json"], options);
  if (stdout === "") throw new Error(`no output, exit code ${code}: ${stderr}`);
  return { code, value: JSON.parse(stdout) as T };
}

/** Starts a command that keeps running. Its lines are objects, or `{ text }`. */
export function start<L extends object = { readonly text?: string }>(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Child<L> {
  const child = spawnChild<L>(main, { args, env: { NO_COLOR: "1", ...env } });
  atEnd(() => child[Symbol.asyncDispose]());
  return child;
}

/** A folder that is removed at the end of the test. */
export function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "nats-leader-cli-"));
  atEnd(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A command and all its subcommands, with their paths: `nats-leader config check`. */
export function everyCommand(
  command: Command,
  path = "",
): { readonly path: string; readonly command: Command }[] {
  const name = `${path} ${command.name()}`.trim();
  return [{ path: name, command }, ...command.commands.flatMap((sub) => everyCommand(sub, name))];
}

/** Short enough for tests, long enough for a busy machine. */
export const ELECTION: FileConfig["election"] = {
  leaseTtlMs: 4_000,
  heartbeatIntervalMs: 1_000,
  cooldownMs: 500,
  successorGraceMs: 4_000,
};

export function configFor(
  server: { readonly url: string },
  clusterId: string,
  nodeId: string,
  more: Partial<FileConfig> = {},
): FileConfig {
  return { clusterId, nodeId, nats: { servers: [server.url] }, election: ELECTION, ...more };
}

/** Writes a configuration; returns its path. */
export function configFile(config: FileConfig, dir: string = folder()): string {
  const path = join(dir, `${config.nodeId}.json`);
  writeFileSync(path, JSON.stringify(config));
  return path;
}

export interface RunningDaemon {
  readonly manager: Manager;
  readonly config: FileConfig;
  readonly path: string;
  /** Stops it; resolves when it has stopped. */
  stop(): Promise<void>;
}

/** A daemon in this process; it is stopped at the end of the test. */
export async function startDaemon(config: FileConfig, hooks: ManagerHooks = {}): Promise<RunningDaemon> {
  const manager = new Manager(config, hooks, { logger: false });
  const ending = new AbortController();
  const done = manager.runDaemon({ signal: ending.signal });
  done.catch(() => {});
  const stop = async (): Promise<void> => {
    ending.abort();
    await done;
  };
  atEnd(stop);
  await Promise.race([done, waitFor(() => manager.node?.service, { message: "the daemon's service" })]);
  return { manager, config, path: configFile(config), stop };
}

export function leads(daemon: RunningDaemon): boolean {
  return daemon.manager.node?.isLeader() === true;
}

/** Daemons of these node ids; the first one leads. */
export async function startCluster(
  server: { readonly url: string },
  clusterId: string,
  nodeIds: readonly string[],
  more: Partial<FileConfig> = {},
): Promise<RunningDaemon[]> {
  const daemons: RunningDaemon[] = [];
  for (const nodeId of nodeIds) {
    const daemon = await startDaemon(configFor(server, clusterId, nodeId, more));
    daemons.push(daemon);
    const first = daemons[0];
    if (first !== undefined) await waitFor(() => leads(first), { message: "the first daemon to lead" });
    await waitFor(() => daemon.manager.node?.leader?.nodeId === nodeIds[0]);
  }
  return daemons;
}

/** Records every message that is sent to the bucket, including rejected writes. */
export class Onlooker {
  readonly writes: string[] = [];
  readonly #connection: NatsConnection;
  readonly #clusterId: string;

  private constructor(connection: NatsConnection, clusterId: string) {
    this.#connection = connection;
    this.#clusterId = clusterId;
    connection.subscribe(bucketSubjects(clusterId), {
      callback: (_error, message) => void this.writes.push(message.subject),
    });
  }

  static async of(server: { readonly url: string }, clusterId: string): Promise<Onlooker> {
    const connection = await connect({ servers: server.url });
    atEnd(() => connection.close());
    const onlooker = new Onlooker(connection, clusterId);
    await connection.flush();
    return onlooker;
  }

  /** Resolves when everything that was sent before is recorded. */
  async settled(): Promise<void> {
    await this.#connection.flush();
  }

  /** The bucket's state and configuration, and the names of all streams. */
  async everything(): Promise<unknown> {
    const api = async (name: string): Promise<Record<string, unknown>> =>
      (await this.#connection.request(`$JS.API.${name}`, "")).json();
    const { streams } = await api("STREAM.NAMES");
    const { state, config } = await api(`STREAM.INFO.${streamName(this.#clusterId)}`);
    const { consumer_count, ...rest } = state as Record<string, unknown>;
    return { streams, config, consumers: consumer_count, state: rest };
  }
}
