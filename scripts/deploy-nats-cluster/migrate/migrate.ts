/**
 * Replaces one server by a cluster and keeps its streams: messages, sequences, times, headers, durable consumers.
 *
 * The store of a standalone server cannot be reused by a member of a cluster: streams that are not in the meta group are
 * orphans, which nats-server deletes. So each stream is copied through JetStream's snapshot API.
 *
 * The source is only read. If it is the single server deployed here, it is stopped first, and its data are served to this
 * script only. If it runs elsewhere, it must not change during the copy; otherwise the copy is discarded. Every step is
 * journaled before it begins, so that the next call can roll it back however this process ended.
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "../../../src/errors.ts";
import { prepare, Running, refuseTakenPorts, type Say } from "../deployment.ts";
import { DeployError, systemCode } from "../errors.ts";
import { readVersions } from "../health.ts";
import { type Control, Interrupted } from "../interrupt.ts";
import { DEFAULT_PORT_BASE, planServers, portsOf } from "../plan.ts";
import type { Asked } from "../remembered.ts";
import type { Deployment, StateDir, UpOptions } from "../state.ts";
import { readContents } from "./contents.ts";
import { electionsAmong, refuseRunningNodes } from "./elections.ts";
import { forgetJournal, type Journal, readJournal, unfinished, writeJournal } from "./journal.ts";
import { leaveMemory, noteUnusualSettings } from "./kinds.ts";
import { refuseUnreadable } from "./readable.ts";
import { saveStream } from "./snapshot.ts";
import {
  connectDeployed,
  connectSource,
  hidden,
  type Source,
  type SourceOptions,
  serveSingle,
} from "./source.ts";
import { fingerprintOf, readInfos, type StreamInfo } from "./stream-info.ts";
import { type Copied, hasLeader, refuseTaken, restore, type SavedStream } from "./target.ts";
import { rollBack } from "./undo.ts";

export interface MigrateOptions extends SourceOptions {
  /** @default as deployed in the state folder, else a cluster of processes */
  readonly target: Pick<Asked, "backend" | "topology">;
  /** @default as deployed in the state folder */
  readonly secure?: boolean | undefined;
  /** @default that of the deployment in the state folder */
  readonly portBase?: number | undefined;
  /** Minimum number of replicas of each stream. */
  readonly replicas: number;
  /** Folder in which the snapshots are kept. Without it they are deleted at the end. */
  readonly keepBackup?: string;
  /** Skips streams and consumers in memory, which have no snapshot. If false, they make the migration fail. */
  readonly leaveMemory: boolean;
}

export interface Migration {
  readonly running: Running;
  readonly streams: readonly Copied[];
}

/** Rolls back on abort, and rejects with {@link Interrupted}; not once the cluster is complete. */
export async function migrate(
  state: StateDir,
  options: MigrateOptions,
  control: Control,
): Promise<Migration> {
  const { say } = control;
  if ((await readJournal(state)) !== undefined) {
    say("an earlier migration was interrupted: rolling it back and starting again");
    await rollBack(state, say);
  }
  const journal = await begin(state, options);
  if (journal.single !== null) await refuseMemory(state, journal.single, options, say);
  await writeJournal(state, journal);
  let migration: Migration;
  try {
    if (journal.single !== null) await end(state, journal.single, say);
    const saved = await save(state, journal, options, control);
    migration = await fill(state, journal, saved, options, control);
  } catch (error) {
    throw await rolledBack(state, error, control);
  }
  // From here on the cluster is complete. It is not rolled back, because clients may already use it.
  const { folder, keep } = journal.backup;
  if (!keep) await rm(folder, { recursive: true, force: true });
  await forgetJournal(state);
  try {
    await migration.running.up();
    const nats = await connectDeployed(state, migration.running);
    for (const { name } of migration.streams) await hasLeader(nats, name);
    await nats.close();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new DeployError(
      `all streams are in the cluster, but it is not ready yet; check "status", or run "up" again: ${why}`,
      {
        cause,
      },
    );
  }
  return migration;
}

