/** Connects to the server that streams are copied from, and to the deployment that they are copied to. */
import { randomInt } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type ConnectionOptions,
  connect,
  credsAuthenticator,
  type NatsConnection,
} from "@nats-io/transport-node";
import { isPortFree } from "../../../src/testing/server/run/ports.ts";
import { composeProjectOf } from "../compose-backend.ts";
import { Running, type Say } from "../deployment.ts";
import { DeployError } from "../errors.ts";
import { clientUrl, type Plan, planServers, portsOf } from "../plan.ts";
import { readPasswords } from "../secrets.ts";
import type { Deployment, StateDir, UpOptions } from "../state.ts";

/** How to reach the server at `from`. */
export interface SourceOptions {
  readonly from?: string;
  readonly user?: string;
  readonly creds?: string;
  readonly ca?: string;
}

export interface Source extends AsyncDisposable {
  readonly nats: NatsConnection;
  /** The source, as text for messages. */
  readonly where: string;
}

/** Reads the password from the environment: command lines are visible to all users of the machine. */
export async function connectSource(from: string, options: SourceOptions): Promise<Source> {
  if (from.includes("@"))
    throw new DeployError(
      "--from must not contain a user or password: use --user and NATS_PASSWORD, or --creds",
    );
  const tls = from.startsWith("tls://") ? { tls: {} } : {};
  const nats = await dial(from, {
    servers: from,
    ...tls,
    ...(options.user === undefined ? {} : { user: options.user, pass: process.env["NATS_PASSWORD"] ?? "" }),
    ...(options.creds === undefined
      ? {}
      : { authenticator: credsAuthenticator(await readFile(options.creds)) }),
    ...(options.ca === undefined ? {} : { tls: { caFile: options.ca } }),
  });
  return { nats, where: from, [Symbol.asyncDispose]: () => nats.close() };
}

/**
 * Serves the data of the stopped single server at a random port, so that no client writes to them during the copy. The
 * process is recorded in the state folder, so that it can be stopped even if this process dies.
 */
export async function serveSingle(state: StateDir, single: Deployment): Promise<Source> {
  const quiet: Say = () => {};
  const running = new Running(
    state,
    { ...single, portBase: await freePortBase(single), processes: {} },
    quiet,
  );
  await running.up();
  const nats = await connectDeployed(state, running);
  return {
    nats,
    where: state.storeDir("single"),
    [Symbol.asyncDispose]: async () => {
      await nats.close();
      await running.down({ deleteData: false });
      await state.forget();
    },
  };
}

/** Connects with all permissions of the account. `more` completes the options, for example for reconnects. */
export async function connectDeployed(
  state: StateDir,
  running: Running,
  more: ConnectionOptions = {},
): Promise<NatsConnection> {
  const { urls, user, pass, credsFile, ca } = await loginOf(state, running);
  const login =
    credsFile === undefined
      ? user === undefined || pass === undefined
        ? {}
        : { user, pass }
      : { authenticator: credsAuthenticator(await readFile(credsFile)) };
  const tls = ca === undefined ? {} : { tls: { caFile: ca } };
  return dial(urls.join(), { servers: [...urls], ...login, ...tls, ...more });
}

/** Connects to the system account. That of the plain variant has a known password: all of its servers are open. */
export async function connectSystem(state: StateDir, running: Running): Promise<NatsConnection> {
  const { secure, jwt } = running.deployment;
  const { urls, ca } = await loginOf(state, running);
  const tls = ca === undefined ? {} : { tls: { caFile: ca } };
  if (jwt) {
    const authenticator = credsAuthenticator(await readFile(state.credentials.credsFile("system")));
    return dial(urls.join(), { servers: [...urls], authenticator, ...tls });
  }
  const pass = secure ? (await readPasswords(state.usersFile)).system : "system";
  return dial(urls.join(), { servers: [...urls], user: "system", pass, ...tls });
}

/** How a client with all permissions of the account connects to the first NATS cluster of the deployment. */
export async function loginOf(state: StateDir, { deployment, servers }: Running): Promise<Login> {
  const [first] = servers;
  const near = servers.filter(({ cluster }) => cluster === first?.cluster);
  const urls = near.map((server) => clientUrl(deployment, server));
  if (!deployment.secure) return { urls };
  if (deployment.jwt)
    return { urls, credsFile: state.credentials.credsFile("admin"), ca: join(state.tlsDir, "ca.pem") };
  const { admin } = await readPasswords(state.usersFile);
  return { urls, user: "admin", pass: admin, ca: join(state.tlsDir, "ca.pem") };
}

export interface Login {
  readonly urls: readonly string[];
  readonly user?: string;
  readonly pass?: string;
  readonly credsFile?: string;
  /** File of the certificate authority. */
  readonly ca?: string;
}

/** The same servers and data at random ports. */
export async function hidden(target: UpOptions): Promise<UpOptions> {
  const composeProject = target.composeProject ?? composeProjectOf(target.portBase);
  return { ...target, composeProject, portBase: await freePortBase(target) };
}

async function dial(where: string, options: ConnectionOptions): Promise<NatsConnection> {
  try {
    return await connect(options);
  } catch (cause) {
    throw new DeployError(`cannot connect to ${where}: ${cause instanceof Error ? cause.message : cause}`, {
      cause,
    });
  }
}

async function freePortBase(plan: Plan): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const portBase = randomInt(14_000, 27_000);
    const tried = { ...plan, portBase };
    const ports = planServers(tried).flatMap((server) => portsOf(tried, server).map(([, port]) => port));
    const free = await Promise.all(ports.map((port) => isPortFree(port, "127.0.0.1")));
    if (free.every(Boolean)) return portBase;
  }
  throw new DeployError("no free ports from 14000 to 27000");
}
