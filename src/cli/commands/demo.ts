/** A demonstration on one machine: a server and three daemons of this program, whose leader is stopped and then killed. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import type { Command } from "commander";
import { deferred, untilAborted } from "../../runtime/waiting.ts";
import { startNatsServer } from "../../testing/server/run/start.ts";
import type { NatsServer } from "../../testing/server/types.ts";
import { CliError, EXIT } from "../exit.ts";
import { note, print, printJson } from "../output.ts";
import { good, line, type Part, strong } from "../render/text.ts";
import { type EndSignal, interruption, untilSignal } from "../signals.ts";

const CLUSTER = "demo";
const LEADER_TIMEOUT_MS = 15_000;
const SETTLE_MS = 1_000;

interface Election {
  readonly node: string;
  readonly epoch: number;
  readonly at: number;
}

interface Result {
  readonly act: string;
  readonly from: string | null;
  readonly to: string;
  readonly epoch: number;
  readonly tookMs: number;
}

export function demo(command: Command): Command {
  return command.option("--json", "print JSON").addHelpText("after", HELP).action(act);
}

const HELP = `
Starts a nats-server of its own, and downloads one if none is installed. Stops
the leader with SIGTERM and the next one with SIGKILL.

Example:
  nats-leader demo`;

async function act(flags: { readonly json?: boolean }): Promise<void> {
  const show = (part: Part): void => (flags.json === true ? note(part) : print(part));
  const ending = untilSignal();
  const stage = new Stage(show);
  try {
    const results = await stage.play(ending.signal);
    if (flags.json === true) printJson({ ok: true, results });
  } catch (error) {
    throw ending.signal.aborted ? interruption(ending.signal.reason as EndSignal) : error;
  } finally {
    ending.close();
    await stage.close();
  }
}

class Stage {
  readonly #show: (part: Part) => void;
  readonly #nodes = new Map<string, ChildProcess>();
  readonly #elections: Election[] = [];
  readonly #listeners = new Set<() => void>();
  #server: NatsServer | null = null;

  constructor(show: (part: Part) => void) {
    this.#show = show;
  }

  async play(signal: AbortSignal): Promise<Result[]> {
    this.#server = await startNatsServer({ signal, onProgress: (line) => note(line) });
    this.#show(`nats-server ${this.#server.version} at ${this.#server.url}`);
    for (const node of ["a", "b", "c"]) this.#start(node, this.#server.url);
    const first = await this.#next(0, signal);
    this.#show(line`${strong(first.node)} leads, epoch ${first.epoch}`);
    const stopped = await this.#replace("SIGTERM: hands over and exits", first.node, "SIGTERM", signal);
    const killed = await this.#replace(
      "kill -9: its server reports the closed connection",
      stopped.to,
      "SIGKILL",
      signal,
    );
    this.#show(good("each epoch was larger than the one before"));
    return [stopped, killed];
  }

  async close(): Promise<void> {
    await Promise.all([...this.#nodes.values()].map((child) => ended(child, "SIGKILL")));
    await this.#server?.dispose();
  }

  async #replace(what: string, node: string, name: NodeJS.Signals, signal: AbortSignal): Promise<Result> {
    // After this pause the other nodes know the leader, so that the times are those of a settled cluster.
    await pause(SETTLE_MS, undefined, { signal });
    const before = this.#elections.at(-1)?.epoch ?? 0;
    const started = performance.now();
    this.#nodes.get(node)?.kill(name);
    const next = await this.#next(before, signal);
    this.#nodes.delete(node);
    const tookMs = Math.round((next.at - started) * 10) / 10;
    this.#show(`${node}: ${what}`);
    this.#show(line`${strong(next.node)} leads, epoch ${next.epoch}, ${tookMs} ms later`);
    return { act: name, from: node, to: next.node, epoch: next.epoch, tookMs };
  }

  #start(node: string, url: string): void {
    const flags = ["--cluster-id", CLUSTER, "--node-id", node, "--nats-url", url, "--json"];
    const args = [...process.execArgv, process.argv[1] ?? "", "daemon", "--require-nats", ...flags];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    this.#nodes.set(node, child);
    createInterface({ input: child.stdout }).on("line", (line) => {
      const { msg, epoch } = JSON.parse(line) as { readonly msg: string; readonly epoch?: number };
      if (msg !== "This node is now the LEADER" || epoch === undefined) return;
      this.#elections.push({ node, epoch, at: performance.now() });
      for (const listener of [...this.#listeners]) listener();
    });
  }

  /** Resolves to the first election with a larger epoch. */
  async #next(epochBefore: number, signal: AbortSignal): Promise<Election> {
    const next = deferred<Election>();
    const check = (): void => {
      const found = this.#elections.find(({ epoch }) => epoch > epochBefore);
      if (found !== undefined) next.resolve(found);
    };
    const timer = setTimeout(() => {
      const message = `timed out after ${LEADER_TIMEOUT_MS} ms waiting for a leader`;
      next.reject(new CliError(EXIT.noLeader, "NO_LEADER", message));
    }, LEADER_TIMEOUT_MS);
    this.#listeners.add(check);
    check();
    try {
      return await untilAborted(next.promise, signal);
    } finally {
      clearTimeout(timer);
      this.#listeners.delete(check);
    }
  }
}

function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    child.once("exit", () => resolve());
    child.kill(signal);
  });
}