/** The journal of a new migration. Rejects everything that can be checked before anything is changed. */
async function begin(state: StateDir, options: MigrateOptions): Promise<Journal> {
  const deployed = await state.read();
  const single = options.from === undefined ? singleOf(state, deployed) : null;
  if (options.from !== undefined && deployed?.topology === "single")
    throw new DeployError(
      `${state.path} has a single server deployed: omit --from to replace it, or use another --state`,
    );
  const { keepBackup: kept } = options;
  if (kept !== undefined) await refuseKept(kept);
  const cluster = single === null ? deployed : undefined;
  const target = {
    backend: options.target.backend ?? cluster?.backend ?? "process",
    topology: options.target.topology ?? cluster?.topology ?? "cluster",
    secure: options.secure ?? deployed?.secure ?? false,
    portBase: options.portBase ?? deployed?.portBase ?? DEFAULT_PORT_BASE,
    ...(cluster?.size === undefined ? {} : { size: cluster.size }),
    ...(cluster?.jwt === undefined ? {} : { jwt: cluster.jwt }),
  };
  const targetWasThere = single === null && deployed !== undefined;
  if (!targetWasThere) {
    const own = single === null ? [] : planServers(single).flatMap((server) => portsOf(single, server));
    const free = own.map(([, port]) => port);
    await refuseTakenPorts(new Running(state, { ...target, processes: {} }, () => {}), free);
  }
  return {
    single,
    target,
    targetWasThere,
    restoring: [],
    backup: { folder: kept ?? join(state.path, "migration"), keep: kept !== undefined },
  };
}

/** A rollback deletes what this folder has: there must be nothing of the user. */
async function refuseKept(folder: string): Promise<void> {
  try {
    if ((await readdir(folder)).length === 0) return;
  } catch (cause) {
    if (systemCode(cause) === "ENOENT") return;
    throw new DeployError(`--keep-backup ${folder} is no folder that can be read: ${messageOf(cause)}`, {
      cause,
    });
  }
  throw new DeployError(`--keep-backup ${folder} is not empty: use a new folder`);
}

function singleOf(state: StateDir, deployed: Deployment | undefined): Deployment {
  if (deployed?.topology === "single") return deployed;
  throw new DeployError(
    `no single server is deployed in ${state.path}: specify the server to copy with --from nats://host:port`,
  );
}

/** Called while the single server still runs: streams in memory are lost when it stops. */
async function refuseMemory(
  state: StateDir,
  single: Deployment,
  options: MigrateOptions,
  say: Say,
): Promise<void> {
  const old = new Running(state, single, say);
  const [server] = old.servers;
  if (server === undefined || !(await old.backend.isRunning(server))) return;
  const nats = await connectDeployed(state, old);
  try {
    const infos = await readInfos(nats);
    leaveMemory(infos, options.leaveMemory, say);
  } finally {
    await nats.close();
  }
}

async function end(state: StateDir, single: Deployment, say: Say): Promise<void> {
  await new Running(state, single, say).down({ deleteData: false });
  await state.forget();
}

/** Takes a snapshot of every stream and reads its contents for the comparison. */
async function save(
  state: StateDir,
  { single, backup }: Journal,
  options: MigrateOptions,
  { say, signal }: Control,
): Promise<SavedStream[]> {
  signal.throwIfAborted();
  await using source =
    single === null ? await connectSource(options.from ?? "", options) : await serveSingle(state, single);
  const { nats, where } = source;
  const all = await readInfos(nats);
  if (all.length === 0 && single === null)
    throw new DeployError(`${where} has no streams in this user's account: there is nothing to migrate`);
  const infos = leaveMemory(all, options.leaveMemory, say);
  noteUnusualSettings(infos, say);
  if (single === null) await refuseLeaders(source, infos, { say, signal });
  const saved: SavedStream[] = [];
  for (const info of infos) {
    signal.throwIfAborted();
    const dir = join(backup.folder, info.name);
    const bytes = await saveStream(nats, info.name, dir, signal);
    say(`${info.name}: saved, ${bytes} bytes`);
    const takenBy = nats.info?.version ?? null;
    saved.push({ info, contents: await readContents(nats, info, signal), dir, takenBy });
  }
  await refuseChanged(source, infos);
  return saved;
}

/**
 * A leader writes at least once per lease. A source without a write for that long has no leader and no node that would
 * take over, including nodes with `service: false`, which do not answer requests.
 */
