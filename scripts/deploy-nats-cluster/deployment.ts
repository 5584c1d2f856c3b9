/** Starts the servers of a plan one after another, stops them, and restarts them while clients stay connected. */
import { messageOf } from "../../src/errors.ts";
import { binaryVersion } from "../../src/testing/server/find/binary.ts";
import { findNatsServer, type NatsServerBinary } from "../../src/testing/server/find/find.ts";
import { compareVersions } from "../../src/testing/server/find/versions.ts";
import { isPortFree } from "../../src/testing/server/run/ports.ts";
import { poll } from "../../src/testing/server/run/wait.ts";
import type { Backend } from "./backend.ts";
import { ComposeBackend, composeEnv } from "./compose-backend.ts";
import { DeployError } from "./errors.ts";
import { missingAtStart, missingInPlan, readHealth, type ServerHealth } from "./health.ts";
import { type Plan, type PlannedServer, planServers, portsOf } from "./plan.ts";
import { ProcessBackend } from "./process-backend.ts";
import { refuseChange, settingsOf } from "./remembered.ts";
import { ensureCertificates, ensurePasswords } from "./secrets.ts";
import type { Deployment, Scaling, StateDir, UpOptions } from "./state.ts";
import { writeWhole } from "./write-whole.ts";

const SERVER_MS = 30_000;
const WHOLE_MS = 60_000;
/** The first version with `sync_interval: always`. */
const OLDEST_SECURE = "2.10.0";

export type Say = (line: string) => void;

export class Running {
  readonly deployment: Deployment;
  readonly backend: Backend;
  readonly servers: readonly PlannedServer[];
  readonly #state: StateDir;
  readonly #say: Say;
  readonly #isNew: boolean;

  /** @param isNew Whether the state folder had no deployment before. */
  constructor(state: StateDir, deployment: Deployment, say: Say, isNew = false) {
    this.#state = state;
    this.#isNew = isNew;
    this.deployment = deployment;
    this.servers = planServers(deployment);
    this.backend =
      deployment.backend === "compose"
        ? new ComposeBackend(state, deployment)
        : new ProcessBackend(state, deployment);
    this.#say = say;
  }

  /**
   * Starts the servers that are not running, and waits until nothing is missing, or only until every server is up. If one
   * fails, the servers that this call started are stopped before it rejects.
   */
  async up(
    until: "nothing is missing" | "all are up" = "nothing is missing",
    servers: readonly PlannedServer[] = this.servers,
  ): Promise<void> {
    const started: PlannedServer[] = [];
    try {
      for (const [index, server] of servers.entries()) {
        const fresh = await this.backend.start(server);
        if (fresh) started.push(server);
        await this.#waitFor(() => missingAtStart(server, servers.slice(0, index)), SERVER_MS, server);
        this.#say(
          `${server.name.padEnd(6)} ${fresh ? "started" : "already running"}, ${await this.backend.describe(server)}`,
        );
      }
      if (until === "nothing is missing") await this.ready();
    } catch (error) {
      for (const server of started.reverse()) await this.backend.stop(server);
      // Nothing of this plan ever ran: the next call may use another plan.
      if (this.#isNew) await this.#state.forget();
      throw error;
    }
  }

  /** The names of the servers that do not run. */
  async notRunning(): Promise<string[]> {
    const running = await Promise.all(this.servers.map((server) => this.backend.isRunning(server)));
    return this.servers.filter((_, index) => !running[index]).map(({ name }) => name);
  }

  /** Resolves when nothing is missing. */
  async ready(): Promise<void> {
    await this.#waitFor(() => missingInPlan(this.deployment), WHOLE_MS);
  }

  async down(options: { readonly deleteData: boolean }): Promise<void> {
    for (const server of this.servers) {
      if (await this.backend.stop(server)) this.#say(`${server.name.padEnd(6)} stopped`);
    }
    await this.backend.remove(options);
  }

