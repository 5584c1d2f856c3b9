/** Runs nats-servers as processes that outlive the script. Each pid is recorded before its server runs. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, open, readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { messageOf } from "../../src/errors.ts";
import { runCommand } from "../../src/system/run-command.ts";
import { poll } from "../../src/testing/server/run/wait.ts";
import type { Backend } from "./backend.ts";
import { DeployError } from "./errors.ts";
import {
  configFile,
  environmentOf,
  LIMITS,
  type PlannedServer,
  planServers,
  type ServerPlace,
} from "./plan.ts";
import { startOf } from "./process-identity.ts";
import { accountsWithStreams } from "./remembered.ts";
import { readPasswords, USERS, variableOf } from "./secrets.ts";
import type { Deployment, KnownProcess, StateDir } from "./state.ts";

/** On SIGTERM a server hands over the leaderships of its streams before it exits. */
const STOP_MS = 20_000;
const KILL_MS = 10_000;
const CHECK_MS = 30_000;
const LOG_TAIL_LINES = 8;

// The shell becomes the server (exec keeps the pid) only after the pid is recorded. If this script dies before that, its
// end of the pipe closes and the shell exits.
const GATE = 'read -r go || exit 0; exec "$0" "$@" </dev/null';

export class ProcessBackend implements Backend {
  readonly #state: StateDir;
  #deployment: Deployment;

  constructor(state: StateDir, deployment: Deployment) {
    this.#state = state;
    this.#deployment = deployment;
  }

