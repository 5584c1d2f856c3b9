import type { Command } from "commander";
import { messageOf } from "../../errors.ts";
import type { ClusterClient } from "../../manager/cluster-client.ts";
import { listNodes, type NodeRow } from "../../manager/cluster-nodes.ts";
import { type ClusterStatus, viewedStatus } from "../../manager/cluster-status.ts";
import { type Change, ClusterWatch } from "../../manager/cluster-watch.ts";
import { showInstant, showTime } from "../duration.ts";
import { type ClusterFlags, positiveDuration, withCluster, withQueryOptions } from "../options.ts";
import { coloursFor, print, printJsonLine } from "../output.ts";
import { untilSignal } from "../signals.ts";
import { nodeTable } from "./nodes.ts";
import { statusLines } from "./status.ts";

const EVENTS_SHOWN = 8;
const DEFAULT_INTERVAL_MS = 2_000;

interface Flags extends ClusterFlags {
  readonly interval?: number;
}

export function watch(command: Command): Command {
  return withQueryOptions(command)
    .option("--interval <time>", "pause between queries of the nodes (default: 2s)", positiveDuration)
    .addHelpText("after", HELP)
    .action(run);
}

const HELP = `
Shows a change as soon as it is committed; the interval only applies to uptimes
and the table of nodes. Writes nothing and does not join the election. On a
terminal it draws a live table; otherwise it prints one line per change, or
with --json one JSON value per line.

Example:
  nats-leader watch --config a.json --interval 5s`;

async function run(flags: Flags): Promise<void> {
  const ending = untilSignal();
  try {
    await withCluster(flags, async (client, loaded) => {
      const view = viewFor(flags, client, loaded.nodeId);
      const watching = new ClusterWatch(client, (change) => view.changed(change));
      try {
        await view.prepare();
        await watching.start();
        await view.refresh();
        await every(flags.interval ?? DEFAULT_INTERVAL_MS, ending.signal, () => view.refresh());
      } finally {
        await watching.close();
      }
    });
  } finally {
    ending.close();
  }
  if (flags.json !== true && process.stdout.isTTY) print("\nStopping watch...");
}

async function every(ms: number, signal: AbortSignal, act: () => Promise<void>): Promise<void> {
  await new Promise<void>((resolve) => {
    let busy = false;
    const timer = setInterval(() => {
      if (busy) return;
      busy = true;
      void act().finally(() => {
        busy = false;
      });
    }, ms);
    const end = (): void => {
      clearInterval(timer);
      resolve();
    };
    if (signal.aborted) end();
    signal.addEventListener("abort", end, { once: true });
  });
}

interface View {
  /** Called before the first change. */
  prepare(): Promise<void>;
  changed(change: Change): void;
  refresh(): Promise<void>;
}

function viewFor(flags: Flags, client: ClusterClient, nodeId: string | null): View {
  if (flags.json === true) return new JsonView(client, nodeId);
  return process.stdout.isTTY ? new LiveView(client, nodeId) : new LineView();
}

/** One line for each change. */
class LineView implements View {
  readonly #texts = new ChangeTexts();

  changed(change: Change): void {
    print(`${showInstant(change.at)}  ${this.#texts.textOf(change)}`);
  }

  async prepare(): Promise<void> {}

  async refresh(): Promise<void> {}
}

/** The text of each change. Remembers when the last term ended. */
class ChangeTexts {
  #vacantSince: number | null = null;

  textOf(change: Change): string {
    const since = this.#vacantSince;
    switch (change.kind) {
      case "leader": {
        this.#vacantSince = null;
        const after = since === null ? "" : `, after ${change.at - since} ms without a leader`;
        return `${change.leader} leads, epoch ${change.epoch}${after}`;
      }
      case "released":
        this.#vacantSince = change.at;
        return `epoch ${change.epoch} was released${change.successor === null ? "" : ` to ${change.successor}`}`;
      case "deleted":
        this.#vacantSince = change.at;
        return "lease deleted: there is no leader";
      case "expired":
        this.#vacantSince = change.at;
        return `lease expired: ${change.leader}, epoch ${change.epoch}, no longer leads`;
      case "vacant":
        return "this cluster has not had a leader yet";
      case "disconnected":
        return "connection to NATS lost; reconnecting";
      case "reconnected":
        return "reconnected to NATS";
      case "failed":
        return `reading the lease failed: ${change.error.message}`;
      default:
        return change satisfies never;
    }
  }
}

