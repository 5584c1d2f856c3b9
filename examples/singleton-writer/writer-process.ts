/** Runs a writer in a process of its own, which can be frozen. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Report } from "./report.ts";

export interface Writer {
  /** The next matching report after those already returned or skipped. Rejects after `timeoutMs` (60000), or if the writer ends. */
  until<R extends Report>(matches: (report: Report) => report is R, timeoutMs?: number): Promise<R>;
  until(
    matches: (report: Report) => boolean,
    timeoutMs?: number,
  ): Promise<Report & { readonly n: number; readonly code: string }>;
  /** Skips all reports so far. */
  skip(): void;
  freeze(): void;
  thaw(): void;
  stop(): Promise<void>;
}

export function startWriter(args: readonly string[], onReport: (report: Report) => void): Writer {
  const file = fileURLToPath(new URL("./writer.ts", import.meta.url));
  const child = spawn(process.execPath, ["--import", "tsx", file, ...args], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const reports: Report[] = [];
  let taken = 0;
  let search: (() => void) | null = null;
  let hasEnded = false;
  createInterface({ input: child.stdout }).on("line", (line) => {
    const report = JSON.parse(line) as Report;
    reports.push(report);
    onReport(report);
    search?.();
  });
  const ended = new Promise<void>((resolve) => {
    child.once("close", () => {
      hasEnded = true;
      search?.();
      resolve();
    });
  });
  return {
    until(matches: (report: Report) => boolean, timeoutMs = 60_000) {
      return new Promise<never>((resolve, reject) => {
        const settle = (run: () => void): void => {
          clearTimeout(timer);
          search = null;
          run();
        };
        const timer = setTimeout(
          () =>
            settle(() =>
              reject(new Error(`timed out after ${timeoutMs} ms waiting for a report of writer ${args[0]}`)),
            ),
          timeoutMs,
        );
        search = () => {
          const index = reports.findIndex((report, at) => at >= taken && matches(report));
          if (index >= 0) {
            taken = index + 1;
            settle(() => resolve(reports[index] as never));
          } else if (hasEnded)
            settle(() => reject(new Error(`writer ${args[0]} ended before the expected report`)));
        };
        search();
      });
    },
    skip: () => {
      taken = reports.length;
    },
    freeze: () => void child.kill("SIGSTOP"),
    thaw: () => void child.kill("SIGCONT"),
    async stop() {
      child.kill("SIGCONT");
      child.kill("SIGKILL");
      await ended;
    },
  };
}
