/** A lock on a folder, held by one process of this machine. */
import { link, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DeployError, systemCode } from "./errors.ts";
import { startOf } from "./process-identity.ts";

const ATTEMPTS = 3;

/** Runs `job` under the lock of the folder, which is created. The lock of a process that has ended is ignored. */
export async function withLock<T>(folder: string, job: () => Promise<T>): Promise<T> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const lock = join(folder, "lock");
  const mine = `${lock}.${process.pid}`;
  try {
    await writeFile(mine, `${process.pid} ${startOf(process.pid) ?? ""}`);
    await take(folder, lock, mine);
    try {
      return await job();
    } finally {
      await rm(lock, { force: true });
    }
  } finally {
    await rm(mine, { force: true });
  }
}

async function take(folder: string, lock: string, mine: string): Promise<void> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    try {
      return await link(mine, lock); // atomic: the lock appears with its owner in it
    } catch (error) {
      if (systemCode(error) !== "EEXIST") throw error;
    }
    const text = await readFile(lock, "utf8").catch(() => "");
    const owner = ownerOf(text);
    if (owner !== undefined)
      throw new DeployError(`another call (pid ${owner}) is using ${folder}: wait until it has ended`);
    await removeLeft(lock, text);
  }
  throw new DeployError(`cannot take ${lock}: delete it if no other call is running`);
}

/** The pid in the lock, if that process still runs. The start time distinguishes it from a later process with the same pid. */
function ownerOf(text: string): number | undefined {
  const [pid = "", ...started] = text.split(" ");
  return started.length > 0 && startOf(Number(pid)) === started.join(" ") ? Number(pid) : undefined;
}

/** Another call may have removed the lock, too, and taken it since: what was moved away is put back then. */
async function removeLeft(lock: string, text: string): Promise<void> {
  const aside = `${lock}.left.${process.pid}`;
  try {
    await rename(lock, aside);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return;
    throw error;
  }
  const moved = await readFile(aside, "utf8");
  if (moved !== text) await link(aside, lock).catch(() => {});
  await rm(aside, { force: true });
}
