/**
 * Changes the number of servers of a running cluster. A server that leaves is removed from JetStream's meta group, so that it
 * no longer counts for a majority, and its replicas move to the servers that stay.
 */
import type { NatsConnection } from "@nats-io/transport-node";
import { missingInCluster } from "../../src/testing/server/run/cluster-state.ts";
import { poll } from "../../src/testing/server/run/wait.ts";
import { makeSecrets, Running, refuseTakenPorts, type Say, unfinishedScale } from "./deployment.ts";
import { DeployError } from "./errors.ts";
import { type Placed, type Placement, readPlacement } from "./health.ts";
import { Interrupted } from "./interrupt.ts";
import { ApiRefusal, call } from "./migrate/api.ts";
import { connectSystem } from "./migrate/source.ts";
import { monitorUrl, type PlannedServer, planServers, type Size } from "./plan.ts";
import { settingsOf } from "./remembered.ts";
import type { Scaling, StateDir } from "./state.ts";

const MOVED_MS = 120_000;
const SETTLED_MS = 30_000;
const REMOVE_ATTEMPT_MS = 2_000;
/** "server is not a member of the cluster" */
const NOT_A_MEMBER = 10044;

/**
 * Continues an interrupted change. Rejects with {@link Interrupted} between two steps on abort; the record then has what is left.
 */
export async function scale(
  state: StateDir,
  running: Running,
  size: Size,
  { say, signal }: { readonly say: Say; readonly signal: AbortSignal },
): Promise<Running> {
  const { deployment, servers } = running;
  if (deployment.topology !== "cluster")
    throw new DeployError(
      `a ${deployment.topology} cannot be scaled: "migrate" turns a single server into a cluster; a super-cluster has a fixed size`,
    );
  const unfinished = deployment.scaling;
  // The servers that have removed others refuse their names until the change is complete.
  if (unfinished !== undefined && unfinished.to !== size && unfinished.leaving.length > 0)
    throw new DeployError(`nothing was changed: ${unfinishedScale(unfinished)}`);
  const continued = unfinished?.to === size;
  const scaling: Scaling = continued ? unfinished : { from: servers.length, to: size, leaving: [] };
  const shrinks = size < scaling.from;
  const stopHere = (): void => {
    if (signal.aborted) throw new Interrupted(signal, unfinishedScale(scaling));
  };
  const wanted = { ...settingsOf(deployment), size };
  if (size < servers.length) {
    const staying = planServers(wanted);
    const remaining = servers.filter(({ name }) => !scaling.leaving.includes(name));
    if (continued) await running.up("all are up", remaining);
    await refuseLoss(running, remaining, staying.length, "nothing was changed");
    await shrink(state, running, { scaling, staying }, { say, stopHere });
  } else if (!continued) await running.refuseIncomplete();
  await makeSecrets(state, wanted, say);
  const { processes, scaling: recorded = scaling } = (await state.read()) ?? deployment;
  const after = new Running(state, { ...deployment, ...wanted, processes, scaling: recorded }, say);
  await refuseTakenPorts(after);
  // From here on the record has the new servers: if one of them fails, "up" continues, and "scale" goes back.
  await state.write(after.deployment);
  stopHere();
  await after.up();
  // A server that has removed another one refuses its name for five minutes, unless it is restarted.
  if (shrinks) await restartAll(after, stopHere);
  const { scaling: _, ...complete } = await state.mustRead();
  await state.write(complete);
  return new Running(state, complete, say);
}

/** An abort after the last restart leaves nothing to do, and is ignored. */
async function restartAll(running: Running, stopHere: () => void): Promise<void> {
  let left = running.servers.length;
  await running.restart(async () => {
    left--;
    if (left > 0) stopHere();
  });
}

/** One server after the other, the last one first. May be repeated after an interruption. */
async function shrink(
  state: StateDir,
  running: Running,
  { scaling, staying }: { readonly scaling: Scaling; readonly staying: readonly PlannedServer[] },
  { say, stopHere }: { readonly say: Say; readonly stopHere: () => void },
): Promise<void> {
  const system = await connectSystem(state, running);
  try {
    const done: string[] = [];
    for (const server of running.servers.slice(staying.length).reverse()) {
      if (done.length > 0) stopHere();
      const left = running.servers.slice(0, running.servers.indexOf(server));
      // Again before each removal, which takes minutes: a stream may have been created in between.
      if (!scaling.leaving.includes(server.name))
        await refuseLoss(running, [...left, server], staying.length, `${server.name} was not removed`);
      done.push(server.name);
      const leaving = [...new Set([...scaling.leaving, ...done])];
      const recorded = { ...(await state.mustRead()), scaling: { ...scaling, leaving } };
      await state.write(recorded);
      const { backend } = new Running(state, recorded, say);
      await backend.stop(server);
      await removePeer(system, server.name);
      await complete(left, server);
      await backend.discard(server);
      say(`${server.name.padEnd(6)} removed; its replicas are on the other servers`);
    }
  } finally {
    await system.close();
  }
}

