/** Rolls back an unfinished migration: deletes its streams from the cluster and starts the single server again. */
import { readdir, rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import type { NatsConnection } from "@nats-io/transport-node";
import { poll } from "../../../src/testing/server/run/wait.ts";
import { prepare, Running, type Say } from "../deployment.ts";
import { DeployError } from "../errors.ts";
import type { StateDir } from "../state.ts";
import { ApiRefusal, call } from "./api.ts";
import { forgetJournal, type Journal, readJournal } from "./journal.ts";
import { connectDeployed, hidden } from "./source.ts";

const NO_STREAM = 10059;
const REMOVE_MS = 60_000;

/** Resolves with a description of the result. May be repeated until it succeeds. */
export async function rollBack(state: StateDir, say: Say): Promise<string> {
  const journal = await readJournal(state);
  if (journal === undefined)
    throw new DeployError(`nothing to roll back: no migration in ${state.path} is unfinished`);
  const { single, targetWasThere, restoring, backup } = journal;
  if (!targetWasThere) await endDeployed(state, say); // at its hidden or its own ports
  if (restoring.length > 0) await removeStreams(state, journal, say);
  if (!targetWasThere) await endDeployed(state, say);
  if (single !== null) {
    await state.write({ ...single, processes: {} });
    await new Running(state, single, say).up();
  }
  await removeSnapshots(backup.folder);
  await forgetJournal(state);
  const source =
    single === null ? "the source is unchanged" : "the single server runs again with all its data";
  return `Nothing is lost: ${source}, and the cluster has none of its streams.`;
}

/** The folder was new or empty when the migration began. An empty one may be a mount point, which stays. */
async function removeSnapshots(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  for (const name of names) await rm(join(folder, name), { recursive: true, force: true });
  await rmdir(folder).catch(() => {});
}

async function endDeployed(state: StateDir, say: Say): Promise<void> {
  const deployed = await state.read();
  if (deployed === undefined) return;
  await new Running(state, deployed, say).down({ deleteData: false });
  await state.forget();
}

async function removeStreams(state: StateDir, journal: Journal, say: Say): Promise<void> {
  const { targetWasThere, target, restoring } = journal;
  const running = await prepare(state, targetWasThere ? target : await hidden(target), say);
  await running.up("all are up"); // a partly restored stream makes a server unhealthy
  const nats = await connectDeployed(state, running);
  try {
    for (const name of restoring) {
      await removeStream(nats, name);
      say(`${name}: deleted from the cluster`);
    }
  } finally {
    await nats.close();
  }
}

/** Retries: servers that have just started have no meta leader yet. */
async function removeStream(nats: NatsConnection, name: string): Promise<void> {
  let last: unknown;
  const removed = await poll(
    async () => {
      try {
        await call(nats, `$JS.API.STREAM.DELETE.${name}`);
        return true;
      } catch (error) {
        last = error;
        return error instanceof ApiRefusal && error.code === NO_STREAM ? true : undefined;
      }
    },
    { timeoutMs: REMOVE_MS, everyMs: 200 },
  );
  if (!removed) throw last;
}
