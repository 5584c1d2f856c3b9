/** The state of a deployment between two calls, in a folder of its own. */
import { existsSync } from "node:fs";
import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { DeployError } from "./errors.ts";
import { Credentials } from "./jwt/credentials.ts";
import { withLock } from "./lock.ts";
import type { Plan, Size } from "./plan.ts";
import { writeWhole } from "./write-whole.ts";

export const DEFAULT_STATE_DIR = ".nats-cluster";

export type BackendName = "process" | "compose";

/** A process that this deployment started. The start time distinguishes it from a later process with the same pid. */
export interface KnownProcess {
  readonly pid: number;
  readonly started: string;
  /** Digest of the passwords that it was started with. */
  readonly passwords?: string;
}

export interface UpOptions extends Plan {
  readonly backend: BackendName;
  /** Project name of the compose backend. @default derived from the port base */
  readonly composeProject?: string;
}

/** Kept while the servers are stopped, so that the next `up` starts the same ones. */
export interface Deployment extends UpOptions {
  /** Path of the nats-server of the process backend. */
  readonly binary?: string;
  /** The one before, to which "rollback" returns. */
  readonly previousBinary?: string;
  readonly processes: Readonly<Record<string, KnownProcess>>;
  /** A change of the number of servers that has begun and has not ended. */
  readonly scaling?: Scaling;
}

export interface Scaling {
  readonly from: number;
  readonly to: Size;
  /** Names of the servers whose removal has begun. They must not be started again: their data may have been deleted. */
  readonly leaving: readonly string[];
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

  get credentials(): Credentials {
    return new Credentials(join(this.path, "jwt"));
  }

  /** For `docker compose --env-file`. */
  get composeFile(): string {
    return join(this.path, "compose.env");
  }

  /** Where "backup" saves by default. */
  get backupDir(): string {
    return join(this.path, "backups");
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

  /** Undefined if nothing is deployed from this folder. */
  async read(): Promise<Deployment | undefined> {
    if (!existsSync(this.#file)) return undefined;
    const text = await readFile(this.#file, "utf8");
    let deployment: Partial<Deployment> | null;
    try {
      deployment = JSON.parse(text);
    } catch (cause) {
      throw new DeployError(`${this.#file} is not valid JSON: correct or delete it`, { cause });
    }
    const { topology, backend, portBase, processes } = deployment ?? {};
    if ([topology, backend, portBase, processes].includes(undefined))
      throw new DeployError(`${this.#file} does not describe a deployment: correct or delete it`);
    return deployment as Deployment;
  }

  async mustRead(): Promise<Deployment> {
    const deployment = await this.read();
    if (deployment !== undefined) return deployment;
    throw new DeployError(`nothing is deployed in ${this.path}: run "up", or name its folder with --state`);
  }

  async write(deployment: Deployment): Promise<void> {
    await mkdir(this.path, { recursive: true, mode: 0o700 });
    await writeWhole(this.#file, `${JSON.stringify(deployment, null, 2)}\n`);
  }

  /** Deletes the record of the deployment; keeps data, certificates and passwords. */
  async forget(): Promise<void> {
    await rm(this.#file, { force: true });
  }

  /** Runs `job` under the deployment's lock. */
  async locked<T>(job: () => Promise<T>): Promise<T> {
    return withLock(this.path, job);
  }
}