/** Lines with go-cluster's `timestamp` and `status`, and the `event` that caused them. */
class JsonView implements View {
  readonly #client: ClusterClient;
  readonly #nodeId: string | null;
  #status: ClusterStatus | null = null;

  constructor(client: ClusterClient, nodeId: string | null) {
    this.#client = client;
    this.#nodeId = nodeId;
  }

  async prepare(): Promise<void> {
    this.#status = await viewedStatus(this.#client, this.#nodeId);
  }

  changed(change: Change): void {
    const { at, kind, ...rest } = change;
    const leads = change.kind === "leader";
    const known = this.#status;
    const neutral =
      change.kind === "disconnected" || change.kind === "reconnected" || change.kind === "failed";
    if (known !== null && !neutral) {
      const role = leads && change.leader === known.nodeId ? "PRIMARY" : "PASSIVE";
      const { leader, epoch } = leads ? change : { leader: "", epoch: 0 };
      this.#status = { ...known, leader, epoch, role };
    }
    const shown = "error" in rest ? { error: rest.error.message } : rest;
    this.#print(at, { event: kind, ...shown });
  }

  async refresh(): Promise<void> {
    try {
      this.#status = await viewedStatus(this.#client, this.#nodeId);
      this.#print(Date.now(), { event: "status" });
    } catch (error) {
      this.#print(Date.now(), { event: "failed", error: messageOf(error) });
    }
  }

  #print(at: number, rest: object): void {
    printJsonLine({ timestamp: showTime(at), at: new Date(at).toISOString(), ...rest, status: this.#status });
  }
}

/** The screen, redrawn at every change and at every interval. */
class LiveView implements View {
  readonly #client: ClusterClient;
  readonly #nodeId: string | null;
  readonly #texts = new ChangeTexts();
  readonly #events: string[] = [];
  #status: ClusterStatus | null = null;
  #rows: readonly NodeRow[] = [];
  #problem: string | null = null;
  #drawn = false;

  constructor(client: ClusterClient, nodeId: string | null) {
    this.#client = client;
    this.#nodeId = nodeId;
  }

  async prepare(): Promise<void> {}

  changed(change: Change): void {
    this.#events.push(`${showInstant(change.at)}  ${this.#texts.textOf(change)}`);
    if (this.#events.length > EVENTS_SHOWN) this.#events.shift();
    this.#draw();
    void this.refresh();
  }

  async refresh(): Promise<void> {
    try {
      this.#status = await viewedStatus(this.#client, this.#nodeId);
      this.#rows = await listNodes(this.#client, await this.#client.situation());
      this.#problem = null;
    } catch (error) {
      this.#problem = messageOf(error);
    }
    this.#draw();
  }

  #draw(): void {
    const colours = coloursFor(process.stdout);
    const lines = [colours.strong(`=== Cluster Status [${showTime(Date.now())}] ===`), ""];
    if (this.#status !== null) lines.push(...statusLines(this.#status, colours), "");
    if (this.#problem !== null) lines.push(colours.bad(this.#problem), "");
    if (this.#rows.length > 0) lines.push(...nodeTable(this.#rows, colours), "");
    lines.push(...this.#events, "", colours.dim("Press Ctrl+C to stop watching..."));
    if (!this.#drawn) process.stdout.write("\x1b[2J");
    this.#drawn = true;
    // Overwriting line by line and clearing the rest avoids the flicker of clearing the screen first.
    process.stdout.write(`\x1b[H${lines.map((line) => `${line}\x1b[K\n`).join("")}\x1b[J`);
  }
}
