/** Runs nats-servers as containers, with Docker Compose and the compose files of the examples. */
import { join } from "node:path";
import { runCommand } from "../../src/system/run-command.ts";
import type { Backend } from "./backend.ts";
import { DeployError } from "./errors.ts";
import { EXAMPLES, hasGateways, type Plan, type PlannedServer, planServers } from "./plan.ts";
import { readPasswords, USERS, variableOf } from "./secrets.ts";
import type { Deployment, StateDir } from "./state.ts";

/** Of the services that not every size of a cluster has. */
export const COMPOSE_PROFILES: readonly string[] = ["five", "seven"];
const COMMAND_MS = 300_000; // an image may have to be pulled
const ASK_MS = 10_000;

/** The command of Compose: the plugin, or the older separate program. Undefined if neither is installed. */
export async function findCompose(): Promise<readonly string[] | undefined> {
  for (const command of [["docker", "compose"], ["docker-compose"]]) {
    const [program = "", ...args] = command;
    const works = await runCommand(program, [...args, "version"], { timeoutMs: 10_000 }).then(
      () => true,
      () => false,
    );
    if (works) return command;
  }
  return undefined;
}

/** Volumes belong to the project: another project name has other data. */
export function composeProjectOf(portBase: number): string {
  return `nats-leader-${portBase}`;
}

export function composeYaml(plan: Pick<Plan, "topology">): string {
  if (!hasGateways(plan)) return join(EXAMPLES, "nats-cluster/compose.yaml");
  const file = plan.topology === "supercluster" ? "compose.yaml" : "compose.two-regions.yaml";
  return join(EXAMPLES, "supercluster", file);
}

/** The content of the env file for `compose.yaml`: ports, variant, and the secrets of a secured deployment. */
export async function composeEnv(state: StateDir, plan: Plan): Promise<string> {
  const lines = [`NATS_VARIANT=${plan.secure ? "secure" : "plain"}`];
  const size = plan.size ?? 3;
  if (size > 3) lines.push(`COMPOSE_PROFILES=${COMPOSE_PROFILES.slice(0, size === 5 ? 1 : 2).join(",")}`);
  for (const server of planServers(plan)) {
    const prefix = server.name.toUpperCase().replaceAll("-", "_");
    lines.push(`${prefix}_CLIENT_PORT=${server.clientPort}`, `${prefix}_MONITOR_PORT=${server.monitorPort}`);
  }
  if (plan.secure) {
    const passwords = await readPasswords(state.usersFile);
    lines.push(`NATS_TLS_DIR=${state.tlsDir}`);
    lines.push(...USERS.map((user) => `${variableOf(user)}=${passwords[user]}`));
  }
  return `${lines.join("\n")}\n`;
}

export class ComposeBackend implements Backend {
  readonly #state: StateDir;
  readonly #deployment: Deployment;

  constructor(state: StateDir, deployment: Deployment) {
    this.#state = state;
    this.#deployment = deployment;
    if (deployment.topology === "single")
      throw new DeployError("--single needs --backend process: the compose files define clusters only");
  }

  async start(server: PlannedServer): Promise<boolean> {
    const before = await this.isRunning(server);
    await this.#compose("up", "-d", "--no-deps", server.name);
    return !before;
  }

  async stop(server: PlannedServer): Promise<boolean> {
    if (!(await this.isRunning(server))) return false;
    await this.#compose("stop", "--timeout", "20", server.name);
    return true;
  }

  async isRunning(server: PlannedServer): Promise<boolean> {
    return (await this.#container(server)) !== "";
  }

  async refuseUnstartable(): Promise<void> {
    await this.#compose("config", "--quiet");
  }

  async hasOldPasswords(): Promise<boolean> {
    return false;
  }

  async mayHaveStreams(): Promise<boolean> {
    return true; // the data are in a volume
  }

  async describe(server: PlannedServer): Promise<string> {
    const id = await this.#container(server);
    return id === "" ? "not running" : `container ${id.slice(0, 12)}`;
  }

  async logTail(server: PlannedServer): Promise<string> {
    return this.#compose("logs", "--no-color", "--tail", "8", server.name).catch(() => "");
  }

  async remove({ deleteData }: { readonly deleteData: boolean }): Promise<void> {
    await this.#compose("down", ...(deleteData ? ["--volumes"] : []));
  }

  async discard({ name }: PlannedServer): Promise<void> {
    await this.#compose("rm", "--stop", "--force", name);
    await runCommand("docker", ["volume", "rm", "--force", `${this.#project}_${name}`], {
      timeoutMs: COMMAND_MS,
    });
  }

  /** The id of the server's running container; empty if there is none. */
  async #container(server: PlannedServer): Promise<string> {
    // Fails if the project does not exist. A port that answers then belongs to another program.
    const ids = await this.#compose("ps", "-q", server.name).catch(() => "");
    const [id = ""] = ids.trim().split("\n");
    if (id === "") return "";
    const state = await runCommand("docker", ["inspect", "-f", "{{.State.Running}}", id], {
      timeoutMs: ASK_MS,
    });
    return state.trim() === "true" ? id : "";
  }

  get #project(): string {
    const { composeProject, portBase } = this.#deployment;
    return composeProject ?? composeProjectOf(portBase);
  }

  async #compose(...args: string[]): Promise<string> {
    const command = await findCompose();
    if (command === undefined)
      throw new DeployError(
        "--backend compose needs Docker Compose (docker compose, or docker-compose): install it, or use --backend process",
      );
    const [program = "", ...rest] = command;
    const files = ["-f", composeYaml(this.#deployment), "--env-file", this.#state.composeFile];
    // All servers that the file defines, so that "down" removes those of any size.
    const profiles = COMPOSE_PROFILES.flatMap((name) => ["--profile", name]);
    const project = ["-p", this.#project];
    try {
      return await runCommand(program, [...rest, ...project, ...files, ...profiles, ...args], {
        timeoutMs: COMMAND_MS,
      });
    } catch (cause) {
      throw new DeployError(cause instanceof Error ? cause.message : String(cause), { cause });
    }
  }
}
