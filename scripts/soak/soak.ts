/** The load of `main.ts`: one connection, on which nodes lead and follow all the time while others come and go. */
import { type EventEmitter, getEventListeners, setMaxListeners } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { type ClusterError, Node, type NodeOptions } from "../../src/index.ts";
import { keptBy } from "../shared/kept.ts";
import { waitFor } from "../shared/wait.ts";

export interface Plan {
  readonly cycles: number;
  readonly campaigns: number;
  readonly terms: number;
}

export interface Leftovers {
  /** Types of the active resources of the process. */
  readonly resources: readonly string[];
  readonly listeners: Readonly<Record<string, number>>;
}

/** Nodes that start and stop together, in few clusters: every cluster is a stream. */
const NODES_TOGETHER = 10;
const CLUSTERS = 5;
const CAMPAIGNS_TOGETHER = 50;
/** Nodes that lead again and again, each in a cluster of its own. */
const LEADERS = 4;
const WITHDRAW_EVERY = 20;

export class Soak {
  readonly #connection: NatsConnection;
  /** Its signal is passed to every call, as applications do. */
  readonly #application = new AbortController();
  readonly #leaders: Node[] = [];
  #follower: Node | null = null;
  #started = 0;
  #work: Promise<void>[] = [];
  #done = { cycles: 0, campaigns: 0, terms: 0 };

  private constructor(connection: NatsConnection) {
    this.#connection = connection;
    setMaxListeners(0, this.#application.signal);
  }

  static async on(url: string): Promise<Soak> {
    const connection = await connect({
      servers: url,
      pingInterval: 1000,
      maxPingOut: 2,
      maxReconnectAttempts: -1,
    });
    // The first request of a connection makes its inbox.
    await connection.request("soak").catch(() => {});
    return new Soak(connection);
  }

  get done(): Plan {
    return this.#done;
  }

  /** What is left of nodes and calls once they have ended. */
  async leftovers(): Promise<Leftovers> {
    // The answers of the last requests, and the ends of the last subscriptions, may be on their way.
    await this.#connection.flush();
    await pause(500);
    const listenersOf = (emitter: EventEmitter): number =>
      emitter.eventNames().reduce((total, name) => total + emitter.listenerCount(name), 0);
    return {
      resources: process.getActiveResourcesInfo().filter((type) => type !== "Immediate"),
      listeners: {
        ...keptBy(this.#connection),
        signal: getEventListeners(this.#application.signal, "abort").length,
        process: listenersOf(process),
      },
    };
  }

  async startNodes(): Promise<void> {
    for (let i = 0; i <= LEADERS; i++) {
      const leader = this.#node(`leader-${i}`, "a", { cooldownMs: 0 });
      await leader.start();
      await leader.campaign();
      this.#leaders.push(leader);
      this.#work.push(leader.runWhileLeader(untilAborted, { signal: this.#application.signal }));
    }
    this.#follower = this.#node(`leader-${LEADERS}`, "b");
    await this.#follower.start();
  }

  async stopNodes(): Promise<void> {
    await this.#follower?.stop();
    for (const leader of this.#leaders) await leader.stop();
    await Promise.all(this.#work);
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }

  async run({ cycles, campaigns, terms }: Plan): Promise<void> {
    const leading = this.#leaders.slice(0, LEADERS);
    await Promise.all([
      this.#cycles(cycles),
      this.#campaigns(campaigns),
      ...leading.map((leader, i) =>
        this.#terms(leader, Math.floor(terms / LEADERS) + (i < terms % LEADERS ? 1 : 0)),
      ),
    ]);
  }

  async #cycles(count: number): Promise<void> {
    for (let left = count; left > 0; left -= NODES_TOGETHER) {
      const size = Math.min(left, NODES_TOGETHER);
      await Promise.all(Array.from({ length: size }, () => this.#cycle()));
    }
  }

  /** One node from its start to its stop, with an iterator that ends by itself and one that the application leaves. */
  async #cycle(): Promise<void> {
    const { signal } = this.#application;
    const number = this.#started++;
    const node = this.#node(`cycle-${number % CLUSTERS}`, `n${number % NODES_TOGETHER}`);
    const toItsEnd = drain(node.events({ signal }));
    const untilStarted = firstOf(node.events({ signal }));
    await node.start({ signal });
    await untilStarted;
    const work = node.runWhileLeader(untilAborted, { signal });
    await node.campaign({ timeoutMs: 5, signal }).catch(expectLimit);
    await node.withdraw({ signal });
    await node.rejoin();
    await node.stop({ signal });
    await Promise.all([work, toItsEnd]);
    this.#done.cycles += 1;
  }

  async #campaigns(count: number): Promise<void> {
    for (let left = count; left > 0; left -= CAMPAIGNS_TOGETHER) {
      const size = Math.min(left, CAMPAIGNS_TOGETHER);
      await Promise.all(Array.from({ length: size }, (_, i) => this.#campaign(i)));
    }
  }

  /** A campaign of a follower, ended by its limit, its signal, or both; and a registration that is aborted. */
  async #campaign(kind: number): Promise<void> {
    const follower = this.#follower;
    if (follower === null) throw new Error("startNodes() first");
    const own = new AbortController();
    const { signal } = kind % 3 === 0 ? own : this.#application;
    const campaign = follower
      .campaign({ signal, ...(kind % 3 === 0 ? {} : { timeoutMs: 2 }) })
      .catch(expectLimit);
    const work = follower.runWhileLeader(untilAborted, { signal: own.signal });
    await pause(1);
    own.abort();
    await Promise.all([campaign, work]);
    this.#done.campaigns += 1;
  }

  /** Terms of one node, ended by a step-down or a withdrawal. */
  async #terms(leader: Node, count: number): Promise<void> {
    const { signal } = this.#application;
    for (let i = 1; i <= count; i++) {
      const term = await leader.campaign({ signal, timeoutMs: 60_000 });
      await term.untilHeld({ signal }).catch(expectLimit);
      if (i % WITHDRAW_EVERY === 0) {
        await leader.withdraw({ signal });
        await leader.rejoin();
      } else await leader.stepDown({ signal });
      this.#done.terms += 1;
    }
    await waitFor(() => leader.isLeader(), { timeoutMs: 60_000 });
  }

  #node(clusterId: string, nodeId: string, options: Partial<NodeOptions> = {}): Node {
    return new Node({ clusterId, nodeId, connection: this.#connection, logger: false, ...options });
  }
}

/** Leader work. */
function untilAborted(_: unknown, { signal }: { readonly signal: AbortSignal }): Promise<void> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

async function drain(events: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of events);
}

async function firstOf(events: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of events) return;
}

/** The limit, the abort or the term's end that a call was made with. Any other error ends the run. */
function expectLimit(error: ClusterError): void {
  if (!["TIMEOUT", "ABORTED", "NOT_LEADER"].includes(error.code)) throw error;
}
