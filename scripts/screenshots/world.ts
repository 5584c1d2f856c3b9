/** What the page is photographed with: a server, daemons that can be killed, more clusters, and a group. All of it is real. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Group } from "../../src/group/group.ts";
import { Node } from "../../src/node/node.ts";
import { startNatsServer } from "../../src/testing/server/run/start.ts";
import type { NatsServer } from "../../src/testing/server/types.ts";

/** The program, in the sources and in the compiled scripts. */
export const MAIN: string = fileURLToPath(
  new URL(`../../src/cli/main.${import.meta.url.endsWith(".ts") ? "ts" : "js"}`, import.meta.url),
);

export interface WorldOptions {
  /** Resources of the group. */
  readonly resources: number;
}

const DISOWN_MS = 300;
const MEMBERS = ["ingest-1", "ingest-2", "ingest-3", "ingest-4", "ingest-5"];

export class World implements AsyncDisposable {
  readonly server: NatsServer;
  readonly #daemons = new Map<string, ChildProcess>();
  readonly #nodes: Node[] = [];
  readonly members: Map<string, Group> = new Map();

  private constructor(server: NatsServer) {
    this.server = server;
  }

  static async start({ resources }: WorldOptions): Promise<World> {
    const world = new World(await startNatsServer());
    try {
      for (const node of ["fra-1", "fra-2", "nyc-1"]) await world.startDaemon("billing", node);
      for (const node of ["report-a", "report-b"]) await world.#node("reports", node, {});
      await world.#node("reports", "auditor", { observer: true });
      await world.#node("scheduler", "sched-1", {});
      for (const memberId of MEMBERS) await world.#member(memberId, resources);
    } catch (error) {
      await world[Symbol.asyncDispose]();
      throw error;
    }
    return world;
  }

  /** Resolves when its node has started. */
  async startDaemon(cluster: string, node: string): Promise<void> {
    const flags = ["--cluster-id", cluster, "--node-id", node, "--nats-url", this.server.url, "--json"];
    const child = spawn(process.execPath, [...process.execArgv, MAIN, "daemon", ...flags], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#daemons.set(node, child);
    for await (const data of child.stdout) if (String(data).includes("Daemon started")) break;
    child.stdout.resume();
  }

  /** Ends the process of a daemon. */
  async end(node: string, signal: NodeJS.Signals): Promise<void> {
    const child = this.#daemons.get(node);
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
    this.#daemons.delete(node);
  }

  async #node(clusterId: string, nodeId: string, options: { readonly observer?: boolean }): Promise<void> {
    const node = new Node({ clusterId, nodeId, servers: this.server.url, logger: false, ...options });
    this.#nodes.push(node);
    await node.start();
  }

  async #member(memberId: string, resources: number): Promise<void> {
    const options = {
      groupId: "sensors",
      memberId,
      servers: this.server.url,
      resources,
      settleMs: 500,
      logger: false,
    } as const;
    // Giving up a resource takes a moment, as real work does.
    const member = new Group(options, { onDisown: () => pause(DISOWN_MS) });
    this.members.set(memberId, member);
    await member.start();
  }

  /** The ids of the daemons that run. */
  get daemons(): string[] {
    return [...this.#daemons.keys()];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.members.values()].map((member) => member.stop()));
    await Promise.all(this.#nodes.map((node) => node.stop()));
    await Promise.all(this.daemons.map((node) => this.end(node, "SIGKILL")));
    await this.server.dispose();
  }
}
