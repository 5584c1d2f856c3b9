/** The folders of backups: their names, their content, and which of them are kept. */
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DeployError } from "../errors.ts";
import type { Contents } from "../migrate/contents.ts";
import type { StreamInfo } from "../migrate/stream-info.ts";
import type { SavedStream } from "../migrate/target.ts";

const NAME = /^nats-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{3}Z$/;
const PARTIAL = ".partial";
const MANIFEST = "manifest.json";
const CONTENTS = "contents.json";

/** The time in UTC. Names sort as their times do. */
export function nameAt(now: number): string {
  return `nats-${new Date(now).toISOString().replaceAll(/[:.]/g, "-")}`;
}

/** The names of the complete backups that are to be deleted, so that the newest `keep` remain. Other names are left alone. */
export function expired(names: readonly string[], keep: number): string[] {
  const backups = names.filter((name) => NAME.test(name)).sort();
  return backups.slice(0, Math.max(0, backups.length - keep));
}

/** What interrupted backups have left. */
export function partial(names: readonly string[]): string[] {
  return names.filter((name) => name.endsWith(PARTIAL) && NAME.test(name.slice(0, -PARTIAL.length)));
}

export interface Manifest {
  readonly at: string;
  readonly streams: readonly ManifestStream[];
}

export interface ManifestStream {
  readonly name: string;
  readonly messages: number;
  readonly lastSequence: number;
  readonly bytes: number;
  /** Whether every message can be compared after a restore. False: the stream was written during every attempt. */
  readonly exact: boolean;
}

/** Calls `fill` with a new folder, which gets its name only when the backup in it is complete. */
export async function writeArchive(
  parent: string,
  now: number,
  fill: (folder: string) => Promise<readonly ManifestStream[]>,
): Promise<{ readonly folder: string; readonly manifest: Manifest }> {
  await mkdir(parent, { recursive: true, mode: 0o700 });
  for (const name of partial(await readdir(parent)))
    await rm(join(parent, name), { recursive: true, force: true });
  const folder = join(parent, nameAt(now));
  const draft = `${folder}${PARTIAL}`;
  await mkdir(draft, { mode: 0o700 });
  const manifest: Manifest = { at: new Date(now).toISOString(), streams: await fill(draft) };
  await writeFile(join(draft, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`, { mode: 0o600 });
  await rename(draft, folder);
  return { folder, manifest };
}

/** Deletes all but the newest `keep` backups of this folder. Resolves with the names of the deleted ones. */
export async function retain(parent: string, keep: number): Promise<string[]> {
  const gone = expired(await readdir(parent), keep);
  for (const name of gone) await rm(join(parent, name), { recursive: true, force: true });
  return gone;
}

export async function latestIn(parent: string): Promise<string> {
  const names = await readdir(parent).catch(() => []);
  const latest = names
    .filter((name) => NAME.test(name))
    .sort()
    .at(-1);
  if (latest === undefined) throw new DeployError(`${parent} has no complete backup: run "backup" first`);
  return join(parent, latest);
}

export async function readManifest(folder: string): Promise<Manifest> {
  try {
    return JSON.parse(await readFile(join(folder, MANIFEST), "utf8")) as Manifest;
  } catch (cause) {
    throw new DeployError(
      `${folder} is no complete backup: its ${MANIFEST} cannot be read (${cause instanceof Error ? cause.message : cause})`,
      { cause },
    );
  }
}

export async function writeSaved({ dir, info, contents }: SavedStream): Promise<void> {
  const plain = contents === null ? null : { ...contents, aging: contents.aging && [...contents.aging] };
  await writeFile(join(dir, CONTENTS), JSON.stringify({ info, contents: plain }), { mode: 0o600 });
}

/** @param only Names of streams. @default all */
export async function readSaved(folder: string, only?: readonly string[]): Promise<SavedStream[]> {
  const { streams } = await readManifest(folder);
  const names = streams.map(({ name }) => name);
  const unknown = only?.find((name) => !names.includes(name));
  if (unknown !== undefined)
    throw new DeployError(`${folder} has no stream ${unknown}; it has ${names.join(", ") || "none"}`);
  return Promise.all(
    names
      .filter((name) => only === undefined || only.includes(name))
      .map(async (name) => {
        const dir = join(folder, name);
        const text = await readFile(join(dir, CONTENTS), "utf8");
        const { info, contents } = JSON.parse(text) as { info: StreamInfo; contents: Stored | null };
        const map = contents?.aging ?? null;
        const aging = map === null ? null : new Map(map);
        return { dir, info, contents: contents === null ? null : { ...contents, aging } };
      }),
  );
}

type Aging =
  NonNullable<Contents["aging"]> extends ReadonlyMap<infer Key, infer Value> ? [Key, Value][] : never;
type Stored = Omit<Contents, "aging"> & { readonly aging: Aging | null };
