/**
 * The files of deploy/: the entry point as PID 1 of a namespace, the unit by systemd's own check, and the image by a container engine. What is
 * missing on this machine is in the names of the tests that are skipped.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, test } from "vitest";
import { deferred, waitFor } from "../../scripts/shared/wait.ts";
import { findProgram } from "../../src/system/find-program.ts";
import { runCommand, runToExit } from "../../src/system/run-command.ts";
import { atEnd } from "../support/at-end.ts";
import { folder } from "../support/cli/run-cli.ts";
import { freshId } from "../support/fresh-id.ts";
import { nodeArgsFor, ROOT } from "../support/processes/node-command.ts";
import { descendantsOf } from "../support/processes/proc.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

/** Leaves a process behind that ends, waits until it is no zombie for up to two seconds, and says what became of it. */
const ORPHAN =
  "f=$(mktemp); (sleep 0.1 & echo $! > $f); p=$(cat $f); for i in 1 2 3 4 5 6 7 8 9 10; do [ -e /proc/$p ] || break; sleep 0.2; done; [ -e /proc/$p ] && echo zombie || echo collected; exec sleep 600";

describe("PID 1 of a container", () => {
  const missing =
    process.getuid?.() !== 0 ? "needs root" : findProgram("unshare") === null ? "no unshare" : null;
  const why = missing === null ? "" : ` (skipped: ${missing})`;

  test.skipIf(missing !== null)(`is the daemon itself, which ends in order at SIGTERM${why}`, async () => {
    const one = inNamespace(["sh", entryPoint(), "daemon", ...where("a"), "--json"]);
    await one.next(/This node is now the LEADER/);
    expect(one.commandOfPid1()).not.toMatch(/^sh /);
    one.signal("SIGTERM");
    expect(await one.exit).toBe(0);
    expect(one.lines.join("\n")).toContain("lease released");
  });

  test.skipIf(missing !== null)(
    `collects what the program of run leaves behind, and passes signals on${why}`,
    async () => {
      const one = inNamespace(["sh", entryPoint(), "run", ...where("a"), "--", "sh", "-c", ORPHAN]);
      await one.next(/^collected$/);
      expect(one.commandOfPid1()).toMatch(/^sh /);
      one.signal("SIGUSR1");
      await one.next(/msg=Status/);
      one.signal("SIGTERM");
      expect(await one.exit).toBe(0);
    },
  );

  test.skipIf(missing !== null)(`has the exit code of the program of run${why}`, async () => {
    const one = inNamespace(["sh", entryPoint(), "run", ...where("a"), "--", "sh", "-c", "exit 7"]);
    expect(await one.exit).toBe(7);
  });

  test.skipIf(missing !== null)(`would leave a zombie without the entry point${why}`, async () => {
    const one = inNamespace([
      process.execPath,
      ...nodeArgsFor("src/cli/main.ts"),
      "run",
      ...where("a"),
      "--",
      "sh",
      "-c",
      ORPHAN,
    ]);
    await one.next(/^zombie$/);
    one.signal("SIGTERM");
    await one.exit;
  });
});

function where(nodeId: string): string[] {
  return ["--cluster-id", freshId(), "--node-id", nodeId, "--nats-url", server.url];
}

/** With the program of this repository in place of that of the image. */
function entryPoint(): string {
  const path = join(folder(), "entrypoint.sh");
  const [main = "", ...more] = nodeArgsFor("src/cli/main.ts");
  expect(more).toEqual([]);
  const text = readFileSync(join(ROOT, "deploy/entrypoint.sh"), "utf8");
  const changed = text.replace(/^main=.*$/m, `main=${main}`);
  expect(changed).not.toBe(text);
  writeFileSync(path, changed);
  return path;
}

interface Namespaced {
  readonly lines: readonly string[];
  readonly exit: Promise<number | null>;
  next(wanted: RegExp): Promise<void>;
  /** To PID 1. */
  signal(name: NodeJS.Signals): void;
  commandOfPid1(): string;
}

