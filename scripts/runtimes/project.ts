/** A project that has only the packed tarball and its dependencies, as a user installs it. */
import { execFile } from "node:child_process";
import { copyFile, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const exec = promisify(execFile);
const ROOT = fileURLToPath(new URL("../../", import.meta.url));

export interface Project extends AsyncDisposable {
  readonly folder: string;
  /** The path of member.mjs in the project, where it finds the installed package. */
  readonly program: string;
}

export async function createProject(): Promise<Project> {
  const folder = await mkdtemp(join(tmpdir(), "nats-leader-runtimes-"));
  const remove = () => rm(folder, { recursive: true, force: true });
  try {
    await exec("npm", ["pack", "--silent", "--pack-destination", folder], { cwd: ROOT });
    const tarball = (await readdir(folder)).find((name) => name.endsWith(".tgz"));
    if (tarball === undefined) throw new Error("npm pack wrote no tarball");
    await writeFile(join(folder, "package.json"), JSON.stringify({ private: true, type: "module" }));
    const args = ["install", "--silent", "--prefer-offline", "--no-audit", "--no-fund", `./${tarball}`];
    await exec("npm", args, { cwd: folder });
    const program = join(folder, "member.mjs");
    await copyFile(new URL("member.mjs", import.meta.url), program);
    return { folder, program, [Symbol.asyncDispose]: remove };
  } catch (error) {
    await remove();
    throw error;
  }
}
