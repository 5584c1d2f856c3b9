/** `run -- CMD`: runs a program only while its host leads. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { startProxy } from "../../scripts/shared/tcp-proxy.ts";
import { waitFor } from "../../scripts/shared/wait.ts";
import { atEnd } from "../support/at-end.ts";
import { cli, configFile, configFor, folder, start } from "../support/cli/run-cli.ts";
import { freshId } from "../support/fresh-id.ts";
import type { Child } from "../support/processes/spawn-child.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

interface Line {
  readonly text?: string;
}

/** Prints its process id and epoch, then runs until it is stopped. */
const LOOP = 'echo "up $$ $LEADER_EPOCH"; while :; do sleep 0.02; done';

function file(nodeId: string, clusterId: string = freshId(), url: string = server.url): string {
  return configFile(configFor({ url }, clusterId, nodeId));
}

async function program(child: Child<Line>): Promise<{ readonly pid: number; readonly epoch: number }> {
  const { text = "" } = await child.next((line) => line.text?.startsWith("up ") === true);
  const [, pid, epoch] = text.split(" ").map(Number);
  if (pid === undefined || epoch === undefined) throw new Error(text);
  return { pid, epoch };
}

/** The kernel's state letter of a process; `X` if it does not exist or is a zombie. */
function stateOf(pid: number): string {
  try {
    const [state = "X"] = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /s, "");
    return state === "Z" ? "X" : state;
  } catch {
    return "X";
  }
}

async function gone(pid: number): Promise<void> {
  await waitFor(() => stateOf(pid) === "X", { message: `the end of process ${pid}` });
}

describe("a program that exits by itself", () => {
  test("has its term in its environment, and run exits with its code", async () => {
    const clusterId = freshId();
    const print = 'echo "$LEADER_CLUSTER_ID $LEADER_NODE_ID $LEADER_EPOCH"; exit 7';
    const first = await cli(["run", "--config", file("a", clusterId), "--", "sh", "-c", print]);
    expect(first).toMatchObject({ code: 7, stdout: `${clusterId} a 1\n` });
    const second = await cli(["run", "--config", file("b", clusterId), "--json", "sh", "-c", print]);
    expect(second).toMatchObject({ code: 7, stdout: `${clusterId} b 2\n` });
    const logged = second.stderr
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { msg: string });
    expect(logged.map(({ msg }) => msg)).toContain("program started");
  });

  test("gives 128 + n after signal n, and 127 or 126 if it cannot be run", async () => {
    const run = (...program: string[]) =>
      cli(["run", "--config", file("a"), "--log-level", "error", "--", ...program]);
    const [killed, missing, forbidden] = await Promise.all([
      run("sh", "-c", "kill -9 $$"),
      run("/does/not/exist"),
      run("/etc/passwd"),
    ]);
    expect(killed.code).toBe(137);
    expect(missing).toMatchObject({
      code: 127,
      stderr: expect.stringContaining('cannot run \\"/does/not/exist\\"'),
    });
    expect(forbidden.code).toBe(126);
  });

  test("is restarted in the same term with --restart, and its process group ends with it", async () => {
    const marker = join(folder(), "failed");
    const fail = `test -e ${marker} || { touch ${marker}; exit 3; }; wait`;
    const child = start<Line>([
      ...["run", "--config", file("a"), "--restart", "on-failure", "--restart-delay", "10ms"],
      ...["--", "sh", "-c", `sleep 600 & echo "up $! $LEADER_EPOCH"; ${fail}`],
    ]);
    const first = await program(child);
    const second = await program(child);
    expect([first.epoch, second.epoch]).toEqual([1, 1]);
    // Processes that it left in its group are killed before the restart.
    await gone(first.pid);
    child.kill("SIGTERM");
    expect(await child.exit).toEqual({ code: 0, signal: null });
    await gone(second.pid);
  });
});

