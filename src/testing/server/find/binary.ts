import { execFile } from "node:child_process";
import { stat } from "node:fs/promises";
import { NatsServerError, reasonOf } from "../errors.ts";
import { compareVersions } from "./versions.ts";

const VERSION_TIMEOUT_MS = 10_000;
const known = new Map<string, string>();

/**
 * The version of the nats-server at `path`, as `--version` prints it. Asked once for each file and change of it.
 * Error `bad_binary` when it is missing, doesn't run, or is something else.
 */
export async function binaryVersion(path: string, signal?: AbortSignal): Promise<string> {
  let key: string;
  try {
    const { mtimeMs, size, ino } = await stat(path);
    key = `${path} ${ino} ${mtimeMs} ${size}`;
  } catch (cause) {
    throw new NatsServerError("bad_binary", `${path} is no nats-server: ${reasonOf(cause)}`, { cause });
  }
  const cached = known.get(key);
  if (cached !== undefined) return cached;
  const output = await askVersion(path, signal);
  const version = /^nats-server:? v?(\d+\.\d+\.\d+\S*)/m.exec(output)?.[1];
  if (version === undefined) {
    const said = JSON.stringify(output.slice(0, 80));
    throw new NatsServerError("bad_binary", `${path} is no nats-server: it answered --version with ${said}`);
  }
  compareVersions(version, version); // throws on what it can't order
  known.set(key, version);
  return version;
}

function askVersion(path: string, signal: AbortSignal | undefined): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { timeout: VERSION_TIMEOUT_MS, ...(signal === undefined ? {} : { signal }) };
    execFile(path, ["--version"], options, (cause, stdout, stderr) => {
      if (cause === null) resolve(stdout + stderr);
      else if (signal?.aborted === true) reject(signal.reason);
      else reject(new NatsServerError("bad_binary", `${path} does not run: ${reasonOf(cause)}`, { cause }));
    });
  });
}
