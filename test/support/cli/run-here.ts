/** Runs a command of the command line in this process, which takes a hundredth of the time of a process of its own. */
import { vi } from "vitest";
import { runProgram } from "../../../src/cli/run-program.ts";

export interface HereOutput {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** One call at a time: it replaces `write` of stdout and stderr, and `process.exitCode`. */
export async function runHere(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<HereOutput> {
  const written = { stdout: "", stderr: "" };
  const exitCodeBefore = process.exitCode;
  const spies = (["stdout", "stderr"] as const).map((name) =>
    vi.spyOn(process[name], "write").mockImplementation((text) => {
      written[name] += String(text);
      return true;
    }),
  );
  for (const name of Object.keys(process.env)) {
    if (/^NATS_(?!LEADER_TEST)/.test(name)) vi.stubEnv(name, undefined);
  }
  for (const [name, value] of Object.entries({ NO_COLOR: "1", ...env })) vi.stubEnv(name, value);
  process.exitCode = undefined;
  try {
    await runProgram(args);
    return { code: Number(process.exitCode ?? 0), ...written };
  } finally {
    process.exitCode = exitCodeBefore;
    vi.unstubAllEnvs();
    for (const spy of spies) spy.mockRestore();
  }
}

/** As `runHere`, with `--json`: parses what the command prints. */
export async function jsonHere<T = Record<string, unknown>>(
  args: readonly string[],
  env?: Readonly<Record<string, string>>,
): Promise<{ readonly code: number; readonly value: T }> {
  const { code, stdout, stderr } = await runHere([...args, "--json"], env);
  if (stdout === "") throw new Error(`no output, exit code ${code}: ${stderr}`);
  return { code, value: JSON.parse(stdout) as T };
}
