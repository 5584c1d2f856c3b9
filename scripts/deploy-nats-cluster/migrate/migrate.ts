/**
 * Replaces one server by a cluster and keeps its streams: messages, sequences, times, headers, durable consumers.
 *
 * A standalone server's store is not simply given to a cluster's first member: streams that are not in the cluster's meta
 * group are orphans there, which nats-server removes. So each stream goes through JetStream's snapshot API.
 *
 * The source is only read. Either it is the single server that is deployed here: then it is ended first, and its data
 * are served to nobody but this script. Or it runs elsewhere: then it must be the same before and after, or the copy is
 * thrown away. What is begun is in a journal first, so whatever ends this process, the next call takes it back.
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { prepare, Running, refuseTakenPorts, type Say, type UpOptions } from "../deployment.ts";
import { DeployError } from "../errors.ts";
import { DEFAULT_PORT_BASE, planServers, portsOf } from "../plan.ts";
import type { Deployment, StateDir } from "../state.ts";
import { readContents } from "./contents.ts";
import { electionsAmong, refuseRunningNodes } from "./elections.ts";
import { forgetJournal, type Journal, readJournal, unfinished, writeJournal } from "./journal.ts";
import { leaveMemory, noteOddities } from "./kinds.ts";
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
import { takeBack } from "./undo.ts";

export interface MigrateOptions extends SourceOptions {
  readonly target: Pick<UpOptions, "backend" | "topology">;
  /** Undefined: as the single server. */
  readonly secure?: boolean | undefined;
  /** Undefined: the single server's. */
  readonly portBase?: number | undefined;
  readonly replicas: number;
  /** A folder for the snapshots. Without it they are removed at the end. */
  readonly keepBackup?: string;
  /** What is in memory only is not in a snapshot. Without this it keeps the migration from beginning. */
  readonly leaveMemory: boolean;
}

export interface Migration {
  readonly running: Running;
  readonly streams: readonly Copied[];
}

export async function migrate(state: StateDir, options: MigrateOptions, say: Say): Promise<Migration> {
  if ((await readJournal(state)) !== undefined) {
    say("an earlier migration was interrupted: it is taken back, then begun anew");
    await takeBack(state, say);
  }
  const journal = await begin(state, options);
  if (journal.single !== null) await refuseMemory(state, journal.single, options, say);
  await writeJournal(state, journal);
  let migration: Migration;
  try {
    if (journal.single !== null) await end(state, journal.single, say);
    const saved = await save(state, journal, options, say);
    migration = await fill(state, journal, saved, options, say);
  } catch (error) {
    throw await takenBack(state, error, say);
  }
  // From here on the cluster has it all, and nothing is taken back: clients may have found it.
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
      `all streams are in the cluster, but it is not ready yet; see "status", or run "up" again: ${why}`,
      {
        cause,
      },
    );
  }
  return migration;
}

/** What there is to do. Refuses what can be refused before anything is touched. */
async function begin(state: StateDir, options: MigrateOptions): Promise<Journal> {
  const deployed = await state.read();
  const single = options.from === undefined ? singleOf(state, deployed) : null;
  if (options.from !== undefined && deployed?.topology === "single")
    throw new DeployError(
      `${state.path} has a single server deployed: leave out --from to replace that one, or name another --state`,
    );
  const { keepBackup: kept } = options;
  if (kept !== undefined && (await readdir(kept).catch(() => [])).length > 0)
    throw new DeployError(`--keep-backup ${kept} is not empty: name a new folder`);
  const target = {
    ...options.target,
    secure: options.secure ?? single?.secure ?? false,
    portBase: options.portBase ?? single?.portBase ?? DEFAULT_PORT_BASE,
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

function singleOf(state: StateDir, deployed: Deployment | undefined): Deployment {
  if (deployed?.topology === "single") return deployed;
  throw new DeployError(
    `no single server is deployed in ${state.path}: name the one to copy with --from nats://host:port`,
  );
}

/** Asked while it still runs: what is in memory ends with it. */
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

/** Snapshots of all streams, and what is in them. */
async function save(
  state: StateDir,
  { single, backup }: Journal,
  options: MigrateOptions,
  say: Say,
): Promise<SavedStream[]> {
  await using source =
    single === null ? await connectSource(options.from ?? "", options) : await serveSingle(state, single);
  const { nats, where } = source;
  const all = await readInfos(nats);
  if (all.length === 0 && single === null)
    throw new DeployError(`${where} has no streams in this user's account: there is nothing to migrate`);
  const infos = leaveMemory(all, options.leaveMemory, say);
  noteOddities(infos, say);
  if (single === null) await nobodyLeads(source, infos, say);
  const saved: SavedStream[] = [];
  for (const info of infos) {
    const dir = join(backup.folder, info.name);
    const bytes = await saveStream(nats, info.name, dir);
    say(`${info.name}: saved, ${bytes} bytes`);
    saved.push({ info, contents: await readContents(nats, info), dir });
  }
  await refuseChanged(source, infos);
  return saved;
}

/**
 * A leader writes at least once in each lease. So a source without a write for that long has none, and nobody who would
 * take over: not even a node whose service is off, which does not answer.
 */
async function nobodyLeads(source: Source, infos: readonly StreamInfo[], say: Say): Promise<void> {
  const elections = await electionsAmong(
    source.nats,
    infos.map(({ name }) => name),
  );
  await refuseRunningNodes(source.nats, elections);
  const held = elections.flatMap(({ clusterId, held: one }) => (one === null ? [] : [{ clusterId, ...one }]));
  if (held.length === 0) return;
  const waitMs = Math.max(...held.map(({ ttlMs }) => ttlMs));
  const text = held.map(({ clusterId, by }) => `${clusterId} by ${by}`).join(", ");
  say(`not released: the lease of ${text}; ${waitMs / 1000} s will tell whether somebody renews it`);
  await sleep(waitMs);
  await refuseChanged(source, infos);
}

/** Rejects when a stream was written, read by a durable consumer, configured, made or removed since `was`. */
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
    `${where} is still used: ${changes.join("; ")}. Stop whatever writes or reads there, nodes of elections first, then migrate again`,
  );
}

/**
 * The cluster, with all streams in it, each compared with the source. A cluster that is made for this is filled at ports
 * that nobody knows, and then started at its own: a node that found it without its bucket would make a new one.
 */
async function fill(
  state: StateDir,
  journal: Journal,
  saved: readonly SavedStream[],
  options: MigrateOptions,
  say: Say,
): Promise<Migration> {
  const { target, targetWasThere } = journal;
  if (!targetWasThere) say("the cluster is filled at ports that nobody knows");
  const filled = await prepare(state, targetWasThere ? target : await hidden(target), say);
  await filled.up();
  const nats = await connectDeployed(state, filled);
  let streams: readonly Copied[];
  try {
    await refuseTaken(nats, saved);
    streams = await restore(state, journal, { nats, saved, replicas: options.replicas, say });
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
  say("the cluster is complete, and starts at its own ports");
  return prepare(state, target, say);
}

/** What to tell: that nothing is lost, or what to do when even the taking back went wrong. */
async function takenBack(state: StateDir, error: unknown, say: Say): Promise<unknown> {
  const message = error instanceof Error ? error.message : String(error);
  try {
    const told = await takeBack(state, say);
    return new DeployError(`${message}\n${told}`, { cause: error });
  } catch (second) {
    const why = second instanceof Error ? second.message : String(second);
    return new DeployError(
      `${message}\nThe source's data are as they were, but the rest could not be taken back: ${why}\n${unfinished(state)}`,
      { cause: error },
    );
  }
}