async function refuseLeaders(
  source: Source,
  infos: readonly StreamInfo[],
  { say, signal }: Control,
): Promise<void> {
  const elections = await electionsAmong(
    source.nats,
    infos.map(({ name }) => name),
  );
  await refuseRunningNodes(source.nats, elections);
  const held = elections.flatMap(({ clusterId, held: one }) => (one === null ? [] : [{ clusterId, ...one }]));
  if (held.length === 0) return;
  const waitMs = Math.max(...held.map(({ ttlMs }) => ttlMs));
  const text = held.map(({ clusterId, by }) => `${clusterId} by ${by}`).join(", ");
  say(`lease not released: ${text}; waiting ${waitMs / 1000} s for a renewal`);
  await sleep(waitMs, undefined, { signal });
  await refuseChanged(source, infos);
}

/** Rejects if a stream was written, read by a durable consumer, configured, created or deleted since `was`. */
async function refuseChanged({ nats, where }: Source, was: readonly StreamInfo[]): Promise<void> {
  const now = new Map((await readInfos(nats)).map((info) => [info.name, info]));
  const changes = was.flatMap((info) => {
    const later = now.get(info.name);
    now.delete(info.name);
    if (later === undefined) return [`${info.name} is gone`];
    if (fingerprintOf(info) === fingerprintOf(later)) return [];
    const what = info.lastSequence === later.lastSequence ? "consumers or configuration" : "messages";
    return [`${what} of ${info.name}, last sequence ${info.lastSequence}, now ${later.lastSequence}`];
  });
  const made = [...now.values()].filter(({ config }) => config["storage"] !== "memory");
  changes.push(...made.map(({ name }) => `${name} is new`));
  if (changes.length === 0) return;
  throw new DeployError(
    `${where} is still in use: ${changes.join("; ")}. Stop all clients that write or read there, nodes of elections first, then migrate again`,
  );
}

/**
 * Fills the cluster and compares each stream with the source. A new cluster is filled at random ports and then restarted at
 * its own ports: a node that connected before its bucket was restored would create a new one.
 */
async function fill(
  state: StateDir,
  journal: Journal,
  saved: readonly SavedStream[],
  options: MigrateOptions,
  { say, signal }: Control,
): Promise<Migration> {
  signal.throwIfAborted();
  const { target, targetWasThere } = journal;
  if (!targetWasThere) say("filling the cluster at random ports, without clients");
  const filled = await prepare(state, targetWasThere ? target : await hidden(target), say);
  await filled.up();
  signal.throwIfAborted();
  const nats = await connectDeployed(state, filled);
  let streams: readonly Copied[];
  try {
    await refuseTaken(nats, saved);
    await refuseUnreadable(saved, await readVersions(filled.servers), say);
    streams = await restore(state, journal, { nats, saved, replicas: options.replicas, say, signal });
  } finally {
    await nats.close();
  }
  if (options.from !== undefined) {
    await using source = await connectSource(options.from, options);
    await refuseChanged(
      source,
      saved.map(({ info }) => info),
    );
  }
  return { running: targetWasThere ? filled : await unhide(state, filled, target, say), streams };
}

async function unhide(state: StateDir, filled: Running, target: UpOptions, say: Say): Promise<Running> {
  await filled.down({ deleteData: false });
  await state.forget();
  say("the cluster is complete; starting it at its own ports");
  return prepare(state, target, say);
}

/** Rolls back; resolves with the error to throw: that nothing is lost, or what to do if the rollback failed, too. */
async function rolledBack(state: StateDir, error: unknown, { say, signal }: Control): Promise<unknown> {
  const message = signal.aborted ? `interrupted by ${signal.reason}` : messageOf(error);
  try {
    const result = await rollBack(state, say);
    if (signal.aborted) return new Interrupted(signal, result);
    return new DeployError(`${message}\n${result}`, { cause: error });
  } catch (second) {
    const why = second instanceof Error ? second.message : String(second);
    return new DeployError(
      `${message}\nThe source's data are unchanged, but the rollback failed: ${why}\n${unfinished(state)}`,
      { cause: error },
    );
  }
}
