import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Obtain, ObtainRequest } from "./obtain.ts";

const DOWNLOAD_MS = 60_000;
const UPDATE_MS = 120_000;

/** Unpacks the distribution's own package without installing it, whatever its version. Debian and its derivatives. */
export const obtainFromDebian: Obtain = async (request) => {
  const { ports, dir, progress, signal } = request;
  if (ports.platform !== "linux") throw new Error("available on Debian-like systems only");
  await ports.run("dpkg", ["--version"], { timeoutMs: 10_000, signal });
  progress("downloading the distribution's nats-server package");
  try {
    await download(request);
  } catch (error) {
    signal?.throwIfAborted();
    if (!ports.isRoot) throw error;
    progress("package lists are missing or outdated: running apt-get update");
    await ports.run("apt-get", ["update", "-qq"], { timeoutMs: UPDATE_MS, cwd: dir, signal });
    await download(request);
  }
  const file = (await readdir(dir)).find((name) => name.endsWith(".deb"));
  if (file === undefined) throw new Error("apt-get download produced no .deb file");
  const root = join(dir, "unpacked");
  await ports.run("dpkg", ["-x", join(dir, file), root], { timeoutMs: 30_000, signal });
  return join(root, "usr", "sbin", "nats-server");
};

async function download({ ports, dir, signal }: ObtainRequest): Promise<void> {
  await ports.run("apt-get", ["download", "-qq", "nats-server"], {
    timeoutMs: DOWNLOAD_MS,
    cwd: dir,
    signal,
  });
}
