/** The runtimes that the package is tried on, and where their binaries come from: npm packages, kept in the cache. */
import { execFile } from "node:child_process";
import { access, mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const exec = promisify(execFile);

export const RUNTIME_NAMES = ["node20", "node22", "node24", "node26", "bun", "deno"] as const;
export type RuntimeName = (typeof RUNTIME_NAMES)[number];

export interface Runtime {
  readonly name: RuntimeName;
  readonly version: string;
  readonly command: string;
  /** Arguments before the path of the program. */
  readonly args: readonly string[];
}

interface Source {
  /** For npm install. */
  readonly spec: string;
  /** The binary, relative to node_modules. */
  readonly binary: string;
}

/** What nats-leader needs to be allowed to do. */
const DENO_PERMISSIONS = ["--allow-net", "--allow-env", "--allow-sys", "--allow-read"];
const INSTALL_MS = 180_000;

export function isRuntimeName(name: string): name is RuntimeName {
  return RUNTIME_NAMES.some((known) => known === name);
}

/**
 * The runtime on this machine. The running Node serves as its own major version; the others are installed once.
 *
 * @throws Error with the reason if there is no package for this platform or it cannot be installed.
 */
export async function obtainRuntime(name: RuntimeName, timeoutMs: number = INSTALL_MS): Promise<Runtime> {
  const args =
    name === "deno"
      ? ["run", "--quiet", "--no-prompt", "--node-modules-dir=manual", ...DENO_PERMISSIONS]
      : [];
  const running = `node${process.versions.node.split(".")[0]}`;
  const command = name === running ? process.execPath : await install(name, timeoutMs);
  const { stdout } = await exec(command, ["--version"], { timeout: 30_000 });
  const version = /\d+\.\d+\.\d+/.exec(stdout)?.[0];
  if (version === undefined) throw new Error(`${command} --version printed ${JSON.stringify(stdout)}`);
  return { name, version, command, args };
}

async function install(name: RuntimeName, timeoutMs: number): Promise<string> {
  const { spec, binary } = sourceOf(name);
  const home = join(cacheFolder(), name);
  const path = join(home, "node_modules", binary);
  if (await exists(path)) return path;
  await mkdir(cacheFolder(), { recursive: true });
  const folder = await mkdtemp(join(cacheFolder(), `.${name}-`));
  try {
    await writeFile(join(folder, "package.json"), JSON.stringify({ private: true }));
    const args = ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", spec];
    await exec("npm", args, { cwd: folder, timeout: timeoutMs }).catch(
      (error: Error & { stderr?: string }) => {
        throw new Error(
          `npm install ${spec} failed: ${(error.stderr || error.message).trim().split("\n")[0]}`,
        );
      },
    );
    await rm(home, { recursive: true, force: true });
    await rename(folder, home);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return path;
}

/** The packages with the binaries themselves: the packages `node`, `bun` and `deno` fetch one of them in a script. */
function sourceOf(name: RuntimeName): Source {
  const platform = `${process.platform}-${process.arch}`;
  if (!/^(linux|darwin)-(x64|arm64)$/.test(platform))
    throw new Error(`no package of ${name} for ${platform} is known`);
  if (name === "bun") {
    const machine = platform.replace("arm64", "aarch64");
    return { spec: `@oven/bun-${machine}@1`, binary: `@oven/bun-${machine}/bin/bun` };
  }
  if (name === "deno") {
    const machine = process.platform === "linux" ? `${platform}-glibc` : platform;
    return { spec: `@deno/${machine}@2`, binary: `@deno/${machine}/deno` };
  }
  return { spec: `node-${platform}@${name.slice("node".length)}`, binary: `node-${platform}/bin/node` };
}

function cacheFolder(): string {
  const { env } = process;
  const base =
    env["NATS_LEADER_CACHE"] || join(env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "nats-leader");
  return join(base, "runtimes");
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
