/** A demonstration on one machine: a server, three daemons of this very program, and what happens to their leader. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { Command } from "commander";
import { startNatsServer } from "../../testing/server/run/start.ts";
import { CliError, EXIT } from "../exit.ts";
import { type Colours, coloursFor, note, print, printJson } from "../output.ts";
import { untilSignal } from "../signals.ts";

const CLUSTER = "demo";
const PATIENCE_MS = 15_000;

interface Became {
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

export function demo(): Command {
  return new Command("demo")
    .description("a leader elected, stopped, killed, replaced: see it happen")
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      "\nStarts a nats-server of its own; gets one if need be.\n\nExample:\n  nats-leader demo",
    )
    .action(act);
}

async function act(flags: { readonly json?: boolean }): Promise<void> {
  const colours = coloursFor(process.stdout);
  const say = (text: string): void => (flags.json === true ? note(text) : print(text));
  const ending = untilSignal();
  const stage = new Stage(say, colours);
  try {
    const results = await stage.play(ending.signal);
    if (flags.json === true) printJson({ ok: true, results });
  } finally {
    ending.close();
    await stage.close();
  }
}

class Stage {
  readonly #say: (text: string) => void;
  readonly #colours: Colours;
  readonly #nodes = new Map<string, ChildProcess>();
  readonly #heard: Became[] = [];
  readonly #looks = new Set<() => void>();
  #server: Awaited<ReturnType<typeof startNatsServer>> | null = null;

  constructor(say: (text: string) => void, colours: Colours) {
    this.#say = say;
    this.#colours = colours;
  }

  async play(signal: AbortSignal): Promise<Result[]> {
    this.#server = await startNatsServer({ signal, onProgress: (line) => note(line) });
    this.#say(`nats-server ${this.#server.version} at ${this.#server.url}`);
    for (const node of ["a", "b", "c"]) this.#start(node, this.#server.url);
    const first = await this.#next(0, signal);
    this.#say(`${this.#colours.strong(first.node)} leads, epoch ${first.epoch}`);
    const results: Result[] = [];
    results.push(await this.#scene("SIGTERM: it hands over and exits", first.node, "SIGTERM", signal));
    const second = results[0]?.to ?? first.node;
    results.push(
      await this.#scene("kill -9: its connection closes, and that is noticed", second, "SIGKILL", signal),
    );
    this.#say(this.#colours.good("every epoch was larger than the one before"));
    return results;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#nodes.values()].map((child) => ended(child, "SIGKILL")));
    await this.#server?.dispose();
  }

  async #scene(what: string, node: string, name: NodeJS.Signals, signal: AbortSignal): Promise<Result> {
    // The others are up once they have seen the leader; a moment makes the numbers those of a settled cluster.
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const before = this.#heard.at(-1)?.epoch ?? 0;
    const started = performance.now();
    this.#nodes.get(node)?.kill(name);
    const next = await this.#next(before, signal);
    this.#nodes.delete(node);
    const tookMs = Math.round((next.at - started) * 10) / 10;
    this.#say(`${node}: ${what}`);
    this.#say(`${this.#colours.strong(next.node)} leads, epoch ${next.epoch}, ${tookMs} ms later`);
    return { act: name, from: node, to: next.node, epoch: next.epoch, tookMs };
  }

  #start(node: string, url: string): void {
    const flags = ["--cluster-id", CLUSTER, "--node-id", node, "--nats-url", url, "--json"];
    const args = [...process.execArgv, process.argv[1] ?? "", "daemon", ...flags];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    this.#nodes.set(node, child);
    createInterface({ input: child.stdout }).on("line", (line) => {
      const { msg, epoch } = JSON.parse(line) as { readonly msg: string; readonly epoch?: number };
      if (msg !== "This node is now the LEADER" || epoch === undefined) return;
      this.#heard.push({ node, epoch, at: performance.now() });
      for (const look of [...this.#looks]) look();
    });
  }

  #next(after: number, signal: AbortSignal): Promise<Became> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        clearTimeout(timer);
        this.#looks.delete(look);
        signal.removeEventListener("abort", onAbort);
      };
      const look = (): void => {
        const found = this.#heard.find(({ epoch }) => epoch > after);
        if (found === undefined) return;
        end();
        resolve(found);
      };
      const onAbort = (): void => {
        end();
        reject(new CliError(EXIT.error, "ABORTED", "interrupted"));
      };
      const timer = setTimeout(() => {
        end();
        reject(new CliError(EXIT.noLeader, "NO_LEADER", `nobody led within ${PATIENCE_MS} ms`));
      }, PATIENCE_MS);
      this.#looks.add(look);
      signal.addEventListener("abort", onAbort, { once: true });
      look();
    });
  }
}

function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    child.once("exit", () => resolve());
    child.kill(signal);
  });
}
