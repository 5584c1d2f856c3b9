/** Saves the streams of the account while they are in use, and proves a backup by a restore into a server of its own. */
import { join } from "node:path";
import type { NatsConnection } from "@nats-io/transport-node";
import { connect } from "@nats-io/transport-node";
import { messageOf } from "../../../src/errors.ts";
import { compareVersions } from "../../../src/testing/server/find/versions.ts";
import { startNatsCluster, startNatsServer } from "../../../src/testing.ts";
import type { Running, Say } from "../deployment.ts";
import { DeployError, isFault } from "../errors.ts";
import { readVersions } from "../health.ts";
import { type Control, Interrupted } from "../interrupt.ts";
import { objectOf } from "../migrate/api.ts";
import { readContents } from "../migrate/contents.ts";
import { forgetJournal, type Journal, readJournal, writeJournal } from "../migrate/journal.ts";
import { leaveMemory } from "../migrate/kinds.ts";
import { refuseUnreadable } from "../migrate/readable.ts";
import { readSavedState, saveStream } from "../migrate/snapshot.ts";
import { connectDeployed } from "../migrate/source.ts";
import { fingerprintOf, readInfo, readInfos } from "../migrate/stream-info.ts";
import { type Copied, refuseTaken, restore, restoreToScratch, type SavedStream } from "../migrate/target.ts";
import { rollBack } from "../migrate/undo.ts";
import { settingsOf } from "../remembered.ts";
import type { StateDir } from "../state.ts";
import { type ManifestStream, readSaved, writeArchive, writeSaved } from "./archive.ts";

/** A stream of an election is written every few seconds: one of a few attempts falls between two writes. */
const ATTEMPTS = 5;

const EMPTY = "the account has no stream on disk";
const ALLOW_EMPTY = "A drill would prove nothing; --allow-empty accepts that";

export interface Backup {
  readonly folder: string;
  readonly streams: readonly ManifestStream[];
}

/**
 * Deletes no older backup: {@link retain} does, once this one is known to be good.
 *
 * Rejects with {@link Interrupted} on abort; nothing of the backup is left then.
 *
 * @param mayBeEmpty Without it, an account without streams on disk is an error, and nothing is saved.
 */
export async function backUp(
  state: StateDir,
  running: Running,
  { to, mayBeEmpty }: { readonly to: string; readonly mayBeEmpty: boolean },
  { say, signal }: Control,
): Promise<Backup> {
  const nats = await connectDeployed(state, running);
  try {
    const { folder, manifest } = await writeArchive(to, Date.now(), async (draft) => {
      const saved: ManifestStream[] = [];
      const infos = leaveMemory(await readInfos(nats), true, say);
      if (infos.length === 0) {
        if (!mayBeEmpty) throw new DeployError(`nothing was saved: ${EMPTY}. ${ALLOW_EMPTY}`);
        say(`warning: ${EMPTY}: the backup is empty`);
      }
      for (const { name } of infos) {
        signal.throwIfAborted();
        const one = await saveOne(nats, name, join(draft, name), signal);
        const { messages, lastSequence, exact } = one;
        say(`${name}: saved, ${messages} messages up to sequence ${lastSequence}${exact ? "" : ", in use"}`);
        saved.push(one);
      }
      const natsServer = (await readVersions(running.servers)).sort(compareVersions).at(-1);
      return { ...(natsServer !== undefined && { natsServer }), streams: saved };
    });
    return { folder, streams: manifest.streams };
  } catch (error) {
    if (signal.aborted) throw new Interrupted(signal, "nothing was saved, and no older backup was deleted");
    const down = isFault(error) ? [] : await running.notRunning();
    if (down.length === 0) throw error;
    throw new DeployError(
      `${messageOf(error)}. What is stored only on ${down.join(", ")} cannot be read, because it is not running: run "up" first`,
      { cause: error },
    );
  } finally {
    await nats.close();
  }
}

/** Repeats the snapshot until the stream does not change while it is taken and read. */
async function saveOne(
  nats: NatsConnection,
  name: string,
  dir: string,
  signal: AbortSignal,
): Promise<ManifestStream> {
  for (let attempt = 1; ; attempt++) {
    const before = await readInfo(nats, name);
    const bytes = await saveStream(nats, name, dir, signal);
    const contents = await readContents(nats, before, signal);
    const exact = fingerprintOf(before) === fingerprintOf(await readInfo(nats, name));
    if (!exact && attempt < ATTEMPTS) continue;
    const info = exact ? before : { ...before, ...(await readSavedState(dir)) };
    const { messages, lastSequence } = info;
    await writeSaved({ dir, info, contents: exact ? contents : null });
    return { name, messages, lastSequence, bytes, exact };
  }
}

/** Restores every stream of the backup into new servers, compares them, and deletes the servers. Rejects with the signal's reason on abort. */
export async function drill(
  folder: string,
  { binary, mayBeEmpty }: { readonly binary: string | undefined; readonly mayBeEmpty: boolean },
  { say, signal }: { readonly say: Say; readonly signal?: AbortSignal },
): Promise<Copied[]> {
  const saved = await readSaved(folder);
  if (saved.length === 0) {
    if (!mayBeEmpty) throw new DeployError(`${folder} has no stream. ${ALLOW_EMPTY}`);
    return [];
  }
  const size = serversFor(saved);
  const options = binary === undefined ? {} : { binary };
  await using servers =
    size === 1 ? await startNatsServer(options) : await startNatsCluster({ ...options, size });
  const nats = await connect({ servers: "urls" in servers ? [...servers.urls] : servers.url });
  try {
    await refuseUnreadable(saved, nats.info === undefined ? [] : [nats.info.version], say);
    return await restoreToScratch(nats, saved, size, { say, signal });
  } finally {
    await nats.close();
  }
}

/** The number of replicas of a consumer is part of a snapshot, and a stream must have as many. */
function serversFor(saved: readonly SavedStream[]): number {
  const replicated = saved.some(({ info }) =>
    info.consumers.some(({ config }) => Number(objectOf(config)["num_replicas"] ?? 0) > 1),
  );
  return replicated ? Math.max(...saved.map(({ info }) => Number(info.config["num_replicas"]))) : 1;
}

/** Restores streams that the cluster does not have. If one of them fails or differs, or on abort, all of them are deleted again. */
export async function restoreBackup(
  state: StateDir,
  running: Running,
  { from, only }: { readonly from: string; readonly only?: readonly string[] | undefined },
  { say, signal }: Control,
): Promise<Copied[]> {
  const saved: readonly SavedStream[] = await readSaved(from, only);
  const journal: Journal = {
    what: "restore",
    single: null,
    target: settingsOf(running.deployment),
    targetWasThere: true,
    restoring: [],
    // Not the folder of the backup: a rollback deletes this one.
    backup: { folder: join(state.path, "migration"), keep: false },
  };
  const nats = await connectDeployed(state, running);
  try {
    await refuseTaken(nats, saved);
    await refuseUnreadable(saved, await readVersions(running.servers), say);
    await writeJournal(state, journal);
    const copied = await restore(state, journal, { nats, saved, replicas: 1, say, signal });
    await forgetJournal(state);
    return copied;
  } catch (error) {
    if ((await readJournal(state)) === undefined) throw error;
    const result = await rollBack(state, say);
    if (signal.aborted) throw new Interrupted(signal, result);
    throw new DeployError(`${messageOf(error)}\n${result}`, { cause: error });
  } finally {
    await nats.close();
  }
}
