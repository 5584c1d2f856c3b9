/** The folders of backups: their names, their content, and which of them are kept. */
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { messageOf } from "../../../src/errors.ts";
import { parseVersion } from "../../../src/nats/api/server-version.ts";
import { DeployError } from "../errors.ts";
import { type Json, objectOf } from "../migrate/api.ts";
import type { Contents } from "../migrate/contents.ts";
import { DATA_FILE, INFO_FILE } from "../migrate/snapshot.ts";
import type { StreamInfo } from "../migrate/stream-info.ts";
import type { SavedStream } from "../migrate/target.ts";

const NAME = /^nats-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{3}Z$/;
const PARTIAL = ".partial";
/** A backup whose drill failed: not counted by `--keep`, and not restored unless it is named. */
const UNPROVEN = ".unproven";
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
  return withEnding(names, PARTIAL);
}

function withEnding(names: readonly string[], ending: string): string[] {
  return names.filter((name) => name.endsWith(ending) && NAME.test(name.slice(0, -ending.length)));
}

export interface Manifest {
  readonly at: string;
  /** The newest nats-server of the cluster. Absent in older backups. */
  readonly natsServer?: string;
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

/**
 * Calls `fill` with a new folder, which gets its name only when the backup in it is complete, and is deleted if that fails: the disk may be
 * that of the servers, whose streams accept no writes once it is full.
 */
export async function writeArchive(
  parent: string,
  now: number,
  fill: (folder: string) => Promise<Pick<Manifest, "natsServer" | "streams">>,
): Promise<{ readonly folder: string; readonly manifest: Manifest }> {
  await remove(parent, partial(await readdir(parent)));
  const folder = join(parent, nameAt(now));
  const draft = `${folder}${PARTIAL}`;
  try {
    await mkdir(draft, { mode: 0o700 });
    const manifest: Manifest = { at: new Date(now).toISOString(), ...(await fill(draft)) };
    await writeFile(join(draft, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`, { mode: 0o600 });
    await rename(draft, folder);
    return { folder, manifest };
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    throw error;
  }
}

async function remove(parent: string, names: readonly string[]): Promise<void> {
  for (const name of names) await rm(join(parent, name), { recursive: true, force: true });
}

/** Deletes all but the newest `keep` backups of this folder. Resolves with the names of the deleted ones. */
export async function retain(parent: string, keep: number): Promise<string[]> {
  const gone = expired(await readdir(parent), keep);
  await remove(parent, gone);
  return gone;
}

/** Renames a backup whose drill failed; deletes the earlier ones of this kind. Resolves with its new path. */
export async function setAside(folder: string): Promise<string> {
  const parent = dirname(folder);
  const earlier = withEnding(await readdir(parent), UNPROVEN);
  const aside = `${folder}${UNPROVEN}`;
  await rename(folder, aside);
  await remove(parent, earlier);
  return aside;
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
  const manifest = await readObject(folder, MANIFEST);
  const { streams } = manifest;
  if (!Array.isArray(streams) || !streams.every((one) => isName(objectOf(one)["name"])))
    throw new DeployError(`${folder} is no complete backup: its ${MANIFEST} has no list of streams`);
  return manifest as unknown as Manifest;
}

/** A name that is one folder. */
function isName(name: unknown): boolean {
  return typeof name === "string" && /^[^./\\]+$/.test(name);
}

async function readObject(folder: string, file: string): Promise<Json> {
  try {
    const value: unknown = JSON.parse(await readFile(join(folder, file), "utf8"));
    if (typeof value === "object" && value !== null) return value as Json;
  } catch (cause) {
    throw new DeployError(
      `${folder} is no complete backup: its ${file} cannot be read (${messageOf(cause)})`,
      { cause },
    );
  }
  throw new DeployError(`${folder} is no complete backup: its ${file} has no object`);
}

export async function writeSaved({ dir, info, contents }: Omit<SavedStream, "takenBy">): Promise<void> {
  const plain = contents === null ? null : { ...contents, aging: contents.aging && [...contents.aging] };
  await writeFile(join(dir, CONTENTS), JSON.stringify({ info, contents: plain }), { mode: 0o600 });
}

/** @param only Names of streams. @default all */
export async function readSaved(folder: string, only?: readonly string[]): Promise<SavedStream[]> {
  const { streams, natsServer } = await readManifest(folder);
  const takenBy = natsServer === undefined || parseVersion(natsServer) === null ? null : natsServer;
  const names = streams.map(({ name }) => name);
  const unknown = only?.find((name) => !names.includes(name));
  if (unknown !== undefined)
    throw new DeployError(`${folder} has no stream ${unknown}; it has ${names.join(", ") || "none"}`);
  const wanted = streams.filter(({ name }) => only === undefined || only.includes(name));
  const saved = await Promise.all(wanted.map((stream) => readSavedStream(folder, stream)));
  return saved.map((stream) => ({ ...stream, takenBy }));
}

/** Rejects what is damaged before a stream of the backup is restored. The server checks the data. */
async function readSavedStream(
  folder: string,
  { name, bytes }: ManifestStream,
): Promise<Omit<SavedStream, "takenBy">> {
  const dir = join(folder, name);
  await readObject(folder, join(name, INFO_FILE));
  const data = join(name, DATA_FILE);
  const { size } = await stat(join(folder, data)).catch(() => ({ size: 0 }));
  if (size !== bytes)
    throw new DeployError(
      `${folder} is damaged: its ${data} has ${size} bytes, not the ${bytes} that were saved`,
    );
  const saved = await readObject(folder, join(name, CONTENTS));
  const [info, contents] = [objectOf(saved["info"]), saved["contents"] as Stored | null];
  if (info["name"] !== name || !Array.isArray(info["consumers"]) || contents === undefined)
    throw new DeployError(
      `${folder} is damaged: its ${join(name, CONTENTS)} does not describe stream ${name}`,
    );
  const map = contents?.aging ?? null;
  const aging = map === null ? null : new Map(map);
  const described = info as unknown as StreamInfo;
  return { dir, info: described, contents: contents === null ? null : { ...contents, aging } };
}

type Aging =
  NonNullable<Contents["aging"]> extends ReadonlyMap<infer Key, infer Value> ? [Key, Value][] : never;
type Stored = Omit<Contents, "aging"> & { readonly aging: Aging | null };
