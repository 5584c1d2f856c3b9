/** `run -- CMD`: runs a program only while its host leads. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { startProxy } from "../../scripts/shared/tcp-proxy.ts";
import { waitFor } from "../../scripts/shared/wait.ts";
import { findProgram } from "../../src/system/find-program.ts";
import { atEnd } from "../support/at-end.ts";
import { cli, configFile, configFor, folder, start } from "../support/cli/run-cli.ts";
import { freshId } from "../support/fresh-id.ts";
import { nodeArgsFor } from "../support/processes/node-command.ts";
import { stateOf } from "../support/processes/proc.ts";
import type { Child } from "../support/processes/spawn-child.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

interface Line {
  readonly text?: string;
}

/**
 * Prints its process id and epoch, then runs until it is stopped. It waits for a child in the background: a shell that
 * starts one in the foreground is in state D (vfork) until that child executes its program, which a frozen one never does.
 */
const LOOP = 'echo "up $$ $LEADER_EPOCH"; while :; do sleep 600 & wait; done';

function file(nodeId: string, clusterId: string = freshId(), url: string = server.url): string {
  return configFile(configFor({ url }, clusterId, nodeId));
}

async function program(child: Child<Line>): Promise<{ readonly pid: number; readonly epoch: number }> {
  const { text = "" } = await child.next((line) => line.text?.startsWith("up ") === true);
  const [, pid, epoch] = text.split(" ").map(Number);
  if (pid === undefined || epoch === undefined) throw new Error(text);
  return { pid, epoch };
}

