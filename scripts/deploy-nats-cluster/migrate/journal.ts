/** The journal of an unfinished migration, on disk, so that the next call can roll it back however this one ended. */
import { existsSync } from "node:fs";
import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { DeployError } from "../errors.ts";
import type { Deployment, StateDir, UpOptions } from "../state.ts";
import { writeWhole } from "../write-whole.ts";

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
  const text = await readFile(file, "utf8");
  try {
    return JSON.parse(text) as Journal;
  } catch (cause) {
    throw new DeployError(
      `${file} is not valid JSON. It records an interrupted migration or restore: correct it, or delete it and the streams that were being restored`,
      { cause },
    );
  }
}

export async function writeJournal(state: StateDir, journal: Journal): Promise<void> {
  await mkdir(state.path, { recursive: true, mode: 0o700 });
  await writeWhole(fileOf(state), `${JSON.stringify(journal, null, 2)}\n`, 0o600);
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
