/** The built-in logger waits neither for its reader nor for a disk. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";

const MODULE = fileURLToPath(new URL("../../src/log/logger.ts", import.meta.url));
const TIMEOUT_MS = 30_000;

/** A process with this stderr; it reports on stdout. */
function start(script: string, stderr: number | "pipe"): ChildProcess {
  const code = `const { createLogger } = await import(${JSON.stringify(MODULE)});
    const l = createLogger({ level: "info" });
    const say = (text) => process.stdout.write(text + "\\n");
    ${script}`;
  const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", code], {
    stdio: ["ignore", "pipe", stderr],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

async function textOf(child: ChildProcess): Promise<string> {
  let text = "";
  child.stdout?.setEncoding("utf8").on("data", (part: string) => {
    text += part;
  });
  const [code] = (await once(child, "close")) as [number | null];
  expect(code, text).toBe(0);
  return text;
}

function linesOf(text: string): Record<string, unknown>[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** Logs 4 MB of lines, then reports the longest time for which the event loop was blocked. */
const FLOOD = `
  let worst = 0, last = performance.now();
  const turn = setInterval(() => { worst = Math.max(worst, performance.now() - last); last = performance.now(); }, 5);
  for (let round = 0; round < 40; round++) {
    for (let i = 0; i < 250; i++) l.info({ i, text: "x".repeat(250) }, "line");
    l.error({}, "an error");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  say("worst " + Math.round(worst));
  clearInterval(turn);`;

const worstMs = (text: string): number => Number(/worst (\d+)/.exec(text)?.[1]);

describe.skipIf(process.platform !== "linux")("a reader that does not read", () => {
  test(
    "does not keep a process from exiting (socket)",
    async () => {
      // Node's own pipes are sockets.
      const child = start(FLOOD, "pipe");
      child.stderr?.pause();
      expect(worstMs(await textOf(child))).toBeLessThan(1_000);
    },
    TIMEOUT_MS,
  );

  test(
    "does not block the process (pipe); when it reads again, it gets whole lines and the number of dropped ones",
    async () => {
      const folder = mkdtempSync(join(tmpdir(), "nl-log-"));
      onTestFinished(() => rmSync(folder, { recursive: true }));
      const path = join(folder, "pipe");
      execFileSync("mkfifo", [path]);
      // Opened for reading and writing, so that the pipe has a reader, which does not read.
      const fd = openSync(path, "r+");
      const child = start(
        `${FLOOD} process.once("SIGUSR2", () => { l.info({}, "after"); setTimeout(() => process.exit(), 100); });
         setInterval(() => {}, 1000); say("ready");`,
        fd,
      );
      let said = "";
      child.stdout?.setEncoding("utf8").on("data", (part: string) => {
        said += part;
      });
      while (!said.includes("ready")) await sleep(20);
      expect(worstMs(said)).toBeLessThan(1_000);
      const reader = spawn("cat", [path], { stdio: ["ignore", "pipe", "inherit"] });
      closeSync(fd);
      let text = "";
      reader.stdout.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      while (text.length < 900_000) await sleep(20);
      await sleep(200);
      child.kill("SIGUSR2");
      await once(reader, "close");
      const lines = linesOf(text);
      expect(lines.at(-1)).toMatchObject({ msg: "after" });
      const notes = lines.filter((line) => line["event"] === "log-dropped");
      expect(notes[0]).toMatchObject({ level: 40, dropped: expect.any(Number) });
      const dropped = notes.reduce((sum, line) => sum + Number(line["dropped"]), 0);
      const written = lines.filter((line) => line["msg"] === "line" || line["msg"] === "an error").length;
      expect(dropped).toBeGreaterThan(0);
      expect(written + dropped).toBe(40 * 251);
    },
    TIMEOUT_MS,
  );

  test(
    "does not end the process when it exits",
    async () => {
      const child = start(
        'await new Promise((resolve) => setTimeout(resolve, 200)); l.info({}, "one"); l.error({}, "two"); say("alive");',
        "pipe",
      );
      child.stderr?.destroy();
      expect(await textOf(child)).toContain("alive");
    },
    TIMEOUT_MS,
  );
});

test.skipIf(process.platform !== "linux")(
  "a full disk does not end the process",
  async () => {
    const full = openSync("/dev/full", "w");
    onTestFinished(() => closeSync(full));
    const child = start('l.info({}, "one"); l.error({}, "two"); say("alive");', full);
    expect(await textOf(child)).toContain("alive");
  },
  TIMEOUT_MS,
);

test(
  "a file gets every line in order, including those directly before an exit",
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "nl-log-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const path = join(folder, "log");
    const fd = openSync(path, "w");
    const child = start('for (let i = 0; i < 1000; i++) l.info({ i }, "line"); process.exit(0);', fd);
    closeSync(fd);
    await textOf(child);
    expect(linesOf(readFileSync(path, "utf8")).map((line) => line["i"])).toEqual(
      Array.from({ length: 1000 }, (_, i) => i),
    );
  },
  TIMEOUT_MS,
);
