/** Commands that run a node or a member wait for NATS at their start, and say so; a health check asks the process, not NATS. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, test } from "vitest";
import { deferred, waitFor } from "../../scripts/shared/wait.ts";
import { ServiceManager, watchdogIntervalMs } from "../../src/cli/service-manager.ts";
import { isReportDue } from "../../src/manager/patient-start.ts";
import { findProgram } from "../../src/system/find-program.ts";
import { runCommand } from "../../src/system/run-command.ts";
import { freePort } from "../../src/testing/server/run/ports.ts";
import { startNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { configFile, configFor, folder, start } from "../support/cli/run-cli.ts";
import { runHere } from "../support/cli/run-here.ts";
import { freshId } from "../support/fresh-id.ts";
import { START_MS } from "../support/patience.ts";
import { descendantsOf, stateOf } from "../support/processes/proc.ts";

interface Line {
  readonly text?: string;
  readonly msg?: string;
  readonly event?: string;
  readonly code?: string;
}

const AT_START = { timeout: START_MS } as const;

/** A server that is not there yet; its address is known. */
async function laterServer() {
  const server = await startNatsServer();
  atEnd(() => server.dispose());
  await server.stop();
  return server;
}

describe("a start without NATS", () => {
  test("of a daemon waits, is alive and not ready, and leads when the server is there", async () => {
    const server = await laterServer();
    const http = `127.0.0.1:${await freePort("127.0.0.1")}`;
    const config = configFile(configFor(server, freshId(), "a"));
    const daemon = start<Line>(["daemon", "--config", config, "--json", "--http", http]);
    const waiting = await daemon.next(({ event }) => event === "nats-wait");
    expect(waiting).toMatchObject({ code: "NO_CONNECTION" });
    expect(waiting.msg).toMatch(/^waiting for NATS, tried again every second: no connection to NATS at 127/);
    expect(await runHere(["health", "--http", http])).toMatchObject({
      code: 0,
      stdout: `${http}/livez answers\n`,
    });
    const ready = await runHere(["health", "--ready", "--http", http]);
    expect(ready).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('answers 503: it is not ready: node "a" of cluster'),
    });
    await server.start();
    await daemon.next(({ msg }) => msg === "This node is now the LEADER");
    expect((await runHere(["health", "--ready", "--http", http])).code).toBe(0);
    expect(daemon.lines.filter(({ event }) => event === "nats-wait")).toHaveLength(1);
    // The history follows the term that began after the failed attempts.
    const history = await runHere(["history", "--config", config]);
    expect(history.stdout).toMatch(/^1 +a /m);
    daemon.kill("SIGTERM");
    expect(await daemon.exit).toEqual({ code: 0, signal: null });
    const gone = await runHere(["health", "--http", http]);
    expect(gone).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(
        `no answer from ${http}/livez: nothing listens there: start the daemon`,
      ),
    });
  });

  test.each([
    ["daemon", ["daemon"]],
    ["run", ["run", "--", "true"]],
    ["run --group", ["run", "--group", "g", "--resources", "1", "--", "true"]],
  ])(
    "of %s exits 4 with --require-nats, and 0 at a signal without it",
    async (_name, [command = "", ...rest]) => {
      const server = await laterServer();
      const config = configFile(configFor(server, freshId(), "a"));
      const required = await runHere([command, "--config", config, "--require-nats", ...rest]);
      expect(required.code).toBe(4);
      expect(required.stderr).toContain("no connection to NATS at 127.0.0.1");
      const patient = start<Line>([command, "--config", config, ...rest]);
      if (command === "daemon") await patient.next(({ text }) => text?.includes("waiting for NATS") === true);
      else await expect.poll(() => patient.stderr, AT_START).toContain("waiting for NATS");
      patient.kill("SIGTERM");
      expect(await patient.exit).toEqual({ code: 0, signal: null });
    },
  );

  test("of run and run --group starts the program when the server is there", async () => {
    const server = await laterServer();
    const config = configFile(configFor(server, freshId(), "a"));
    const node = start<Line>(["run", "--config", config, "--", "sh", "-c", "echo leads; exec sleep 600"]);
    const group = ["--group", freshId(), "--resources", "1", "--nats-url", server.url];
    const member = start<Line>(["run", ...group, "--", "sh", "-c", "echo owns; exec sleep 600"]);
    for (const one of [node, member])
      await expect.poll(() => one.stderr, AT_START).toContain("waiting for NATS");
    await server.start();
    await Promise.all([
      node.next(({ text }) => text === "leads"),
      member.next(({ text }) => text === "owns"),
    ]);
    for (const one of [node, member]) one.kill("SIGTERM");
    expect(await Promise.all([node.exit, member.exit])).toMatchObject([{ signal: null }, { signal: null }]);
  });

  test("does not wait for credentials that are refused", async () => {
    const server = await startNatsServer({ config: 'authorization { user: "u", password: "p" }' });
    atEnd(() => server.dispose());
    const { hostname, port } = new URL(server.url);
    const url = `nats://u:wrong@${hostname}:${port}`;
    const ended = await runHere(["daemon", "--cluster-id", "c", "--node-id", "a", "--nats-url", url]);
    expect(ended).toMatchObject({ code: 4, stderr: expect.stringContaining("refused the credentials") });
    expect(ended.stderr).not.toContain("wrong");
  });
});

