/** Output that cannot be written: commands end as `cat` does, and nodes go on. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, openSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import { fullProgram } from "../../src/cli/program.ts";
import { findProgram } from "../../src/system/find-program.ts";
import { freePort } from "../../src/testing/server/run/ports.ts";
import { atEnd } from "../support/at-end.ts";
import {
  CLEAN,
  configFile,
  configFor,
  everyCommand,
  folder,
  startCluster,
  startDaemon,
} from "../support/cli/run-cli.ts";
import { jsonHere, runHere } from "../support/cli/run-here.ts";
import { freshId } from "../support/fresh-id.ts";
import { RealGroup } from "../support/group/real-group.ts";
import { nodeArgsFor, ROOT } from "../support/processes/node-command.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

/** A pipe whose reader has exited. */
function closedPipe(): number {
  const path = join(folder(), "pipe");
  execFileSync("mkfifo", [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(path, "w");
  closeSync(reader);
  return writer;
}

interface Ended {
  readonly code: number | null;
  readonly stderr: string;
}

async function withStdout(
  fd: number,
  args: readonly string[],
  before: readonly string[] = [],
): Promise<Ended> {
  const [command = "", ...rest] = [...before, process.execPath, ...nodeArgsFor("src/cli/main.ts"), ...args];
  const child = spawn(command, rest, { cwd: ROOT, env: CLEAN, stdio: ["ignore", fd, "pipe"] });
  closeSync(fd);
  atEnd(() => child.kill("SIGKILL"));
  let stderr = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stderr };
}

/** A group of two members with a resource each. */
async function startGroup(): Promise<string> {
  const group = new RealGroup(server.url, { resources: 2 });
  for (const id of ["a", "b"]) await group.start(id);
  await group.untilShares({ a: 1, b: 1 });
  return group.groupId;
}

/** These print while they work. What they print before is their help, and `help` prints in the same way. */
const WHILE_THEY_WORK = ["daemon", "run", "bench failover", "demo", "ui"];

/** What each of the others prints on stdout, with the arguments for it. */
async function commandLines(): Promise<ReadonlyMap<string, readonly string[]>> {
  const clusterId = freshId();
  const [a] = await startCluster(server, clusterId, ["a"]);
  if (a === undefined) throw new Error("one daemon was started");
  const here = ["--config", a.path];
  // The commands run at the same time: one that ends the term has a cluster of its own, where the others do not miss a leader.
  const [other] = await startCluster(server, freshId(), ["a"]);
  if (other === undefined) throw new Error("one daemon was started");
  const listen = `127.0.0.1:${await freePort("127.0.0.1")}`;
  await startDaemon(configFor(server, freshId(), "a", { http: { listen } }));
  // Nor does one that moves resources.
  const [shown, drained, moved] = await Promise.all([startGroup(), startGroup(), startGroup()]);
  const at = ["--nats-url", server.url];
  return new Map<string, readonly string[]>([
    ["groups", at],
    ["group show", [shown, ...at]],
    ["group plan", [shown, "--without", "b", ...at]],
    ["group history", [shown, ...at]],
    ["group rejoin", [shown, "a", ...at]],
    ["group drain", [drained, "a", ...at]],
    ["group move", [moved, "0", "b", ...at]],
    ["init", ["--cluster-id", "x", "--node-id", "a", "--config", join(folder(), "new.json")]],
    ["status", here],
    ["health", ["--http", listen]],
    ["watch", [...here, "--json"]],
    ["nodes", here],
    ["history", here],
    ["doctor", here],
    ["permissions", ["node", "--cluster-id", "x"]],
    ["promote", here],
    ["demote", [...here, "--node-id", "b"]],
    ["transfer", ["a", ...here]],
    ["stepdown", ["--config", other.path, "--json"]],
    ["join", here],
    ["leave", [...here, "--node-id", "b"]],
    ["create-bucket", here],
    ["config check", here],
    ["config schema", []],
    ["completion", ["bash"]],
    ["version", []],
    ["help", []],
  ]);
}

describe.skipIf(process.platform !== "linux")("stdout that cannot be written", () => {
  test("ends each command with 1 and a message on a full disk, and with 141 without a reader", async () => {
    const lines = await commandLines();
    const leaves = everyCommand(await fullProgram())
      .filter(({ command }) => command.commands.length === 0)
      .map(({ path }) => path.replace("nats-leader ", ""));
    const ofLeaves = [...lines.keys()].filter((name) => name !== "help");
    expect([...ofLeaves, ...WHILE_THEY_WORK].sort()).toEqual(leaves.sort());
    expect(leaves.length).toBeGreaterThanOrEqual(COMMANDS.length);
    const queue = [...lines].map(([name, args]) => ({ name, args: [...name.split(" "), ...args] }));
    const found: Record<string, unknown> = {};
    // A command takes a second to start on a busy machine.
    const workers = Array.from({ length: 4 }, async () => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        const { code, stderr } = await withStdout(openSync("/dev/full", "w"), next.args);
        const isSaid = stderr.includes("cannot write to stdout: no space left on the device");
        found[next.name] = { code, isSaid, stack: /^ +at /m.test(stderr) };
      }
    });
    const unread = ["watch", "status", "group history", "completion", "help"].map(async (name) => {
      const { code } = await withStdout(closedPipe(), [...name.split(" "), ...(lines.get(name) ?? [])]);
      expect(code, name).toBe(141);
    });
    await Promise.all([...workers, ...unread]);
    const expected = { code: 1, isSaid: true, stack: false };
    expect(found).toEqual(Object.fromEntries([...lines.keys()].map((name) => [name, expected])));
  });

  test.skipIf(findProgram("python3") === null)("ends a command whose terminal was closed", async () => {
    const script =
      "import os, pty, subprocess, sys\nm, s = pty.openpty(); os.close(m)\nsys.exit(subprocess.run(sys.argv[1:], stdout=s).returncode)";
    const ended = await withStdout(openSync("/dev/null", "w"), ["version"], ["python3", "-c", script]);
    expect(ended).toEqual({
      code: 1,
      stderr: "Error: cannot write to stdout: input/output error, such as a terminal that was closed\n",
    });
  });

  test("is an error in JSON with --json", async () => {
    const { code, stderr } = await withStdout(openSync("/dev/full", "w"), ["version", "--json"]);
    expect(JSON.parse(stderr)).toMatchObject({ ok: false, code: "OUTPUT_FAILED", exitCode: code });
  });
});