/**
 * Rejects if a stream or a durable consumer cannot follow to the first `size` of these servers, so that it would lose its data. Each
 * server has to say what it stores: a stream with one replica is known to its own server only.
 */
async function refuseLoss(
  running: Running,
  servers: readonly PlannedServer[],
  size: number,
  refusal: string,
): Promise<void> {
  const up = await refuseDown(running, servers, size, refusal);
  const { placed, silent, leaderless } = await settledPlacement(up);
  if (silent.length > 0)
    throw new DeployError(`${refusal}: no answer from ${silent.join(", ")}, whose streams could be lost`);
  if (leaderless.length > 0)
    throw new DeployError(`${refusal}: ${leaderless.join(", ")} without a leader, which could be lost`);
  const reasons = boundTo(placed, servers.slice(size), size);
  if (reasons.length > 0)
    throw new DeployError(`${refusal}, because data would be lost:\n  ${reasons.join("\n  ")}`);
}

/** Waits for elections to end: servers may have just started. */
async function settledPlacement(servers: readonly PlannedServer[]): Promise<Placement> {
  let last = await readPlacement(servers);
  await poll(
    async () => {
      const { silent, leaderless } = last;
      if (silent.length === 0 && leaderless.length === 0) return true;
      last = await readPlacement(servers);
      return undefined;
    },
    { timeoutMs: SETTLED_MS, everyMs: 200 },
  );
  return last;
}

/** The servers that run. One that does not run may leave only if it never stored a stream: such as one that could not be started. */
async function refuseDown(
  { backend }: Running,
  servers: readonly PlannedServer[],
  size: number,
  refusal: string,
): Promise<PlannedServer[]> {
  const up: PlannedServer[] = [];
  for (const [index, server] of servers.entries()) {
    if (await backend.isRunning(server)) up.push(server);
    else if (index < size || (await backend.mayHaveStreams(server)))
      throw new DeployError(
        `${refusal}: ${server.name} is not running, and what it stores could be lost; run "up" first`,
      );
  }
  return up;
}

/** Repeated without an answer: if the stopped server led the meta group, the others first elect a leader. */
async function removePeer(system: NatsConnection, peer: string): Promise<void> {
  let last: unknown;
  const removed = await poll(
    async () => {
      try {
        await call(system, "$JS.API.SERVER.REMOVE", { peer }, REMOVE_ATTEMPT_MS);
        return true;
      } catch (error) {
        last = error;
        if (!(error instanceof ApiRefusal)) return undefined;
        if (error.code === NOT_A_MEMBER) return true;
        throw error;
      }
    },
    { timeoutMs: MOVED_MS },
  );
  if (!removed) throw last;
}

/** What ties streams and durable consumers to these servers, with the command that releases each. */
function boundTo(placed: readonly Placed[], leaving: readonly PlannedServer[], size: number): string[] {
  const names = leaving.map(({ name }) => name);
  return placed.flatMap(({ account, stream, consumer, durable, replicas, leader }) => {
    const what = consumer === null ? `stream ${stream}` : `consumer ${consumer} of stream ${stream}`;
    const edit =
      consumer === null ? `nats stream edit ${stream}` : `nats consumer edit ${stream} ${consumer}`;
    const which = `${what} (account ${account})`;
    if (replicas > size) return [`${which} has ${replicas} replicas: ${edit} --replicas ${size}`];
    if (replicas === 1 && durable && leader !== null && names.includes(leader))
      return [`${which} has its only replica on ${leader}: ${edit} --replicas 3`];
    return [];
  });
}

/** Resolves when the meta group has only these servers, and every stream all of its replicas among them. */
async function complete(servers: readonly PlannedServer[], removed: PlannedServer): Promise<void> {
  const members = servers.map((server) => ({ name: server.name, monitorUrl: monitorUrl(server) }));
  let missing: string | undefined;
  const done = await poll(
    async () => {
      missing = (await missingInCluster(members)) ?? misplaced(await readPlacement(servers), servers);
      return missing === undefined ? true : undefined;
    },
    { timeoutMs: MOVED_MS, everyMs: 100 },
  );
  if (done) return;
  throw new DeployError(
    `${removed.name} has left, and after ${MOVED_MS / 1000} s: ${missing}. Run "scale" again to continue`,
  );
}

function misplaced(
  { placed, silent, leaderless }: Placement,
  servers: readonly PlannedServer[],
): string | undefined {
  if (leaderless.length > 0) return `${leaderless[0]} has no leader`;
  if (silent.length > 0) return `${silent.join(", ")} did not answer`;
  for (const { stream, consumer, replicas, leader, others } of placed) {
    const here = others.filter(({ name, current }) => current && servers.some((one) => one.name === name));
    const ephemeral = consumer !== null && replicas === 1;
    if (leader !== null && (ephemeral || (here.length === replicas - 1 && others.length === here.length)))
      continue;
    const what = consumer === null ? stream : `${stream} > ${consumer}`;
    return `${what} has ${here.length + 1} of ${replicas} replicas`;
  }
  return undefined;
}
