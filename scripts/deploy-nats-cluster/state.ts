/** What a deployment remembers between two calls, in a folder of its own. */
import { existsSync } from "node:fs";
import { link, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DeployError } from "./errors.ts";
import type { Plan } from "./plan.ts";
import { isAlive } from "./process-identity.ts";

export const DEFAULT_STATE_DIR = ".nats-cluster";

export type BackendName = "process" | "compose";

/** A process that this deployment started. A pid alone may be another process's by now; its start tells. */
export interface KnownProcess {
  readonly pid: number;
  readonly started: string;
}

export interface Deployment extends Plan {
  readonly backend: BackendName;
  /** Of the compose backend. Default: by the ports. */
  readonly composeProject?: string;
  /** The nats-server of the process backend. */
  readonly binary?: string;
  readonly processes: Readonly<Record<string, KnownProcess>>;
}

/** The files of a state folder. */
export class StateDir {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  get tlsDir(): string {
    return join(this.path, "tls");
  }

  get usersFile(): string {
    return join(this.path, "users.env");
  }

  /** For `docker compose --env-file`. */
  get composeFile(): string {
    return join(this.path, "compose.env");
  }

  storeDir(server: string): string {
    return join(this.path, server, "jetstream");
  }

  logFile(server: string): string {
    return join(this.path, server, "server.log");
  }

  get #file(): string {
    return join(this.path, "deployment.json");
  }

  /** Undefined: nothing is deployed from here. */
  async read(): Promise<Deployment | undefined> {
    if (!existsSync(this.#file)) return undefined;
    const text = await readFile(this.#file, "utf8");
    try {
      return JSON.parse(text) as Deployment;
    } catch (cause) {
      throw new DeployError(`${this.#file} is no JSON: was it edited?`, { cause });
    }
  }

  async mustRead(): Promise<Deployment> {
    const deployment = await this.read();
    if (deployment !== undefined) return deployment;
    throw new DeployError(`nothing is deployed in ${this.path}: run "up", or name its folder with --state`);
  }

  /** Whole or not at all. */
  async write(deployment: Deployment): Promise<void> {
    await mkdir(this.path, { recursive: true, mode: 0o700 });
    const draft = `${this.#file}.${process.pid}`;
    await writeFile(draft, `${JSON.stringify(deployment, null, 2)}\n`);
    await rename(draft, this.#file);
  }

  /** Forgets the deployment; data, certificates and passwords stay. */
  async forget(): Promise<void> {
    await rm(this.#file, { force: true });
  }

  /** Runs `job` while no other call changes this deployment. A lock whose owner has died is passed over. */
  async locked<T>(job: () => Promise<T>): Promise<T> {
    await mkdir(this.path, { recursive: true, mode: 0o700 });
    const lock = join(this.path, "lock");
    const mine = `${lock}.${process.pid}`;
    await writeFile(mine, String(process.pid));
    for (let attempt = 1; ; attempt++) {
      try {
        await link(mine, lock); // there with its owner's pid in it, or not at all
        break;
      } catch (error) {
        if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
        const owner = Number(await readFile(lock, "utf8").catch(() => ""));
        if (owner > 0 && isAlive(owner))
          throw new DeployError(`another call (pid ${owner}) is at work in ${this.path}: wait for its end`);
        if (attempt === 3) throw new DeployError(`${lock} can't be taken: remove it if nothing runs`);
        await rm(lock, { force: true });
      }
    }
    try {
      return await job();
    } finally {
      await rm(lock, { force: true });
      await rm(mine, { force: true });
    }
  }
}