test.skipIf(process.platform !== "linux")(
  "stderr that cannot be written does not change the exit code",
  async () => {
    const full = openSync("/dev/full", "w");
    const args = [...nodeArgsFor("src/cli/main.ts"), "status", "--bogus"];
    const child = spawn(process.execPath, args, { env: CLEAN, stdio: ["ignore", "ignore", full] });
    closeSync(full);
    expect(await once(child, "exit")).toEqual([2, null]);
  },
);

describe.skipIf(process.platform !== "linux")("a log that cannot be written", () => {
  test.each([
    ["the reader has exited", closedPipe],
    ["the disk is full", () => openSync("/dev/full", "w")],
  ])("does not end a daemon, nor the program of run: %s", async (_why, open) => {
    const clusterId = freshId();
    const path = configFile(configFor(server, clusterId, "a"));
    const [out, err] = [open(), open()];
    const commands = [
      ["daemon", "--config", path, "--log-level", "debug"],
      ["run", "--config", configFile(configFor(server, clusterId, "b")), "--", "sh", "-c", "exec sleep 600"],
    ];
    const children = commands.map((args) =>
      spawn(process.execPath, [...nodeArgsFor("src/cli/main.ts"), ...args], {
        cwd: ROOT,
        env: CLEAN,
        stdio: ["ignore", out, err],
      }),
    );
    for (const fd of [out, err]) closeSync(fd);
    for (const child of children) atEnd(() => child.kill("SIGKILL"));
    const exits = children.map((child) => once(child, "exit"));
    const { nodes } = await waitFor(
      async () => {
        const asked = ["nodes", "--config", path];
        const found = await jsonHere<{ nodes: { nodeId: string; leads: boolean }[] }>(asked);
        return found.value.nodes.length === 2 && found.value.nodes.some(({ leads }) => leads) && found.value;
      },
      { timeoutMs: 60_000 },
    );
    // Each change of the leader writes log lines.
    for (const { nodeId } of nodes)
      expect((await runHere(["transfer", nodeId, "--config", path])).code).toBe(0);
    for (const child of children) child.kill("SIGTERM");
    expect(await Promise.all(exits)).toEqual([
      [0, null],
      [0, null],
    ]);
  });
});
