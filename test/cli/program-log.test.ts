/** With one program for each resource, every line about a program says which one it is. */
import { expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { ProgramRunner } from "../../src/cli/supervise/program-runner.ts";
import type { ProgramTerm } from "../../src/cli/supervise/program-term.ts";
import type { Logger } from "../../src/log/logger.ts";

interface Logged {
  readonly fields: object;
  readonly message: string | undefined;
}

function runner(command: string, lines: Logged[]): ProgramRunner {
  const line = (fields: object, message?: string): void => {
    lines.push({ fields, message });
  };
  const log: Logger = { debug: line, info: line, warn: line, error: line };
  return new ProgramRunner({
    command,
    args: ["60"],
    env: process.env,
    fields: { resource: "7" },
    graceMs: 1_000,
    restart: "never",
    restartDelayMs: 0,
    onSuspend: "freeze",
    log,
    onFinished: () => {},
    onStopped: () => {},
  });
}

function termOf(signal: AbortSignal): ProgramTerm {
  const ms = { remainingMs: 60_000, provenRemainingMs: 60_000, leaseRemainingMs: 60_000 };
  return { epoch: 3, signal, lossReason: "expired", ...ms, untilHeld: () => Promise.resolve() };
}

function expectLines(lines: readonly Logged[], messages: readonly string[]): void {
  expect(lines.map(({ message }) => message)).toEqual(messages);
  for (const { fields } of lines) expect(fields).toMatchObject({ resource: "7" });
}

test("of one that is killed because its term was lost", async () => {
  const lines: Logged[] = [];
  const lost = new AbortController();
  const running = runner("sleep", lines);
  running.begin(termOf(lost.signal), null, {});
  await waitFor(() => lines.length > 0);
  lost.abort();
  await running.end();
  const killed = "leadership lost: killing the program without a grace period";
  expectLines(lines, ["program started", killed, "program ended"]);
});

test("of one that does not exist", async () => {
  const lines: Logged[] = [];
  const running = runner("/no/such/program", lines);
  running.begin(termOf(new AbortController().signal), null, {});
  await running.end();
  expectLines(lines, ["program started", 'cannot run "/no/such/program"']);
});
