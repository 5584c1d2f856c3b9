/** Programs that Go builds, kept in the cache that the nats-servers are in. */
import { access, mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runCommand } from "../../../src/system/run-command.ts";
import { cacheDir } from "../../../src/testing/server/find/cache.ts";

const BUILD_MS = 240_000;
const QUERY_MS = 30_000;

/** A program, or one line with the reason why it is missing, for the name of a skipped test. */
export type Tool = { readonly path: string } | { readonly missing: string };

export interface GoTool {
  /** File name, and folder in the cache. */
  readonly name: string;
  readonly version: string;
  /** The module to check for, as an argument of `go list -m`. */
  readonly module: string;
  /** A package to install, or the text of a `main.go` that imports the module. */
  readonly build: { readonly package: string } | { readonly main: string };
}

/** Takes it from the cache, or builds it. Never throws. */
export async function goTool(tool: GoTool): Promise<Tool> {
  const folder = join(cacheDir(process.env), tool.name, tool.version);
  const path = join(folder, tool.name);
  if (await exists(path)) return { path };
  try {
    await mkdir(folder, { recursive: true });
    const dir = await mkdtemp(join(folder, ".making-"));
    try {
      // Fails at once, instead of after a long build, when the module is not available.
      await go(["list", "-m", `${tool.module}@${tool.version}`], dir, QUERY_MS);
      await rename(await build(tool, dir), path);
    } finally {
      await rm(dir, { recursive: true, force: true, maxRetries: 5 });
    }
    return { path };
  } catch (error) {
    return { missing: oneLine(error) };
  }
}

async function build(tool: GoTool, dir: string): Promise<string> {
  if ("package" in tool.build) {
    await go(["install", `${tool.build.package}@${tool.version}`], dir, BUILD_MS);
    return join(dir, tool.name);
  }
  await writeFile(join(dir, "main.go"), tool.build.main);
  await go(["mod", "init", "harness"], dir, QUERY_MS);
  await go(["get", `${tool.module}@${tool.version}`], dir, BUILD_MS);
  await go(["mod", "tidy"], dir, BUILD_MS);
  await go(["build", "-o", tool.name, "."], dir, BUILD_MS);
  return join(dir, tool.name);
}

function go(args: string[], dir: string, timeoutMs: number): Promise<string> {
  const env = { ...process.env, GOBIN: dir, CGO_ENABLED: "0", GOWORK: "off", GOFLAGS: "-modcacherw" };
  return runCommand("go", args, { timeoutMs, cwd: dir, env });
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

function oneLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/\s+/g, " ").slice(0, 200);
}