  /**
   * Rejects unless every server runs and nothing is missing, and can be started again. With one server down, stopping another one takes
   * JetStream's quorum away. A single server has no quorum to keep.
   */
  async refuseIncomplete(): Promise<void> {
    for (const server of this.servers)
      await this.backend.refuseUnstartable(server).catch((cause: unknown) => {
        throw new DeployError(`nothing was restarted: ${messageOf(cause)}`, { cause });
      });
    if (this.servers.length === 1) return;
    const down = await this.notRunning();
    const refuse = (why: string, cause?: unknown): never => {
      throw new DeployError(
        `nothing was restarted: ${why}. Restarting another server now could take JetStream's quorum away`,
        { cause },
      );
    };
    if (down.length > 0)
      refuse(`${down.join(", ")} ${down.length === 1 ? "is" : "are"} not running; run "up" first`);
    await this.#waitFor(() => missingInPlan(this.deployment), SERVER_MS).catch((cause: unknown) =>
      refuse(`the servers are ${cause instanceof Error ? cause.message : cause}`, cause),
    );
  }

  /**
   * Restarts one server at a time, the next one after the previous has caught up, so that a quorum always exists.
   *
   * @param between Called after each server.
   */
  async restart(between: () => Promise<void> = async () => {}): Promise<void> {
    await this.refuseIncomplete();
    for (const server of this.servers) {
      await this.without(server, async () => {});
      this.#say(`${server.name.padEnd(6)} restarted, ${await this.backend.describe(server)}`);
      await between();
    }
  }

  /** Stops the server, awaits `job`, and starts it again in any case; resolves when nothing is missing. */
  async without(server: PlannedServer, job: () => Promise<void>): Promise<void> {
    await this.backend.stop(server);
    try {
      await job();
    } finally {
      await this.backend.start(server);
      const others = this.servers.filter((other) => other !== server);
      await this.#waitFor(() => missingAtStart(server, others), SERVER_MS, server);
      await this.ready();
    }
  }

  async #waitFor(
    probe: () => Promise<string | undefined>,
    timeoutMs: number,
    server?: PlannedServer,
  ): Promise<void> {
    let missing: string | undefined;
    const done = await poll(
      async () => {
        if (server !== undefined && !(await this.backend.isRunning(server))) await this.#ended(server);
        missing = await probe();
        return missing === undefined ? true : undefined;
      },
      { timeoutMs, everyMs: 50 },
    );
    if (done) return;
    const log = server === undefined ? "" : `; its log ends with\n${await this.backend.logTail(server)}`;
    throw new DeployError(`not ready after ${timeoutMs / 1000} s: ${missing}${log}`);
  }

  async #ended(server: PlannedServer): Promise<never> {
    throw new DeployError(
      `${server.name} exited during startup; its log ends with\n${await this.backend.logTail(server)}`,
    );
  }
}

/**
 * The deployment in this state folder, created if there is none. An existing deployment is not changed into another kind,
 * because its data would be left behind.
 */
export async function prepare(state: StateDir, options: UpOptions, say: Say): Promise<Running> {
  const before = await state.read();
  if (before !== undefined) {
    refuseChange(before, options, state);
    await refuseMovedPorts(new Running(state, before, say), options);
  }
  await makeSecrets(state, options, say);
  const binary: Pick<Deployment, "binary"> =
    options.backend === "process" ? await serverBinary(options, before?.binary, say) : {};
  const deployment = {
    ...settingsOf(options),
    ...binary,
    ...previousOf(before, binary.binary),
    processes: before?.processes ?? {},
  };
  const running = new Running(state, deployment, say, before === undefined);
  await refuseTakenPorts(running);
  await state.write(deployment);
  return running;
}

function previousOf(before: Deployment | undefined, binary: string | undefined): Partial<Deployment> {
  const changed = before?.binary !== undefined && before.binary !== binary;
  const previousBinary = changed ? before.binary : before?.previousBinary;
  return previousBinary === undefined ? {} : { previousBinary };
}

/** Creates missing certificates and passwords, and writes the env file for Compose. Starts nothing. */
export async function makeSecrets(state: StateDir, plan: Plan, say: Say): Promise<void> {
  const names = planServers(plan).map(({ name }) => name);
  if (plan.secure) {
    const made = await ensureCertificates(state.tlsDir, names);
    if (made.length > 0) say(`certificates created: ${made.join(", ")}`);
    if (!plan.jwt) await ensurePasswords(state.usersFile);
    else if (await state.credentials.ensure())
      say(`tokens and credentials created: ${state.credentials.path}`);
  }
  if (!plan.jwt) await writeWhole(state.composeFile, await composeEnv(state, plan), 0o600);
}

/** Ports change only while no server runs. The volumes of containers belong to their ports. */
async function refuseMovedPorts(before: Running, { portBase }: UpOptions): Promise<void> {
  const { deployment, servers, backend } = before;
  if (deployment.portBase === portBase) return;
  const running = await Promise.all(servers.map((server) => backend.isRunning(server)));
  const text = `the deployment is at port ${deployment.portBase}, not ${portBase}`;
  if (running.includes(true)) throw new DeployError(`${text}, and its servers run: run "down" first`);
  if (deployment.backend === "compose")
    throw new DeployError(
      `${text}, and its volumes belong to that port: omit --port-base, or select another folder with --state`,
    );
}

