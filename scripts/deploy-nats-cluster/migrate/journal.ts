/** What an unfinished migration has begun, on disk, so that the next call can take it back whatever ended this one. */
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { UpOptions } from "../deployment.ts";
import { DeployError } from "../errors.ts";
import type { Deployment, StateDir } from "../state.ts";

export interface Journal {
  /** The single server that is deployed here and was ended; null when the streams come from elsewhere. */
  readonly single: Deployment | null;
  readonly target: UpOptions;
  /** Whether the target was deployed before. If not, it is ended again when the migration is taken back. */
  readonly targetWasThere: boolean;
  /** Streams that the target did not have, and that were or are being restored into it. */
  readonly restoring: readonly string[];
  /** Where the snapshots are. They are removed when the migration is taken back, and at its end unless they are to be kept. */
  readonly backup: { readonly folder: string; readonly keep: boolean };
}

export async function readJournal(state: StateDir): Promise<Journal | undefined> {
  const file = fileOf(state);
  if (!existsSync(file)) return undefined;
  return JSON.parse(await readFile(file, "utf8")) as Journal;
}

/** Whole or not at all. */
export async function writeJournal(state: StateDir, journal: Journal): Promise<void> {
  await mkdir(state.path, { recursive: true, mode: 0o700 });
  const draft = `${fileOf(state)}.${process.pid}`;
  await writeFile(draft, `${JSON.stringify(journal, null, 2)}\n`, { mode: 0o600 });
  await rename(draft, fileOf(state));
}

export async function forgetJournal(state: StateDir): Promise<void> {
  await rm(fileOf(state), { force: true });
}

/** What is deployed while a migration is unfinished is half of something. */
export async function refuseUnfinished(state: StateDir): Promise<void> {
  if (existsSync(fileOf(state))) throw new DeployError(unfinished(state));
}

export function unfinished(state: StateDir): string {
  return `a migration in ${state.path} was interrupted: run "migrate" again to start it over, or "migrate --undo" to take it back`;
}

function fileOf(state: StateDir): string {
  return join(state.path, "migration.json");
}
