/** The journal of an unfinished migration, on disk, so that the next call can roll it back however this one ended. */
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DeployError } from "../errors.ts";
import type { Deployment, StateDir, UpOptions } from "../state.ts";

export interface Journal {
  /** @default "migration" */
  readonly what?: "restore";
  /** The single server deployed here, which was stopped; null if the source runs elsewhere. */
  readonly single: Deployment | null;
  readonly target: UpOptions;
  /** Whether the target was deployed before. If not, a rollback stops it. */
  readonly targetWasThere: boolean;
  /** Streams that were restored, or are being restored, into the target. None of them existed there before. */
  readonly restoring: readonly string[];
  /** Where the snapshots are. A rollback deletes them; the end of the migration deletes them unless `keep`. */
  readonly backup: { readonly folder: string; readonly keep: boolean };
}

export async function readJournal(state: StateDir): Promise<Journal | undefined> {
  const file = fileOf(state);
  if (!existsSync(file)) return undefined;
  return JSON.parse(await readFile(file, "utf8")) as Journal;
}

/** Atomic: the file is replaced as a whole. */
export async function writeJournal(state: StateDir, journal: Journal): Promise<void> {
  await mkdir(state.path, { recursive: true, mode: 0o700 });
  const draft = `${fileOf(state)}.${process.pid}`;
  await writeFile(draft, `${JSON.stringify(journal, null, 2)}\n`, { mode: 0o600 });
  await rename(draft, fileOf(state));
}

export async function forgetJournal(state: StateDir): Promise<void> {
  await rm(fileOf(state), { force: true });
}

/** Rejects while a migration is unfinished: the deployment is incomplete then. */
export async function refuseUnfinished(state: StateDir): Promise<void> {
  const journal = await readJournal(state);
  if (journal !== undefined) throw new DeployError(unfinished(state, journal.what));
}

export function unfinished(state: StateDir, what?: Journal["what"]): string {
  if (what === "restore")
    return `a restore in ${state.path} was interrupted: run "rollback", which deletes its streams from the cluster`;
  return `a migration in ${state.path} was interrupted: run "migrate" to start again, or "migrate --undo" to roll it back`;
}

function fileOf(state: StateDir): string {
  return join(state.path, "migration.json");
}
