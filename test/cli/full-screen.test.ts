/** `watch` on a real terminal: the whole screen, its size, and what is left of it. */
import { describe, expect, test } from "vitest";
import { findProgram } from "../../src/system/find-program.ts";
import { startCluster } from "../support/cli/run-cli.ts";
import { onTerminal } from "../support/cli/terminal.ts";
import { freshId } from "../support/fresh-id.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

const ENTER = "\u001b[?1049h\u001b[?25l";
const LEAVE = "\u001b[?25h\u001b[?1049l";
const HOME = "\u001b[H";
const CLEAR = "\u001b[2J";
const FRAME_END = "\u001b[J";
const missing =
  findProgram("python3") === null ? "no python3, which has the other end of the terminal" : null;
const why = missing === null ? "" : ` (skipped: ${missing})`;

/** The lines of each drawn screen, without the sequences. */
function framesIn(output: string): string[][] {
  const sequence = new RegExp(`${"\u001b"}\\[[?0-9;]*[A-Za-z]`, "g");
  return output
    .split(HOME)
    .slice(1)
    .map((frame) => (frame.split(FRAME_END)[0] ?? "").replaceAll(sequence, "").split(/\r+\n/));
}

function expectToFit(frames: readonly string[][], columns: number, rows: number): void {
  expect(frames.length).toBeGreaterThan(0);
  for (const frame of frames) {
    expect(frame.length).toBeLessThanOrEqual(rows);
    for (const line of frame) expect([...line].length, line).toBeLessThanOrEqual(columns);
  }
}

describe.skipIf(missing !== null)(`watch on a terminal${why}`, () => {
  async function watching(columns: number, rows: number) {
    const clusterId = freshId();
    const [a] = await startCluster(server, clusterId, ["a", "b"]);
    const where = ["--cluster-id", clusterId, "--nats-url", server.url];
    const terminal = onTerminal(["watch", ...where, "--interval", "200ms"], columns, rows);
    await terminal.next(/follower/);
    return { a, terminal };
  }

  test("takes the whole screen, fits it after each change of its size, and gives it back at Ctrl-C", async () => {
    const { a, terminal } = await watching(160, 30);
    expect(terminal.output.startsWith(ENTER)).toBe(true);
    await terminal.next(/NODE +ROLE.*BEAT +MARGIN +SUSPENDED +SUSPICIONS +SERVER +VERSION/);
    await terminal.next(new RegExp(`a +leader.*${server.name}`));
    expectToFit(framesIn(terminal.output), 160, 30);

    const before = terminal.output.length;
    terminal.resize(40, 12);
    await terminal.next(CLEAR);
    await terminal.next(FRAME_END);
    await terminal.next(/=== Cluster Status/);
    const after = terminal.output.slice(before);
    expectToFit(framesIn(after.slice(after.indexOf(CLEAR))).slice(0, -1), 40, 12);

    await a?.manager.node?.stepDown({ to: "b" });
    terminal.resize(160, 30);
    await terminal.next(/b leads, epoch 2/);
    await terminal.next(/b +leader/);
    terminal.type("\u0003");
    expect(await terminal.exit).toBe(0);
    const [screen = "", left = ""] = terminal.output.split(LEAVE);
    expect(screen.lastIndexOf(ENTER)).toBe(0);
    // The last state stays readable.
    expect(left).toMatch(/=== Cluster Status.*b +leader.*Stopping watch/s);
    expect(left).not.toContain("\u001b[");
    expect(left).not.toContain("Press Ctrl+C");
  });

  test("gives the screen back while it is stopped with Ctrl-Z, and takes it again", async () => {
    const { terminal } = await watching(120, 30);
    terminal.type("\u001a");
    // The shell that would continue it is not there: the kernel ignores the stop of an orphaned group, and `watch` goes on.
    await terminal.next(LEAVE);
    await terminal.next(ENTER);
    await terminal.next(/follower/);
    terminal.type("\u0003");
    expect(await terminal.exit).toBe(0);
    expect(terminal.output.split(LEAVE)).toHaveLength(3);
  });

  test("ends when its window is closed", async () => {
    const { terminal } = await watching(120, 30);
    terminal.close();
    // Any code: Node 20 aborts when it resets a terminal that is gone.
    expect(await terminal.exit).toEqual(expect.any(Number));
  });

  test("fits a terminal of one line and one column", async () => {
    const { terminal } = await watching(80, 24);
    const before = terminal.output.length;
    terminal.resize(1, 1);
    await terminal.next(CLEAR);
    await terminal.next(FRAME_END);
    const after = terminal.output.slice(before);
    expectToFit(framesIn(after.slice(after.indexOf(CLEAR))).slice(0, 1), 1, 1);
    terminal.type("\u0003");
    expect(await terminal.exit).toBe(0);
  });
});