/** The nats-server that the deployment has, unless `NATS_SERVER` names one: another one may not read the data of the streams. */
async function serverBinary(
  plan: Plan,
  recorded: string | undefined,
  say: Say,
): Promise<{ readonly binary: string }> {
  const found = (await recordedServer(recorded, say)) ?? (await findNatsServer({ onProgress: say }));
  if (plan.secure && compareVersions(found.version, OLDEST_SECURE) < 0)
    throw new DeployError(
      `--secure needs nats-server ${OLDEST_SECURE} or newer for sync_interval: always; ${found.path} is ${found.version}: set NATS_SERVER to a newer server`,
    );
  say(`nats-server ${found.version} (${found.path})`);
  for (const note of found.notes) say(`  ${note}`);
  return { binary: found.path };
}

type Found = Pick<NatsServerBinary, "path" | "version" | "notes">;

async function recordedServer(path: string | undefined, say: Say): Promise<Found | undefined> {
  if (path === undefined || (process.env["NATS_SERVER"] ?? "") !== "") return undefined;
  try {
    return { path, version: await binaryVersion(path), notes: [] };
  } catch (error) {
    say(`the nats-server of this deployment is gone (${messageOf(error)}): using another one`);
    return undefined;
  }
}

/** @param free Ports in use that will be free by the time of the start. */
export async function refuseTakenPorts(running: Running, free: readonly number[] = []): Promise<void> {
  for (const server of running.servers) {
    if (await running.backend.isRunning(server)) continue;
    for (const [use, port] of portsOf(running.deployment, server)) {
      // Routes and gateways of containers use a separate network.
      if (running.deployment.backend === "compose" && (use === "routes" || use === "gateways")) continue;
      if (free.includes(port) || (await isPortFree(port, "127.0.0.1"))) continue;
      throw new DeployError(
        `port ${port} (${use} of ${server.name}) is in use on 127.0.0.1: stop the program that listens there, or choose other ports with --port-base`,
      );
    }
  }
}

export interface Status {
  readonly ok: boolean;
  /** The first missing thing; null if nothing is missing. */
  readonly missing: string | null;
  readonly metaLeader: string | null;
  /** Client connections of all servers. */
  readonly connections: number;
  readonly servers: readonly (ServerHealth & { readonly running: boolean; readonly where: string })[];
}

export async function statusOf(running: Running): Promise<Status> {
  const servers = await Promise.all(
    running.servers.map(async (server) => ({
      ...(await readHealth(server)),
      running: await running.backend.isRunning(server),
      where: await running.backend.describe(server),
    })),
  );
  const down = servers.find((server) => !server.running);
  const old = await Promise.all(running.servers.map((server) => running.backend.hasOldPasswords(server)));
  const stale = running.servers.filter((_, index) => old[index]).map(({ name }) => name);
  const unwell = servers.find(({ health }) => health !== "ok");
  let missing: string | undefined;
  const { scaling } = running.deployment;
  if (scaling !== undefined) missing = unfinishedScale(scaling);
  else if (down !== undefined) missing = `${down.name} is not running`;
  else if (unwell !== undefined) missing = `${unwell.name} /healthz: ${unwell.health}`;
  else if (stale.length > 0) missing = unfinishedRotation(stale);
  else missing = await missingInPlan(running.deployment);
  const leaders = new Set(servers.map(({ metaLeader }) => metaLeader));
  return {
    ok: missing === undefined,
    missing: missing ?? null,
    metaLeader: leaders.size === 1 ? (servers[0]?.metaLeader ?? null) : null,
    connections: servers.reduce((sum, { connections }) => sum + (connections ?? 0), 0),
    servers,
  };
}

export function unfinishedScale({ from, to }: Scaling): string {
  return `the change from ${from} to ${to} servers is unfinished: "scale ${to}" or "up" completes it`;
}

export function unfinishedRotation(names: readonly string[]): string {
  return `the old passwords are still accepted by ${names.join(", ")}: "restart" completes the rotation`;
}

/** Adds what is missing if another number of client connections was expected. */
export function withExpected(status: Status, expected: number | undefined): Status {
  if (!status.ok || expected === undefined || status.connections === expected) return status;
  const where = status.servers.map(({ name, connections }) => `${name} ${connections ?? "?"}`).join(", ");
  return {
    ...status,
    ok: false,
    missing: `${expected} client connections were expected, and there are ${status.connections} (${where})`,
  };
}