  async start(server: PlannedServer): Promise<boolean> {
    if (this.#running(server) !== undefined) return false;
    const binary = this.#binary;
    const storeDir = this.#state.storeDir(server.name);
    await mkdir(storeDir, { recursive: true, mode: 0o700 });
    const env = { ...process.env, ...(await this.#environment(server)) };
    const log = await open(this.#state.logFile(server.name), "a", 0o600);
    try {
      const child = spawn("/bin/sh", ["-c", GATE, binary, "-c", configFile(this.#deployment)], {
        detached: true,
        env,
        stdio: ["pipe", log.fd, log.fd],
      });
      const failed = new Promise<never>((_, reject) => child.once("error", reject));
      failed.catch(() => {}); // after the pid is recorded, a failure shows as a missing process
      const { pid } = child;
      const started = pid === undefined ? undefined : startOf(pid);
      if (pid === undefined || started === undefined) throw await failed.catch((error: unknown) => error);
      const passwords = this.#passwords();
      await this.#remember(server, { pid, started, ...(passwords === undefined ? {} : { passwords }) });
      child.stdin?.on("error", () => {}); // an early exit shows as a missing process
      child.stdin?.end("go\n");
      child.unref();
    } finally {
      await log.close();
    }
    return true;
  }

  async stop(server: PlannedServer): Promise<boolean> {
    const known = this.#running(server);
    if (known === undefined) {
      await this.#remember(server, undefined);
      return false;
    }
    // Checked before each signal: the pid may belong to another process by then.
    const signal = (name: NodeJS.Signals): void => {
      if (this.#running(server) !== undefined) process.kill(known.pid, name);
    };
    const gone = (timeoutMs: number): Promise<true | undefined> =>
      poll(async () => (this.#running(server) === undefined ? true : undefined), { timeoutMs });
    signal("SIGTERM");
    signal("SIGCONT"); // a stopped process handles SIGTERM only after it continues
    if (!(await gone(STOP_MS))) {
      signal("SIGKILL");
      if (!(await gone(KILL_MS)))
        throw new DeployError(`${server.name} (pid ${known.pid}) still exists after SIGKILL`);
    }
    await this.#remember(server, undefined);
    return true;
  }

  async isRunning(server: PlannedServer): Promise<boolean> {
    return this.#running(server) !== undefined;
  }

  async refuseUnstartable(server: PlannedServer): Promise<void> {
    const env = { ...process.env, ...(await this.#environment(server)) };
    try {
      await runCommand(this.#binary, ["-t", "-c", configFile(this.#deployment)], {
        env,
        timeoutMs: CHECK_MS,
      });
      await this.#state.write(this.#deployment); // each start and stop is recorded
    } catch (cause) {
      throw new DeployError(`${server.name} could not be started again: ${messageOf(cause)}`, { cause });
    }
  }

  async hasOldPasswords(server: PlannedServer): Promise<boolean> {
    const { passwords } = this.#running(server) ?? {};
    return passwords !== undefined && passwords !== this.#passwords();
  }

  async mayHaveStreams({ name }: PlannedServer): Promise<boolean> {
    return (await accountsWithStreams(this.#state.storeDir(name))).length > 0;
  }

  async describe(server: PlannedServer): Promise<string> {
    const known = this.#running(server);
    return known === undefined ? "not running" : `pid ${known.pid}`;
  }

  async logTail(server: PlannedServer): Promise<string> {
    const text = await readFile(this.#state.logFile(server.name), "utf8").catch(() => "");
    return text.trim().split("\n").slice(-LOG_TAIL_LINES).join("\n");
  }

  async remove({ deleteData }: { readonly deleteData: boolean }): Promise<void> {
    if (!deleteData) return;
    for (const server of planServers(this.#deployment)) await this.discard(server);
  }

  async discard({ name }: PlannedServer): Promise<void> {
    await rm(dirname(this.#state.storeDir(name)), { recursive: true, force: true, maxRetries: 5 });
  }

  get #binary(): string {
    const { binary } = this.#deployment;
    if (binary !== undefined) return binary;
    throw new DeployError(
      'deployment.json does not contain the path of a nats-server: run "down", then "up"',
    );
  }

  /** Undefined if the servers use none. */
  #passwords(): string | undefined {
    const { secure, jwt } = this.#deployment;
    if (!secure || jwt || !existsSync(this.#state.usersFile)) return undefined;
    return createHash("sha256").update(readFileSync(this.#state.usersFile)).digest("hex").slice(0, 16);
  }

  #running(server: PlannedServer): KnownProcess | undefined {
    const known = this.#deployment.processes[server.name];
    return known !== undefined && startOf(known.pid) === known.started ? known : undefined;
  }

  async #remember(server: PlannedServer, known: KnownProcess | undefined): Promise<void> {
    const { [server.name]: _, ...others } = this.#deployment.processes;
    const processes = known === undefined ? others : { ...others, [server.name]: known };
    this.#deployment = { ...this.#deployment, processes };
    await this.#state.write(this.#deployment);
  }

  async #environment(server: PlannedServer): Promise<Record<string, string>> {
    const place = {
      storeDir: this.#state.storeDir(server.name),
      tlsDir: this.#state.tlsDir,
      ...(this.#deployment.jwt ? { jwt: await this.#tokens(server) } : {}),
    };
    const given = Object.keys(LIMITS).flatMap((name) => {
      const value = process.env[name] ?? "";
      return value === "" ? [] : [[name, value]];
    });
    const settings = { ...environmentOf(this.#deployment, server, place), ...Object.fromEntries(given) };
    if (!this.#deployment.secure || this.#deployment.jwt || !existsSync(this.#state.usersFile))
      return settings;
    const passwords = await readPasswords(this.#state.usersFile);
    return { ...settings, ...Object.fromEntries(USERS.map((user) => [variableOf(user), passwords[user]])) };
  }

  async #tokens(server: PlannedServer): Promise<NonNullable<ServerPlace["jwt"]>> {
    const { credentials } = this.#state;
    const dir = join(dirname(this.#state.storeDir(server.name)), "accounts");
    await credentials.copyAccounts(dir);
    return {
      operatorFile: credentials.operatorFile,
      systemAccount: await credentials.systemAccount(),
      dir,
    };
  }
}
