/** kubernetes-validate of PyPI: it brings the schemas of the Kubernetes API, and needs no cluster and no network. Kept in the cache. */
import { access, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { runCommand, runToExit } from "../../../src/system/run-command.ts";
import { cacheDir } from "../../../src/testing/server/find/cache.ts";

const VERSION = "1.37.0";
const INSTALL_MS = 240_000;
const VALIDATE_MS = 60_000;

export interface Validator {
  /** The output, if a file does not match the schemas of this version of Kubernetes; null if all match. */
  invalid(kubernetes: string, files: readonly string[]): Promise<string | null>;
}

/** The validator, or one line with the reason why it is missing. Never throws. */
export async function findKubernetesValidate(): Promise<Validator | { readonly missing: string }> {
  const folder = join(cacheDir(process.env), "kubernetes-validate", VERSION);
  try {
    const there = await access(folder).then(
      () => true,
      () => false,
    );
    if (!there) await install(folder);
    return validatorIn(folder);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return { missing: text.replace(/\s+/g, " ").slice(0, 200) };
  }
}

async function install(folder: string): Promise<void> {
  await mkdir(join(folder, ".."), { recursive: true });
  const draft = await mkdtemp(join(folder, "../.making-"));
  try {
    const quiet = ["--quiet", "--disable-pip-version-check", "--no-compile"];
    const args = ["-m", "pip", "install", ...quiet, "--target", draft, `kubernetes-validate==${VERSION}`];
    await runCommand("python3", args, { timeoutMs: INSTALL_MS });
    await rename(draft, folder);
  } finally {
    await rm(draft, { recursive: true, force: true, maxRetries: 5 });
  }
}

function validatorIn(folder: string): Validator {
  const program = join(folder, "bin/kubernetes-validate");
  const env = { ...process.env, PYTHONPATH: folder, PYTHONDONTWRITEBYTECODE: "1" };
  return {
    invalid: async (kubernetes, files) => {
      // --strict: a field that the API does not have is a mistake.
      const args = [program, "--strict", "--kubernetes-version", kubernetes, ...files];
      const { code, stdout, stderr } = await runToExit("python3", args, { timeoutMs: VALIDATE_MS, env });
      return code === 0 ? null : `${stdout}\n${stderr}`;
    },
  };
}
