import { chmod, mkdir, mkdtemp, open, readFile, rename, rm, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { poll } from "../run/wait.ts";
import { binaryVersion } from "./binary.ts";

const LOCK_WAIT_MS = 6 * 60_000;
const LOCK_STALE_MS = 10 * 60_000;
const LOCK_UNWRITTEN_MS = 5000;

/** `NATS_LEADER_CACHE`, or the folder nats-leader in `XDG_CACHE_HOME` or ~/.cache. */
export function cacheDir(env: NodeJS.ProcessEnv): string {
  const own = env["NATS_LEADER_CACHE"];
  if (own) return own;
  return join(env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "nats-leader");
}

/** The path of a version in the cache. */
export function cachedPath(cache: string, version: string): string {
  return join(cache, "nats-server", version, "nats-server");
}

/** The path of the cached binary of exactly this version; undefined if it is missing or does not run. */
export async function findCached(
  cache: string,
  version: string,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const path = cachedPath(cache, version);
  try {
    return (await binaryVersion(path, signal)) === version ? path : undefined;
  } catch {
    signal?.throwIfAborted();
    return undefined; // missing, or damaged: the next install replaces it
  }
}

/**
 * Installs the nats-server that `make` puts into a new folder. One rename moves it to the path of the version it
 * reports, so that other processes see no binary or a complete one, even if several install at the same time.
 */
export async function installInto(
  cache: string,
  make: (dir: string) => Promise<string>,
  accept: (version: string) => void,
): Promise<{ readonly path: string; readonly version: string }> {
  const base = join(cache, "nats-server");
  await mkdir(base, { recursive: true });
  const dir = await mkdtemp(join(base, ".making-"));
  try {
    const made = await make(dir);
    await chmod(made, 0o755);
    const version = await binaryVersion(made);
    accept(version);
    const path = cachedPath(cache, version);
    await mkdir(join(base, version), { recursive: true });
    await rename(made, path);
    return { path, version };
  } finally {
    await rm(dir, { recursive: true, force: true, maxRetries: 5 });
  }
}

/**
 * Runs `job` under a lock for this version, so that several processes with an empty cache share one build. The lock
 * only saves work: it is ignored if its owner has died, or after waiting for six minutes.
 */
export async function withInstallLock<T>(
  cache: string,
  version: string,
  signal: AbortSignal | undefined,
  job: () => Promise<T>,
): Promise<T> {
  await mkdir(join(cache, "nats-server"), { recursive: true });
  const path = join(cache, "nats-server", `.lock-${version}`);
  const owned = await poll(() => takeLock(path), { timeoutMs: LOCK_WAIT_MS, everyMs: 100, signal });
  try {
    return await job();
  } finally {
    if (owned) await rm(path, { force: true });
  }
}

async function takeLock(path: string): Promise<true | undefined> {
  try {
    const file = await open(path, "wx");
    await file.writeFile(String(process.pid));
    await file.close();
    return true;
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    if (await isAbandoned(path)) await rm(path, { force: true });
    return undefined;
  }
}

async function isAbandoned(path: string): Promise<boolean> {
  try {
    const [text, { mtimeMs }] = [await readFile(path, "utf8"), await stat(path)];
    const ageMs = Date.now() - mtimeMs;
    if (text === "") return ageMs > LOCK_UNWRITTEN_MS;
    return ageMs > LOCK_STALE_MS || !isAlive(Number(text));
  } catch {
    return false; // released since
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
