import { chmod, mkdir, mkdtemp, open, readFile, rename, rm, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { poll } from "../run/wait.ts";
import { binaryVersion } from "./binary.ts";

const LOCK_WAIT_MS = 6 * 60_000;
const LOCK_STALE_MS = 10 * 60_000;
const LOCK_UNWRITTEN_MS = 5000;

/** `NATS_LEADER_CACHE`, or nats-leader in `XDG_CACHE_HOME` or ~/.cache. */
export function cacheDir(env: NodeJS.ProcessEnv): string {
  const own = env["NATS_LEADER_CACHE"];
  if (own) return own;
  return join(env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "nats-leader");
}

/** Where the cache keeps a version. */
export function cachedPath(cache: string, version: string): string {
  return join(cache, "nats-server", version, "nats-server");
}

/** The cached binary of exactly this version; undefined when there is none that runs. */
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
    return undefined; // missing, or damaged: an install puts a new one in its place
  }
}

/**
 * Lets `make` put a nats-server into a new folder and moves it to its place under the version it reports, in one
 * rename: whoever looks sees no binary or a whole one, however many processes install at once.
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
 * Runs `job` while no other process does so for this version, so that a cold cache costs one build. The lock only
 * saves work: it is passed over when its owner has died or takes longer than six minutes.
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
    return false; // it was given back in between
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