function inNamespace(command: readonly string[]): Namespaced {
  const args = ["--pid", "--fork", "--mount-proc", "--kill-child", ...command];
  const child = spawn("unshare", args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
  atEnd(() => void child.kill("SIGKILL"));
  const lines: string[] = [];
  let changed = deferred<void>();
  const add = (line: string): void => {
    lines.push(line);
    changed.resolve();
    changed = deferred();
  };
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on("line", add);
  const exit = new Promise<number | null>((resolve) => child.on("close", resolve));
  let ended = false;
  void exit.then(() => {
    ended = true;
    changed.resolve();
  });
  let at = 0;
  return {
    lines,
    exit,
    async next(wanted) {
      for (;;) {
        while (at < lines.length) if (wanted.test(lines[at++] ?? "")) return;
        if (ended) throw new Error(`ended without ${wanted}: ${lines.join("\n")}`);
        await changed.promise;
      }
    },
    signal: (name) => process.kill(pid1(child), name),
    commandOfPid1: () => readFileSync(`/proc/${pid1(child)}/cmdline`, "utf8").replaceAll("\0", " "),
  };
}

function pid1({ pid = 0 }: ChildProcess): number {
  const [first] = descendantsOf(pid);
  if (first === undefined) throw new Error("PID 1 has ended");
  return first;
}

describe("the unit", () => {
  const missing = findProgram("systemd-analyze") === null ? "no systemd-analyze" : null;

  test.skipIf(missing !== null)(
    `passes systemd-analyze verify${missing === null ? "" : ` (skipped: ${missing})`}`,
    async () => {
      const dir = folder();
      const program = join(dir, "nats-leader");
      writeFileSync(program, "#!/bin/sh\n");
      chmodSync(program, 0o755);
      const text = readFileSync(join(ROOT, "deploy/nats-leader@.service"), "utf8");
      const verify = async (unit: string) => {
        const path = join(dir, "nats-leader@.service");
        writeFileSync(path, unit.replace("/usr/local/bin/nats-leader", program));
        return runToExit("systemd-analyze", ["verify", "--man=no", path], { timeoutMs: 60_000 });
      };
      expect(await verify(text)).toMatchObject({ code: 0, stdout: "", stderr: "" });
      // The check finds mistakes.
      expect((await verify(text.replace("Type=notify", "Type=notified"))).stderr).toContain("notified");
    },
  );
});

describe("the image", async () => {
  const base = process.env["NODE_IMAGE"];
  const missing = await whatIsMissing(base);
  const why = missing === null ? "" : ` (skipped: ${missing})`;

  test.skipIf(missing !== null)(
    `is built, runs as another user than root, is healthy without NATS, leads with it, and stops in order${why}`,
    { timeout: 300_000 },
    async () => {
      const context = join(folder(), "context");
      mkdirSync(context);
      const build = ["scripts/build/image.mjs", "--context", context];
      await runCommand(process.execPath, build, { timeoutMs: 200_000, cwd: ROOT });
      const tag = `nats-leader-test:${freshId().toLowerCase()}`;
      await docker("build", "--tag", tag, "--build-arg", `NODE_IMAGE=${base}`, context);
      atEnd(() => docker("rmi", tag));
      await server.stop();
      const name = `nats-leader-${freshId()}`;
      const env = { NATS_LEADER_CLUSTER_ID: freshId(), NATS_URL: server.url, INSTANCE_ID: "img.1" };
      const set = Object.entries(env).flatMap(([key, value]) => ["--env", `${key}=${value}`]);
      await docker(
        "run",
        "--detach",
        "--name",
        name,
        "--network",
        "host",
        "--health-interval",
        "1s",
        ...set,
        tag,
      );
      atEnd(() => docker("rm", "--force", name));
      const health = () => docker("inspect", "--format", "{{.State.Health.Status}}", name);
      await waitFor(async () => (await health()) === "healthy", {
        timeoutMs: 60_000,
        message: "a healthy container",
      });
      expect(await docker("logs", name)).toContain("waiting for NATS");
      expect(await docker("exec", name, "/opt/nats-leader/entrypoint", "config", "check")).toContain(
        '"img-1"',
      );
      expect(await docker("exec", name, "cat", "/proc/1/status")).toMatch(/^Uid:\s+65532/m);
      await server.start();
      await waitFor(async () => (await docker("logs", name)).includes("This node is now the LEADER"), {
        timeoutMs: 60_000,
      });
      await docker("stop", "--time", "30", name);
      expect(await docker("inspect", "--format", "{{.State.ExitCode}}", name)).toBe("0");
    },
  );
});

async function docker(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runToExit("docker", args, { timeoutMs: 120_000 });
  if (code !== 0) throw new Error(`docker ${args[0]}: ${stderr}`);
  return stdout.trim();
}

async function whatIsMissing(base: string | undefined): Promise<string | null> {
  if (base === undefined) return "NODE_IMAGE names no image with Node.js";
  const { code } = await runToExit("docker", ["info"], { timeoutMs: 10_000 }).catch(() => ({ code: 1 }));
  return code === 0 ? null : "no container engine answers";
}
