/** `run -- CMD`: a program that runs only while its host leads. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startProxy } from "../../scripts/shared/tcp-proxy.ts";
import { waitFor } from "../../scripts/shared/wait.ts";
import { type NatsServer, startNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { cli, configFile, configFor, folder, freshId, start } from "../support/cli/run-cli.ts";
import type { Child } from "../support/processes/spawn-child.ts";

let server: NatsServer;
beforeAll(async () => {
  server = await startNatsServer();
});
afterAll(() => server.dispose());

interface Line {
  readonly text?: string;
}

/** Says its process id and epoch, then goes on for ever. */
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

/** The kernel's letter for a process; `X`: none, or one that has ended and was not waited for. */
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

describe("a program that ends by itself", () => {
  test("finds its term in its environment, and its exit code is the command's", async () => {
    const clusterId = freshId();
    const print = 'echo "$LEADER_CLUSTER_ID $LEADER_NODE_ID $LEADER_EPOCH"; exit 7';
    const first = await cli(["run", "--config", file("a", clusterId), "--", "sh", "-c", print]);
    expect(first).toMatchObject({ code: 7, stdout: `${clusterId} a 1\n` });
    const second = await cli(["run", "--config", file("b", clusterId), "--json", "sh", "-c", print]);
    expect(second).toMatchObject({ code: 7, stdout: `${clusterId} b 2\n` });
    const said = second.stderr
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { msg: string });
    expect(said.map(({ msg }) => msg)).toContain("program started");
  });

  test("by a signal gives 128 and its number; one that can't be run 127 or 126", async () => {
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

  test("is started again in the same term if that is wanted, and takes nothing with it otherwise", async () => {
    const marker = join(folder(), "failed");
    const fail = `test -e ${marker} || { touch ${marker}; exit 3; }; wait`;
    const child = start<Line>([
      ...["run", "--config", file("a"), "--restart", "on-failure", "--restart-delay", "10ms"],
      ...["--", "sh", "-c", `sleep 600 & echo "up $! $LEADER_EPOCH"; ${fail}`],
    ]);
    const first = await program(child);
    const second = await program(child);
    expect([first.epoch, second.epoch]).toEqual([1, 1]);
    // What it left behind in its group is gone when it is started again.
    await gone(first.pid);
    child.kill("SIGTERM");
    expect(await child.exit).toEqual({ code: 0, signal: null });
    await gone(second.pid);
  });
});

describe("leadership that is given up", () => {
  test("is kept until the program has ended by SIGTERM; only then the next one starts", async () => {
    const clusterId = freshId();
    const log = join(folder(), "log");
    writeFileSync(log, "");
    const script = (name: string): string =>
      `trap 'sleep 0.3; echo "${name} ends" >>${log}; exit 0' TERM; echo "${name} begins" >>${log}; ${LOOP}`;
    const a = start<Line>(["run", "--config", file("a", clusterId), "--", "sh", "-c", script("a")]);
    const first = await program(a);
    const b = start<Line>(["run", "--config", file("b", clusterId), "--", "sh", "-c", script("b")]);
    await waitFor(async () =>
      (await cli(["nodes", "--config", file("b", clusterId)])).stdout.includes("follower"),
    );
    a.kill("SIGTERM");
    const second = await program(b);
    expect(readFileSync(log, "utf8")).toBe("a begins\na ends\nb begins\n");
    expect(await a.exit).toEqual({ code: 0, signal: null });
    expect([first.epoch, second.epoch]).toEqual([1, 2]);
  });

  test("ends a stubborn program by SIGKILL after the grace, and the exit code is 0", async () => {
    const config = ["--config", file("a"), "--grace", "200ms"];
    const child = start<Line>(["run", ...config, "--", "sh", "-c", `trap '' TERM; ${LOOP}`]);
    const { pid } = await program(child);
    child.kill("SIGTERM");
    expect(await child.exit).toEqual({ code: 0, signal: null });
    expect(stateOf(pid)).toBe("X");
  });

  test("by a step-down ends the program, which is started again in the next term", async () => {
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

  test("a second signal ends everything at once", async () => {
    const child = start<Line>(["run", "--config", file("a"), "--", "sh", "-c", `trap '' TERM; ${LOOP}`]);
    const { pid } = await program(child);
    child.kill("SIGTERM");
    await waitFor(() => child.stderr.includes("shutting down"));
    child.kill("SIGINT");
    expect((await child.exit).code).toBe(130);
    await gone(pid);
  });
});

test("a program that fails when it is told to end gives its exit code", async () => {
  const child = start<Line>(["run", "--config", file("a"), "--", "sh", "-c", `trap 'exit 9' TERM; ${LOOP}`]);
  await program(child);
  child.kill("SIGTERM");
  expect(await child.exit).toEqual({ code: 9, signal: null });
});

describe("leadership that is lost", () => {
  test("by kill -9 of the command: the program is killed with it", async () => {
    const child = start<Line>(["run", "--config", file("a"), "--", "sh", "-c", `trap '' TERM; ${LOOP}`]);
    const { pid } = await program(child);
    child.kill("SIGKILL");
    await child.exit;
    await gone(pid);
  });

  test("for a moment, with the connection: the program is frozen, and goes on in the same term", async () => {
    const proxy = await startProxy({ target: { port: server.port } });
    atEnd(() => proxy.close());
    const child = start<Line>(["run", "--config", file("a", freshId(), proxy.url), "--", "sh", "-c", LOOP]);
    const { pid } = await program(child);
    proxy.refuse(true);
    proxy.cut();
    await waitFor(() => stateOf(pid) === "T", { message: "the program to be frozen" });
    proxy.refuse(false);
    await waitFor(() => stateOf(pid) !== "T", { message: "the program to go on" });
    expect(stateOf(pid)).not.toBe("X");
    child.kill("SIGTERM");
    expect((await child.exit).code).toBe(0);
  });

  test("at the deadline: the program is killed, and started again when the host leads again", async () => {
    const proxy = await startProxy({ target: { port: server.port } });
    atEnd(() => proxy.close());
    const args = ["run", "--config", file("a", freshId(), proxy.url), "--on-suspend", "continue"];
    const child = start<Line>([...args, "--", "sh", "-c", `trap '' TERM; ${LOOP}`]);
    const first = await program(child);
    proxy.refuse(true);
    proxy.cut();
    await gone(first.pid);
    expect(child.stderr).toMatch(/leadership is lost: killing the program.*reason=expired/);
    proxy.refuse(false);
    const second = await program(child);
    expect(second.epoch).toBeGreaterThan(first.epoch);
  });
});
