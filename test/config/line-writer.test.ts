/**
 * The built-in logger waits neither for its reader nor for a disk. A process that waited for a reader that never reads would
 * not report, and the test would time out.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { PATIENCE_MS, START_MS } from "../support/patience.ts";
import { nodeArgsFor, ROOT } from "../support/processes/node-command.ts";

const TIMEOUT_MS = START_MS + 2 * PATIENCE_MS;
const CHILD = "test/support/config/children/logging.ts";

interface Logging {
  readonly child: ChildProcess;
  /** What it has reported. */
  said(): string;
  until(report: string): Promise<unknown>;
}

function start(what: string, stderr: number | "pipe"): Logging {
  const child = spawn(process.execPath, [...nodeArgsFor(CHILD), what], {
    cwd: ROOT,
    stdio: ["pipe", "pipe", stderr],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let text = "";
  child.stdout?.setEncoding("utf8").on("data", (part: string) => {
    text += part;
  });
  const said = (): string => text;
  const until = (report: string): Promise<unknown> =>
    waitFor(() => text.includes(report), { timeoutMs: START_MS, message: () => `${report} in: ${text}` });
  return { child, said, until };
}

async function exitCode(child: ChildProcess): Promise<number | null> {
  const [code] = (await once(child, "close")) as [number | null];
  return code;
}

/** A new named pipe. */
function pipePath(): string {
  const path = join(folder(), "pipe");
  execFileSync("mkfifo", [path]);
  return path;
}

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "nl-log-"));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

function linesOf(text: string): Record<string, unknown>[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe.skipIf(process.platform !== "linux")("a reader that does not read", () => {
  test(
    "does not keep a process from exiting (socket)",
    async () => {
      // Node's own pipes are sockets.
      const { child, said } = start("flood", "pipe");
      child.stderr?.pause();
      expect(await exitCode(child)).toBe(0);
      expect(said()).toContain("done");
    },
    TIMEOUT_MS,
  );

  test(
    "does not block the process after another one, which shares the socket, has made it blocking",
    async () => {
      const { child, until } = start("flood when asked", "pipe");
      child.stderr?.pause();
      await until("ready");
      child.stdin?.write("0\n");
      await until("done");
      child.stdin?.end();
      expect(await exitCode(child)).toBe(0);
    },
    TIMEOUT_MS,
  );

  test(
    "does not block the process (pipe); when it reads again, it gets whole lines and the number of dropped ones",
    async () => {
      const path = pipePath();
      // Opened for reading and writing, so that the pipe has a reader, which does not read.
      const fd = openSync(path, "r+");
      const { child, said, until } = start("flood, then a line per command", fd);
      await until("done");
      const reader = spawn("cat", [path], { stdio: ["ignore", "pipe", "inherit"] });
      onTestFinished(() => void reader.kill("SIGKILL"));
      const closed = once(reader, "close");
      let text = "";
      reader.stdout.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      // A line that is read shows that everything before it was written.
      await waitFor(
        () => {
          child.stdin?.write("0\n");
          return text.includes('"after"');
        },
        { intervalMs: 50, timeoutMs: PATIENCE_MS },
      );
      closeSync(fd);
      child.stdin?.end();
      await closed;
      const lines = linesOf(text);
      const notes = lines.filter((line) => line["event"] === "log-dropped");
      expect(notes[0]).toMatchObject({ level: 40, dropped: expect.any(Number) });
      const dropped = notes.reduce((sum, line) => sum + Number(line["dropped"]), 0);
      const asked = said().split('"logged"').length - 1;
      expect(dropped).toBeGreaterThan(0);
      expect(lines.length - notes.length + dropped).toBe(40 * 251 + asked);
    },
    TIMEOUT_MS,
  );

  test(
    "does not end the process when it exits",
    async () => {
      const { child, until } = start("two lines when asked", "pipe");
      await until("ready");
      child.stderr?.destroy();
      child.stdin?.write("0\n");
      await until("done");
      child.stdin?.end();
      expect(await exitCode(child)).toBe(0);
    },
    TIMEOUT_MS,
  );
});

test.skipIf(process.platform !== "linux")(
  "a full disk does not end the process",
  async () => {
    const full = openSync("/dev/full", "w");
    onTestFinished(() => closeSync(full));
    const { child, said } = start("two lines", full);
    expect(await exitCode(child)).toBe(0);
    expect(said()).toContain("done");
  },
  TIMEOUT_MS,
);

test(
  "a file gets every line in order, including those directly before an exit",
  async () => {
    const path = join(folder(), "log");
    const fd = openSync(path, "w");
    const { child } = start("lines before an exit", fd);
    closeSync(fd);
    expect(await exitCode(child)).toBe(0);
    expect(linesOf(readFileSync(path, "utf8")).map((line) => line["i"])).toEqual(
      Array.from({ length: 1000 }, (_, i) => i),
    );
  },
  TIMEOUT_MS,
);
