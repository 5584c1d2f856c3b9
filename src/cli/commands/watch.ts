import type { Command } from "commander";
import { messageOf } from "../../errors.ts";
import type { ClusterClient } from "../../manager/cluster-client.ts";
import { listNodes } from "../../manager/cluster-nodes.ts";
import { type ClusterStatus, viewedStatus } from "../../manager/cluster-status.ts";
import { type Change, ClusterWatch } from "../../manager/cluster-watch.ts";
import { type ClusterFlags, positiveDuration, withCluster, withQueryOptions } from "../options.ts";
import { isTerminal, print, printJsonLine, Screen } from "../output.ts";
import { ChangeTexts } from "../render/change-text.ts";
import { showTime } from "../render/duration.ts";
import { MAX_EVENTS, type WatchState, watchScreen } from "../render/watch-screen.ts";
import { endedBySignal, every, unlessAborted } from "../signals.ts";

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
  await endedBySignal((signal) =>
    withCluster(flags, (client, loaded) => follow(client, loaded.nodeId, flags, signal), { signal }),
  );
  if (flags.json !== true && isTerminal()) print("Stopping watch...");
}

async function follow(
  client: ClusterClient,
  nodeId: string | null,
  flags: Flags,
  signal: AbortSignal,
): Promise<void> {
  const view = viewFor(flags, client, nodeId);
  const watching = new ClusterWatch(client, (change) => view.changed(change));
  const begin = async (): Promise<void> => {
    await view.prepare();
    await watching.start();
    await view.refresh();
  };
  try {
    await unlessAborted(signal, begin());
    await every(flags.interval ?? DEFAULT_INTERVAL_MS, signal, () => view.refresh());
  } finally {
    view.close();
    await watching.close();
  }
}

interface View {
  /** Called before the first change. */
  prepare(): Promise<void>;
  changed(change: Change): void;
  refresh(): Promise<void>;
  close(): void;
}

function viewFor(flags: Flags, client: ClusterClient, nodeId: string | null): View {
  if (flags.json === true) return new JsonView(client, nodeId);
  return isTerminal() ? new LiveView(client, nodeId) : new LineView();
}

/** One line for each change. */
class LineView implements View {
  readonly #texts = new ChangeTexts();

  changed(change: Change): void {
    print(this.#texts.lineOf(change));
  }

  async prepare(): Promise<void> {}

  async refresh(): Promise<void> {}

  close(): void {}
}

/** Lines with go-cluster's `timestamp` and `status`, and the `event` that caused them. */
class JsonView implements View {
  readonly #client: ClusterClient;
  readonly #nodeId: string | null;
  #status: ClusterStatus | null = null;
  /** An outage is reported once. */
  #isOut = false;

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
    if (kind === "disconnected" || kind === "failed") this.#isOut = true;
    const shown = "error" in rest ? { error: rest.error.message } : rest;
    this.#print(at, { event: kind, ...shown });
  }

  async refresh(): Promise<void> {
    try {
      this.#status = await viewedStatus(this.#client, this.#nodeId);
      this.#isOut = false;
      this.#print(Date.now(), { event: "status" });
    } catch (error) {
      if (this.#isOut) return;
      this.#isOut = true;
      this.#print(Date.now(), { event: "failed", error: messageOf(error) });
    }
  }

  close(): void {
    this.#isOut = true;
  }

  #print(at: number, rest: object): void {
    printJsonLine({ timestamp: showTime(at), at: new Date(at).toISOString(), ...rest, status: this.#status });
  }
}

/** The screen, redrawn at every change, at every interval, and when the terminal's size changes. */
class LiveView implements View {
  readonly #client: ClusterClient;
  readonly #nodeId: string | null;
  readonly #texts = new ChangeTexts();
  readonly #screen: Screen;
  #state: WatchState = { status: null, nodes: [], outSince: null, problem: null, events: [] };

  constructor(client: ClusterClient, nodeId: string | null) {
    this.#client = client;
    this.#nodeId = nodeId;
    this.#screen = new Screen((size) => watchScreen(this.#state, size, Date.now()));
  }

  async prepare(): Promise<void> {}

  changed(change: Change): void {
    if (change.kind === "disconnected") this.#state = { ...this.#state, outSince: change.at, problem: null };
    if (change.kind === "reconnected") this.#state = { ...this.#state, outSince: null };
    const events = [...this.#state.events, this.#texts.lineOf(change)].slice(-MAX_EVENTS);
    this.#state = { ...this.#state, events };
    this.#screen.draw();
    void this.refresh();
  }

  async refresh(): Promise<void> {
    try {
      const status = await viewedStatus(this.#client, this.#nodeId);
      const nodes = await listNodes(this.#client, await this.#client.situation());
      this.#state = { ...this.#state, status, nodes, problem: null };
    } catch (error) {
      // The title says that there is no connection.
      if (this.#state.outSince === null) this.#state = { ...this.#state, problem: messageOf(error) };
    }
    this.#screen.draw();
  }

  close(): void {
    this.#screen.close();
  }
}
