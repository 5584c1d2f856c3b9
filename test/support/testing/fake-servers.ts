import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { RunCommand } from "../../../src/system/run-command.ts";
import type { FinderPorts } from "../../../src/testing/server/find/obtain.ts";
import { WHEELS } from "../../../src/testing/server/find/wheels.ts";
import { atEnd } from "../at-end.ts";

/** The version of every server that these tests start, when the environment chooses one. */
export const testVersion: { readonly version?: string } =
  process.env["NATS_TEST_VERSION"] === undefined ? {} : { version: process.env["NATS_TEST_VERSION"] };

export const inContainers: boolean = process.env["NATS_TEST_BACKEND"] === "testcontainers";

/** A new folder, removed after the test. */
export async function tempDir(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "nats-leader-test-"));
  atEnd(async () => rm(dir, { recursive: true, force: true, maxRetries: 5 }));
  return dir;
}

/** Writes a script that reports that version for `--version` and otherwise runs `body`. */
export async function fakeServer(path: string, version: string, body = "exit 1"): Promise<string> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(
    path,
    `#!/bin/sh\n[ "$1" = --version ] && echo "nats-server: v${version}" && exit 0\n${body}\n`,
  );
  await chmod(path, 0o755);
  return path;
}

/** Ports to a machine without network, tools or servers; `calls` lists the calls that were made. */
export async function emptyWorld(changes: Partial<FinderPorts> = {}): Promise<{
  readonly ports: FinderPorts;
  readonly cache: string;
  readonly calls: string[];
}> {
  const cache = await tempDir();
  const calls: string[] = [];
  const missing: RunCommand = async (command) => {
    throw new Error(`${command} is not installed`);
  };
  const { fetchBytes, run, env, ...others } = changes;
  const ports: FinderPorts = {
    platform: "linux",
    arch: "x64",
    isRoot: false,
    wheels: WHEELS,
    ...others,
    env: { NATS_LEADER_CACHE: cache, PATH: "", ...env },
    fetchBytes: async (url, limits) => {
      calls.push(`fetch ${url.split("/").at(-1)}`);
      if (fetchBytes !== undefined) return fetchBytes(url, limits);
      throw new Error("getaddrinfo ENOTFOUND");
    },
    run: async (command, args, options) => {
      calls.push([command, args[0]].join(" "));
      return (run ?? missing)(command, args, options);
    },
  };
  return { ports, cache, calls };
}

/** Whether the process has ended; a zombie has. */
export async function isGone(pid: number): Promise<boolean> {
  try {
    if (process.platform === "linux")
      return /^State:\s+[ZX]/m.test(await readFile(`/proc/${pid}/status`, "utf8"));
    return !process.kill(pid, 0);
  } catch {
    return true;
  }
}