function isStopped(pid: number): boolean {
  return stateOf(pid) === "T";
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
    expect(logged).toContainEqual(
      expect.objectContaining({ level: "warn", msg: "program ended by itself", code: 7, signal: null }),
    );
  });

  test("gives 128 + n after signal n, and 127 or 126 if it cannot be run", async () => {
    const run = (...program: string[]) =>
      cli(["run", "--config", file("a"), "--log-level", "warn", "--", ...program]);
    const [killed, missing, forbidden] = await Promise.all([
      run("sh", "-c", "kill -9 $$"),
      run("/does/not/exist"),
      run("/etc/passwd"),
    ]);
    expect(killed).toMatchObject({
      code: 137,
      stderr: expect.stringMatching(/msg="program ended by itself".* code=137 signal=SIGKILL/),
    });
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

test("a program gets no NATS credentials, unless --pass-credentials is given", async () => {
  const env = {
    NATS_LEADER_SYSTEM_PASSWORD: "s3cret",
    NATS_LEADER_TLS_KEY: "",
    NATS_LEADER_HISTORY: "no",
    OTHER: "other",
  };
  const print = 'printenv NATS_LEADER_SYSTEM_PASSWORD || echo none; echo "$NATS_LEADER_HISTORY $OTHER"';
  const [kept, passed] = await Promise.all(
    [[], ["--pass-credentials"]].map((flags) =>
      cli(["run", "--config", file("a"), ...flags, "--", "sh", "-c", print], { env }),
    ),
  );
  expect(kept?.stdout).toBe("none\nno other\n");
  expect(kept?.stderr).toContain('variables="[NATS_LEADER_SYSTEM_PASSWORD NATS_LEADER_TLS_KEY]"');
  expect(kept?.stderr).not.toContain("s3cret");
  expect(passed?.stdout).toBe("s3cret\nno other\n");
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

describe.skipIf(findProgram("python3") === null || findProgram("bash") === null)("in a terminal", () => {
  /** A shell with job control in a pseudo-terminal; what is sent is typed. */
  function terminal(
    clusterId: string,
    line: string,
  ): { readonly typed: (keys: string) => void; text(): string } {
    const env = { ...process.env, CONFIG: file("a", clusterId), NO_COLOR: "1" };
    const run = [process.execPath, ...nodeArgsFor("src/cli/main.ts")].join(" ");
    const script = `set -m; ${run} run --config $CONFIG ${line}; echo "job stopped $?"; read -r _; fg >/dev/null; echo "job ended $?"`;
    const pty = ["-c", "import pty, sys; pty.spawn(sys.argv[1:])", "bash", "-c", script];
    const child = spawn("python3", pty, { env, stdio: ["pipe", "pipe", "inherit"] });
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
    atEnd(async () => {
      const ended = once(child, "exit");
      if (child.exitCode === null && child.kill("SIGKILL")) await ended;
    });
    return { typed: (keys) => void child.stdin.write(keys), text: () => text };
  }

  async function started(text: () => string): Promise<number> {
    const [, pid = ""] = await waitFor(() => /up (\d+)/.exec(text()), { timeoutMs: 60_000, message: text });
    return Number(pid);
  }

  test("Ctrl-Z freezes the program before run stops, and fg continues both in the same term", async () => {
    const { typed, text } = terminal(freshId(), `-- sh -c '${LOOP}'`);
    const pid = await started(text);
    typed("\x1a");
    await waitFor(() => text().includes("job stopped"), { message: text });
    expect(isStopped(pid)).toBe(true);
    typed("\n");
    await waitFor(() => !isStopped(pid), { message: text });
    expect(stateOf(pid)).not.toBe("X");
    typed("\x03");
    await waitFor(() => text().includes("job ended 0"), { message: text });
    expect(stateOf(pid)).toBe("X");
  });

  test("a job that is stopped for longer than its lease has lost its program, and starts it again in the next term", async () => {
    const { typed, text } = terminal(freshId(), `-- sh -c '${LOOP}'`);
    const pid = await started(text);
    typed("\x1a");
    await gone(pid);
    expect(text()).toContain("job stopped");
    typed("\n");
    await waitFor(() => /up \d+ 2/.test(text()), { message: text });
    typed("\x03");
    await waitFor(() => text().includes("job ended 0"), { message: text });
  });
});

describe("leadership that is lost", () => {
  test.each(["presence", "silence"] as const)(
    "by silence, while run is stopped (crashDetection: %s): the program is frozen before the next leader's program starts, and killed",
    async (crashDetection) => {
      const clusterId = freshId();
      const promising = (nodeId: string): string =>
        configFile({
          ...configFor({ url: server.url }, clusterId, nodeId),
          election: { leaseTtlMs: 60_000, heartbeatIntervalMs: 3_000, crashDetection, silenceMs: 5_000 },
        });
      const a = start<Line>(["run", "--config", promising("a"), "--", "sh", "-c", LOOP]);
      const first = await program(a);
      // The next program's first instruction is to see what the first one does.
      const look = `read -r _ _ state _ </proc/${first.pid}/stat; echo "seen $state"; ${LOOP}`;
      const b = start<Line>(["run", "--config", promising("b"), "--", "sh", "-c", look]);
      await waitFor(
        async () => (await cli(["nodes", "--config", promising("b")])).stdout.includes("follower"),
        { timeoutMs: 60_000 },
      );
      a.kill("SIGSTOP");
      expect((await b.next((line) => line.text?.startsWith("seen ") === true)).text).toBe("seen T");
      expect((await program(b)).epoch).toBe(first.epoch + 1);
      a.kill("SIGCONT");
      await gone(first.pid);
    },
  );

  test("by a reset that only the server sees: the program is frozen while run is connected, and killed", async () => {
    const clusterId = freshId();
    const proxy = await startProxy({ target: { port: server.port } });
    atEnd(() => proxy.close());
    const promising = (nodeId: string, url: string): string =>
      configFile({
        ...configFor({ url }, clusterId, nodeId),
        election: { leaseTtlMs: 60_000, heartbeatIntervalMs: 3_000, silenceMs: 20_000 },
      });
    const a = start<Line>(["run", "--config", promising("a", proxy.url), "--", "sh", "-c", LOOP]);
    const first = await program(a);
    const b = start<Line>(["run", "--config", promising("b", server.url), "--", "sh", "-c", LOOP]);
    const nodes = () => cli(["nodes", "--config", promising("b", server.url)]);
    await waitFor(async () => (await nodes()).stdout.includes("follower"), { timeoutMs: 60_000 });
    proxy.resetServerSide();
    expect((await program(b)).epoch).toBe(first.epoch + 1);
    await waitFor(() => a.stderr.includes("term suspended"), { message: "run to notice" });
    expect(a.stderr).toMatch(/the server does not answer: program frozen[\s\S]*term suspended/);
    // Back, on a new connection.
    await gone(first.pid);
  });

  test.each([
    ["freeze", /killing the program before the end of its grace period/],
    ["continue", /lease could not be|deleted=false|expire/],
  ])(
    "while the program has its grace period, with --on-suspend %s: it is killed",
    async (onSuspend, said) => {
      const proxy = await startProxy({ target: { port: server.port } });
      atEnd(() => proxy.close());
      const config = [
        "--config",
        file("a", freshId(), proxy.url),
        "--grace",
        "10m",
        "--on-suspend",
        onSuspend,
      ];
      const child = start<Line>(["run", ...config, "--", "sh", "-c", `trap 'echo "up $$ 0"' TERM; ${LOOP}`]);
      const { pid } = await program(child);
      child.kill("SIGTERM");
      // It has the signal, and goes on.
      expect((await program(child)).pid).toBe(pid);
      proxy.refuse(true);
      proxy.cut();
      // At once, because another node may lead; or at the deadline.
      await gone(pid);
      expect((await child.exit).code).toBe(0);
      expect(child.stderr).toMatch(said);
    },
  );

  test("with the connection, before a SIGTERM to run: the frozen program is killed without a grace period", async () => {
    const proxy = await startProxy({ target: { port: server.port } });
    atEnd(() => proxy.close());
    const config = ["--config", file("a", freshId(), proxy.url), "--grace", "10m"];
    const child = start<Line>(["run", ...config, "--", "sh", "-c", `trap 'echo "up $$ 0"' TERM; ${LOOP}`]);
    const { pid } = await program(child);
    proxy.refuse(true);
    proxy.cut();
    await waitFor(() => isStopped(pid) && child.stderr.includes("program frozen"), {
      message: "the program to be frozen",
    });
    child.kill("SIGTERM");
    await gone(pid);
    expect((await child.exit).code).toBe(0);
    expect(child.lines.filter((line) => line.text?.startsWith("up "))).toHaveLength(1);
  });

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
    await waitFor(() => isStopped(pid), { message: "the program to be frozen" });
    proxy.refuse(false);
    await waitFor(() => !isStopped(pid), { message: "the program to continue" });
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
    await waitFor(() => /leadership lost: killing the program.*reason=expired/.test(child.stderr), {
      message: () => `the line about the lost leadership, after ${child.stderr}`,
    });
    proxy.refuse(false);
    const second = await program(child);
    expect(second.epoch).toBeGreaterThan(first.epoch);
  });
});
