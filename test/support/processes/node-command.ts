import { isAbsolute, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository. */
export const ROOT: string = fileURLToPath(new URL("../../../", import.meta.url));

/** The environment variable in which `global-setup.ts` passes the folder of compiled code to the workers. */
export const COMPILED: string = "NATS_LEADER_TEST_COMPILED";

/** Examples import the package by its name, which resolves in the repository only; the deployment script reads files of the examples. */
const RUNS_FROM_SOURCE = /^(examples|scripts\/deploy-nats-cluster)\//;

/**
 * The arguments with which Node runs a TypeScript file, given from the repository's root: the compiled file, or the source under tsx.
 * A file with an absolute path is a test's own and runs under tsx.
 */
export function nodeArgsFor(file: string): string[] {
  const compiled = process.env[COMPILED];
  if (compiled !== undefined && !isAbsolute(file) && !RUNS_FROM_SOURCE.test(file)) {
    return [join(compiled, file.replace(/\.ts$/, ".js"))];
  }
  return ["--import", join(ROOT, "node_modules/tsx/dist/loader.mjs"), resolve(ROOT, file)];
}
