/** Runs the command lines of `scripts/deploy-nats-cluster/main.ts` on ports and in a folder of its own. */
import { spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { main } from "../../../scripts/deploy-nats-cluster/cli.ts";
import { planServers, portsOf, type Size, type Topology } from "../../../scripts/deploy-nats-cluster/plan.ts";
import { readPasswords, type User } from "../../../scripts/deploy-nats-cluster/secrets.ts";
import { waitFor } from "../../../scripts/shared/wait.ts";
import type { NodeOptions } from "../../../src/index.ts";
import { isPortFree } from "../../../src/testing/server/run/ports.ts";
import { unref } from "../../../src/testing/server/run/watchdog.ts";
import { atEnd } from "../at-end.ts";
import { blockOf, commandsOf } from "../docs/blocks.ts";
import { Shell } from "../docs/shell.ts";
import { PATIENCE_MS } from "../patience.ts";
import { nodeArgsFor, ROOT } from "../processes/node-command.ts";

export interface Run {
  readonly code: number;
  /** The last line on stdout, when it is JSON. */
  readonly result: Record<string, unknown>;
  readonly stdout: string;
  readonly stderr: string;
}

/** A folder with one deployment. Its servers are stopped at the end of the test. */
export class Deployment {
  readonly state: string;
  readonly portBase: number;
  /** Called with each line of output of a command, as it is printed. */
  heard: (line: string) => void = () => {};

  private constructor(state: string, portBase: number) {
    this.state = state;
    this.portBase = portBase;
  }

  /** @param size Largest number of servers of a cluster. */
  static async make(topology: Topology, size: Size = 3): Promise<Deployment> {
    const state = mkdtempSync(join(tmpdir(), "nats-leader-deploy-"));
    const deployment = new Deployment(state, await freePortBase(topology, size));
    const dismiss = watchDeployment(state);
    atEnd(async () => {
      await deployment.run("down --delete-data"); // with compose, the data are volumes
      rmSync(state, { recursive: true, force: true, maxRetries: 5 });
      dismiss();
    });
    return deployment;
  }

  /** Runs a command line of the script, such as "up --secure". */
  async run(line: string, ...more: string[]): Promise<Run> {
    const [verb = "", ...args] = line.split(" ");
    const planned = verb === "up" || verb === "prepare" || args.includes("--from");
    const ports = planned ? ["--port-base", `${this.portBase}`] : [];
    return runScript([verb, ...args, "--state", this.state, "--json", ...ports, ...more], this.heard);
  }

  /** The same, when it must succeed. */
  async must(line: string, ...more: string[]): Promise<Record<string, unknown>> {
    const run = await this.run(line, ...more);
    if (run.code !== 0) throw new Error(`${line} ended with ${run.code}:\n${run.stdout}\n${run.stderr}`);
    return run.result;
  }

  /**
   * The status, once nothing is missing. It describes an instant: for moments after a restart or an election a replica of some stream is
   * behind.
   */
  async healthy(): Promise<Record<string, unknown>> {
    let last = "";
    return waitFor(
      async () => {
        const run = await this.run("status");
        last = `${run.stdout}\n${run.stderr}`;
        return run.code === 0 && run.result;
      },
      { timeoutMs: PATIENCE_MS, message: () => `nothing to be missing:\n${last}` },
    );
  }

  get ca(): string {
    return join(this.state, "tls/ca.pem");
  }

  /** The login of a node or a plain connection as this user of a secured deployment. */
  async login(user: User): Promise<Pick<NodeOptions, "user" | "pass" | "inboxPrefix">> {
    const passwords = await readPasswords(join(this.state, "users.env"));
    return { user, pass: passwords[user], inboxPrefix: `_INBOX_${user}` };
  }

  /** As the README of examples/nats-cluster says: an administrator creates the bucket, which the nodes may not. */
  async createBucket(urls: readonly string[]): Promise<void> {
    const block = blockOf(
      "examples/nats-cluster/README.md",
      "npm run --silent deploy-nats-cluster -- up --secure",
    );
    const lines = commandsOf(block).filter((line) => !line.startsWith("npm run"));
    const text = lines
      .join("\n")
      .replaceAll("./.nats-cluster", this.state)
      .replaceAll(".nats-cluster", this.state)
      .replace("tls://127.0.0.1:4222", urls.join(","));
    const { code, stderr } = await new Shell({}).run(text);
    if (code !== 0) throw new Error(`${text}\nended with ${code}: ${stderr}`);
  }

  /** A connection as this user, closed at the end of the test. */
  async connectAs(user: User, urls: string[]): Promise<NatsConnection> {
    const { user: name = "", pass = "", inboxPrefix = "" } = await this.login(user);
    const login = { user: name, pass, inboxPrefix };
    const connection = await connect({ servers: urls, ...login, tls: { caFile: this.ca } });
    atEnd(() => connection.close());
    return connection;
  }
}

/** Runs in this process: starting one for each command line takes a second on a busy machine. */
async function runScript(args: readonly string[], heard: (line: string) => void): Promise<Run> {
  const [out, err]: [string[], string[]] = [[], []];
  const into = (lines: string[]) => (line: string) => {
    lines.push(line);
    heard(line);
  };
  const code = await main(args, { out: into(out), err: into(err) });
  const last = out.at(-1);
  const result = last?.startsWith("{") ? (JSON.parse(last) as Record<string, unknown>) : {};
  return { code, result, stdout: out.join("\n"), stderr: err.join("\n") };
}

/** Below the range of outgoing connections, see src/testing/server/run/ports.ts; the highest offset is that of monitoring. */
async function freePortBase(topology: Topology, size: Size): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const plan = { topology, size, secure: false, portBase: randomInt(14_000, 27_000) };
    const ports = planServers(plan).flatMap((server) => portsOf(plan, server).map(([, port]) => port));
    const free = await Promise.all(ports.map((port) => isPortFree(port, "127.0.0.1")));
    if (free.every(Boolean)) return plan.portBase;
  }
  throw new Error("no ports for a deployment in 100 tries");
}

// A shell that waits on a pipe from this process. The kernel closes the pipe when this process ends, also by SIGKILL; the
// shell then stops the servers or containers. Its own session keeps it from a Ctrl-C in the terminal.
const WATCH = `read -r line && exit 0
state=$1; shift
"$@" down --delete-data --state "$state"
rm -rf -- "$state"`;

/** Takes the deployment down if this process ends without doing so. Returns the function that ends the watch. */
function watchDeployment(state: string): () => void {
  const script = [process.execPath, ...nodeArgsFor("scripts/deploy-nats-cluster/main.ts")];
  const shell = spawn("/bin/sh", ["-c", WATCH, "deployment-watchdog", state, ...script], {
    cwd: ROOT,
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  shell.unref();
  unref(shell.stdin);
  return () => shell.stdin.end("bye\n");
}

/** The commands in the README of an example. */
export function readmeCommands(folder: string): string[] {
  const text = readFileSync(join(import.meta.dirname, "../../../examples", folder, "README.md"), "utf8");
  return [...text.matchAll(/^npm run --silent deploy-nats-cluster -- (.*?)(?:\s+#.*)?$/gm)].map(
    ([, line = ""]) => line,
  );
}

export function urlsOf(result: Record<string, unknown>): string[] {
  return result["urls"] as string[];
}
