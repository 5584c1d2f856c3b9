import { stat } from "node:fs/promises";
import { runToExit } from "../../../system/run-command.ts";
import { NatsServerError, reasonOf } from "../errors.ts";
import { compareVersions } from "./versions.ts";

const VERSION_TIMEOUT_MS = 10_000;
const known = new Map<string, string>();

/**
 * The version of the nats-server at `path`, as printed by `--version`. Remembered until the file changes.
 *
 * @throws NatsServerError `bad_binary` if the file is missing, does not run, or is not a nats-server
 */
export async function binaryVersion(path: string, signal?: AbortSignal): Promise<string> {
  let key: string;
  try {
    const { mtimeMs, size, ino } = await stat(path);
    key = `${path} ${ino} ${mtimeMs} ${size}`;
  } catch (cause) {
    throw new NatsServerError("bad_binary", `${path} is not a nats-server: ${reasonOf(cause)}`, { cause });
  }
  const cached = known.get(key);
  if (cached !== undefined) return cached;
  const output = await versionOutput(path, signal);
  const version = /^nats-server:? v?(\d+\.\d+\.\d+\S*)/m.exec(output)?.[1];
  if (version === undefined) {
    const printed = JSON.stringify(output.slice(0, 80));
    throw new NatsServerError("bad_binary", `${path} is not a nats-server: --version printed ${printed}`);
  }
  compareVersions(version, version); // throws if versions of this form cannot be ordered
  known.set(key, version);
  return version;
}

async function versionOutput(path: string, signal: AbortSignal | undefined): Promise<string> {
  const options = { timeoutMs: VERSION_TIMEOUT_MS, signal };
  const { code, stdout, stderr } = await runToExit(path, ["--version"], options).catch((cause: unknown) => {
    if (signal?.aborted === true) throw signal.reason;
    throw new NatsServerError("bad_binary", `${path} does not run: ${reasonOf(cause)}`, { cause });
  });
  if (code === 0) return stdout + stderr;
  throw new NatsServerError("bad_binary", `${path} does not run: --version ends with exit code ${code}`);
}
