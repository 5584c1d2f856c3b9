import { execFile } from "node:child_process";
import { reasonOf } from "../errors.ts";

const MAX_OUTPUT_BYTES = 1 << 20;

/** Options of {@link RunCommand}. */
export interface RunOptions {
  readonly timeoutMs: number;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal | undefined;
}

/** Runs a command without a shell and resolves to its stdout. Rejects with the reason on one line. */
export type RunCommand = (command: string, args: readonly string[], options: RunOptions) => Promise<string>;

export const runCommand: RunCommand = (command, args, options) =>
  new Promise((resolve, reject) => {
    const settings = {
      timeout: options.timeoutMs,
      maxBuffer: MAX_OUTPUT_BYTES,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.env === undefined ? {} : { env: options.env }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    };
    execFile(command, [...args], settings, (cause, stdout, stderr) => {
      if (cause === null) resolve(stdout);
      else if (options.signal?.aborted === true) reject(options.signal.reason);
      else if (cause.code === "ENOENT") reject(new Error(`${command} is not installed`, { cause }));
      else if (cause.killed === true)
        reject(new Error(`${command} took longer than ${options.timeoutMs} ms`, { cause }));
      else reject(new Error(`${command}: ${lastLines(stderr) || reasonOf(cause)}`, { cause }));
    });
  });

function lastLines(text: string): string {
  return text.trim().split("\n").slice(-2).join(" ").slice(0, 300);
}