test("a wait is reported once in 30 s, and another reason once in 5 s", () => {
  const last = { atMs: 0, message: "refused" };
  const due = (atMs: number, message: string): boolean => isReportDue(last, { atMs, message });
  expect(isReportDue(null, last)).toBe(true);
  expect([due(29_999, "refused"), due(30_000, "refused")]).toEqual([false, true]);
  expect([due(4_999, "no name"), due(5_000, "no name")]).toEqual([false, true]);
});

test("health refuses an address that nothing can be asked at", async () => {
  const none = await runHere(["health"]);
  expect(none).toMatchObject({ code: 2, stderr: expect.stringContaining("no HTTP address: pass --http") });
  const free = await runHere(["health", "--http", "127.0.0.1:0"]);
  expect(free).toMatchObject({ code: 2, stderr: expect.stringContaining("must name a port other than 0") });
});

describe("systemd's watchdog", () => {
  test.each([
    ["30000000", "", 7, 15_000],
    ["30000000", "7", 7, 15_000],
    ["30000000", "8", 7, null],
    ["0", "", 7, null],
    ["", "", 7, null],
    ["x", "7", 7, null],
  ])(
    "of WATCHDOG_USEC %j and WATCHDOG_PID %j for process %i is fed every %s ms",
    (usec, watched, pid, ms) => {
      expect(watchdogIntervalMs(usec, watched, pid)).toBe(ms);
    },
  );

  test("is not fed without a socket, and the variables are kept from other programs", async () => {
    const env = { WATCHDOG_USEC: "1000", WATCHDOG_PID: "1", OTHER: "x" };
    const service = new ServiceManager(env, { debug() {}, info() {}, warn() {}, error() {} }, 1);
    service.ready("x");
    await service.close();
    expect(env).toEqual({ OTHER: "x" });
  });

  const missing = ["python3", "systemd-notify"].filter((name) => findProgram(name) === null);
  const why = missing.length === 0 ? "" : ` (skipped: no ${missing.join(", no ")})`;

  test.skipIf(missing.length > 0)(
    `hears from a daemon that it runs, what it does and that its loop runs, and from no program of run${why}`,
    async () => {
      const server = await laterServer();
      const socket = join(folder(), "notify");
      const heard = await listenAt(socket);
      const env = { NOTIFY_SOCKET: socket, WATCHDOG_USEC: "200000" };
      const daemon = start<Line>(["daemon", "--config", configFile(configFor(server, freshId(), "a"))], env);
      await heard.next(/^READY=1$/);
      await heard.next(/^STATUS=connecting to NATS$/);
      await heard.next(/^WATCHDOG=1$/);
      await server.start();
      await heard.next(/^STATUS=leader: a, epoch 1$/);
      daemon.kill("SIGSTOP");
      // Nothing that runs can send: what is still to be heard is in the socket, in front of the mark.
      await waitFor(() => stateOf(daemon.pid) === "T" && haveEnded(descendantsOf(daemon.pid)), {
        message: "the daemon to be stopped, and its messages to be sent",
      });
      await heard.mark();
      daemon.kill("SIGCONT");
      await heard.next(/^WATCHDOG=1$/);
      daemon.kill("SIGTERM");
      await heard.next(/^STOPPING=1$/);
      expect((await daemon.exit).code).toBe(0);
      const config = configFile(configFor(server, freshId(), "b"));
      const shown = 'echo "socket=$NOTIFY_SOCKET usec=$WATCHDOG_USEC"; exec sleep 600';
      const run = start<Line>(["run", "--config", config, "--", "sh", "-c", shown], env);
      await run.next(({ text }) => text === "socket= usec=");
      run.kill("SIGTERM");
      await run.exit;
    },
  );
});

/** Receives what is sent to systemd's socket: Node has no Unix datagram sockets. */
async function listenAt(path: string) {
  const program = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("listening", flush=True)
while True:
    print(s.recv(4096).decode(), flush=True)`;
  const child = spawn("python3", ["-c", program, path], { stdio: ["ignore", "pipe", "inherit"] });
  atEnd(() => void child.kill());
  const lines: string[] = [];
  let changed = deferred<void>();
  createInterface({ input: child.stdout }).on("line", (line) => {
    lines.push(line);
    changed.resolve();
    changed = deferred();
  });
  let at = 0;
  const next = async (wanted: RegExp): Promise<void> => {
    for (;;) {
      while (at < lines.length) if (wanted.test(lines[at++] ?? "")) return;
      await changed.promise;
    }
  };
  /** Sends a message of its own, and resolves when it is heard: `next` is then about what was sent later. */
  const mark = async (): Promise<void> => {
    const sent = ["STATUS=mark"];
    await runCommand("systemd-notify", sent, {
      timeoutMs: START_MS,
      env: { ...process.env, NOTIFY_SOCKET: path },
    });
    await next(/^STATUS=mark$/);
  };
  await next(/^listening$/);
  return { next, mark };
}

function haveEnded(pids: readonly number[]): boolean {
  return pids.every((pid) => stateOf(pid) === "X");
}
