/** Runs a program without a shell and collects its output. */
import { execFile } from "node:child_process";
import { constants } from "node:os";
import { messageOf } from "../errors.ts";

const MAX_OUTPUT_BYTES = 1 << 20;
const MAX_REASON_CHARS = 300;

export interface CommandOptions {
  /** Afterwards the program is killed. */
  readonly timeoutMs: number;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal | undefined;
}

export interface CommandOutput {
  /** As a shell reports it: 128 + the signal's number if a signal ended the program. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Resolves with any exit code. Rejects if the program cannot be started, runs longer than `timeoutMs` or is aborted. */
export function runToExit(
  command: string,
  args: readonly string[],
  options: CommandOptions,
): Promise<CommandOutput> {
  const { timeoutMs, cwd, env, signal } = options;
  const settings = {
    timeout: timeoutMs,
    maxBuffer: MAX_OUTPUT_BYTES,
    ...(cwd === undefined ? {} : { cwd }),
    ...(env === undefined ? {} : { env }),
    ...(signal === undefined ? {} : { signal }),
  };
  return new Promise((resolve, reject) => {
    execFile(command, [...args], settings, (cause, stdout, stderr) => {
      if (cause === null) resolve({ code: 0, stdout, stderr });
      else if (signal?.aborted === true) reject(signal.reason);
      else if (cause.code === "ENOENT") reject(new Error(`${command} is not installed`, { cause }));
      else if (typeof cause.code === "string") {
        reject(new Error(`${command}: ${messageOf(cause)}`, { cause }));
      } else if (cause.killed === true) {
        reject(new Error(`${command} took longer than ${timeoutMs} ms`, { cause }));
      } else if (cause.signal != null) {
        resolve({ code: 128 + constants.signals[cause.signal], stdout, stderr });
      } else resolve({ code: cause.code ?? 1, stdout, stderr });
    });
  });
}

export type RunCommand = (
  command: string,
  args: readonly string[],
  options: CommandOptions,
) => Promise<string>;

/** Resolves to stdout. Rejects with one line if the program does not exit with 0. */
export const runCommand: RunCommand = async (command, args, options) => {
  const { code, stdout, stderr } = await runToExit(command, args, options);
  if (code === 0) return stdout;
  throw new Error(`${command}: ${lastLines(stderr) || `exit code ${code}`}`);
};

function lastLines(text: string): string {
  return text.trim().split("\n").slice(-2).join(" ").slice(0, MAX_REASON_CHARS);
}
