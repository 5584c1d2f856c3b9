import { type CommandOutput, runToExit } from "../../../src/system/run-command.ts";
import { atEnd } from "../at-end.ts";
import { nodeArgsFor, ROOT } from "./node-command.ts";

export interface RunOptions {
  /** The whole environment. Default: this process's. */
  readonly env?: NodeJS.ProcessEnv;
  /** Default: the repository. */
  readonly cwd?: string;
  /** Default 60000. */
  readonly timeoutMs?: number;
}

/** Runs a TypeScript file, given from the repository's root, until it exits. It is killed when the test ends. */
export function runToEnd(
  file: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<CommandOutput> {
  const { cwd = ROOT, env = process.env, timeoutMs = 60_000 } = options;
  const testEnded = new AbortController();
  atEnd(() => testEnded.abort());
  const { signal } = testEnded;
  return runToExit(process.execPath, [...nodeArgsFor(file), ...args], { cwd, env, timeoutMs, signal });
}
