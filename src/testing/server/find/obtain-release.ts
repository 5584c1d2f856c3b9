import { createHash } from "node:crypto";
import { access, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { reasonOf } from "../errors.ts";
import type { FinderPorts, Obtain } from "./obtain.ts";

const CONNECT_MS = 3000;
const DOWNLOAD_MS = 180_000;
const UNPACK_MS = 60_000;

// Without an internet connection an attempt takes seconds, so a process makes only one.
const unreachable = new WeakMap<FinderPorts, string>();

/** Downloads the official archive from GitHub. Refused unless its SHA-256 is the one in SHA256SUMS. */
export const obtainRelease: Obtain = async (request) => {
  const { version, ports, dir, progress, signal } = request;
  const before = unreachable.get(ports);
  if (before !== undefined) throw new Error(`${before} (tried earlier in this process)`);
  const folder = `nats-server-v${version}-${goSystem(ports.platform)}-${goArch(ports.arch)}`;
  const archive = `${folder}.tar.gz`;
  const base = `https://github.com/nats-io/nats-server/releases/download/v${version}`;
  let sums: string;
  try {
    const bytes = await ports.fetchBytes(`${base}/SHA256SUMS`, {
      headersMs: CONNECT_MS,
      totalMs: 30_000,
      signal,
    });
    sums = new TextDecoder().decode(bytes);
  } catch (error) {
    signal?.throwIfAborted();
    const reason = reasonOf(error instanceof Error && error.cause !== undefined ? error.cause : error);
    if (!reason.includes("answered")) unreachable.set(ports, reason);
    throw error;
  }
  const expected = checksumOf(sums, archive);
  progress(`downloading ${archive} from github.com`);
  const bytes = await ports.fetchBytes(`${base}/${archive}`, {
    headersMs: 15_000,
    totalMs: DOWNLOAD_MS,
    signal,
  });
  const actual = createHash("sha256").update(bytes).digest("hex");
  if (actual !== expected) {
    throw new Error(`${archive} refused: its SHA-256 is ${actual}, SHA256SUMS has ${expected}`);
  }
  const file = join(dir, archive);
  await writeFile(file, bytes);
  await ports.run("tar", ["-xzf", file, "-C", dir], { timeoutMs: UNPACK_MS, signal });
  const binary = join(dir, folder, "nats-server");
  await access(binary);
  return binary;
};

function checksumOf(sums: string, archive: string): string {
  for (const line of sums.split("\n")) {
    const [sum, name] = line.trim().split(/\s+\*?/);
    if (name === archive && sum !== undefined && /^[0-9a-f]{64}$/.test(sum)) return sum;
  }
  throw new Error(`SHA256SUMS has no line for ${archive}`);
}

function goSystem(platform: string): string {
  return platform === "win32" ? "windows" : platform;
}

function goArch(arch: string): string {
  const names: Record<string, string> = { x64: "amd64", ia32: "386", arm: "arm7" };
  return names[arch] ?? arch;
}