describe("leadership that is given up", () => {
  test("is kept until the program has ended after SIGTERM; only then the next leader's program starts", async () => {
    const clusterId = freshId();
    const log = join(folder(), "log");
    writeFileSync(log, "");
    const script = (name: string): string =>
      `trap 'sleep 0.3; echo "${name} ends" >>${log}; exit 0' TERM; echo "${name} begins" >>${log}; ${LOOP}`;
    const a = start<Line>(["run", "--config", file("a", clusterId), "--", "sh", "-c", script("a")]);
    const first = await program(a);
    const b = start<Line>(["run", "--config", file("b", clusterId), "--", "sh", "-c", script("b")]);
    await waitFor(
      async () => (await cli(["nodes", "--config", file("b", clusterId)])).stdout.includes("follower"),
      { timeoutMs: 60_000 },
    );
    a.kill("SIGTERM");
    const second = await program(b);
    expect(readFileSync(log, "utf8")).toBe("a begins\na ends\nb begins\n");
    expect(await a.exit).toEqual({ code: 0, signal: null });
    expect([first.epoch, second.epoch]).toEqual([1, 2]);
  });

  test("ends a program that ignores SIGTERM by SIGKILL after the grace period, and exits 0", async () => {
    const config = ["--config", file("a"), "--grace", "200ms"];
    const child = start<Line>(["run", ...config, "--", "sh", "-c", `trap '' TERM; ${LOOP}`]);
    const { pid } = await program(child);
    child.kill("SIGTERM");
    expect(await child.exit).toEqual({ code: 0, signal: null });
    expect(stateOf(pid)).toBe("X");
  });

  test("by a step-down ends the program, which starts again in the next term", async () => {
    const path = file("a");
    const child = start<Line>(["run", "--config", path, "--", "sh", "-c", LOOP]);
    const first = await program(child);
    expect((await cli(["demote", "--config", path])).code).toBe(0);
    expect(stateOf(first.pid)).toBe("X");
    const second = await program(child);
    expect(second.epoch).toBe(2);
    child.kill("SIGINT");
    expect((await child.exit).code).toBe(0);
  });

  test("ends immediately at a second signal", async () => {
    const child = start<Line>(["run", "--config", file("a"), "--", "sh", "-c", `trap '' TERM; ${LOOP}`]);
    const { pid } = await program(child);
    child.kill("SIGTERM");
    await waitFor(() => child.stderr.includes("shutting down"));
    child.kill("SIGINT");
    expect((await child.exit).code).toBe(130);
    await gone(pid);
  });
});

test("run exits with the code of a program that fails after SIGTERM", async () => {
  const child = start<Line>(["run", "--config", file("a"), "--", "sh", "-c", `trap 'exit 9' TERM; ${LOOP}`]);
  await program(child);
  child.kill("SIGTERM");
  expect(await child.exit).toEqual({ code: 9, signal: null });
});

describe("leadership that is lost", () => {
  test("by kill -9 of run: the program is killed, too", async () => {
    const child = start<Line>(["run", "--config", file("a"), "--", "sh", "-c", `trap '' TERM; ${LOOP}`]);
    const { pid } = await program(child);
    child.kill("SIGKILL");
    await child.exit;
    await gone(pid);
  });

  test("temporarily, with the connection: the program is frozen and continues in the same term", async () => {
    const proxy = await startProxy({ target: { port: server.port } });
    atEnd(() => proxy.close());
    const child = start<Line>(["run", "--config", file("a", freshId(), proxy.url), "--", "sh", "-c", LOOP]);
    const { pid } = await program(child);
    proxy.refuse(true);
    proxy.cut();
    await waitFor(() => stateOf(pid) === "T", { message: "the program to be frozen" });
    proxy.refuse(false);
    await waitFor(() => stateOf(pid) !== "T", { message: "the program to continue" });
    expect(stateOf(pid)).not.toBe("X");
    child.kill("SIGTERM");
    expect((await child.exit).code).toBe(0);
  });

  test("at the deadline: the program is killed, and starts again when the host leads again", async () => {
    const proxy = await startProxy({ target: { port: server.port } });
    atEnd(() => proxy.close());
    const args = ["run", "--config", file("a", freshId(), proxy.url), "--on-suspend", "continue"];
    const child = start<Line>([...args, "--", "sh", "-c", `trap '' TERM; ${LOOP}`]);
    const first = await program(child);
    proxy.refuse(true);
    proxy.cut();
    await gone(first.pid);
    expect(child.stderr).toMatch(/leadership lost: killing the program.*reason=expired/);
    proxy.refuse(false);
    const second = await program(child);
    expect(second.epoch).toBeGreaterThan(first.epoch);
  });
});
