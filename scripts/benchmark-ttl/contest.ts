/** Two nodes with one TTL in this process, the record of their terms, and a client that writes to their bucket at a fixed rate. */
import type { NatsConnection } from "@nats-io/transport-node";
import { HeldLedger, largestOverlap } from "../../src/bench/held.ts";
import { hostNowMs } from "../../src/bench/messages.ts";
import type { ResolvedOptions } from "../../src/config/options.ts";
import { Node } from "../../src/index.ts";
import { bucketName, republishSubject } from "../../src/nats/names.ts";
import { type Deferred, deferred } from "../../src/runtime/waiting.ts";

const PROBE_EVERY_MS = 50;
const CALM_MS = 120_000;

export interface Round {
  readonly changes: number;
  readonly withoutLeaderMs: number;
  readonly writeStallMs: number;
}

/** Options of the nodes. */
export type ContestOptions = Pick<ResolvedOptions, "leaseTtlMs" | "crashDetection" | "silenceMs">;

export class Contest {
  readonly clusterId: string;
  readonly ttlMs: number;
  /** F. 0: none. */
  readonly silenceMs: number;
  readonly #nodes: readonly Node[];
  readonly #ledger = new HeldLedger();
  readonly #waiting = new Set<() => void>();
  readonly #probe: NodeJS.Timeout;
  #becomes = 0;
  #becomesBefore = 0;
  #renewals = 0;
  #lastAck = hostNowMs();
  #stall = 0;
  #failure: Error | null = null;

  private constructor(clusterId: string, options: ContestOptions, urls: string[], nats: NatsConnection) {
    this.clusterId = clusterId;
    this.ttlMs = options.leaseTtlMs;
    this.silenceMs = options.silenceMs;
    this.#nodes = ["a", "b"].map(
      (nodeId) => new Node({ clusterId, nodeId, servers: urls, ...options, logger: false }),
    );
    const inbox = `_INBOX.ttl_${process.pid}_${this.ttlMs}`;
    nats.subscribe(inbox, {
      callback: (_error, message) => {
        if (message.string().includes('"seq"')) this.#acked();
      },
    });
    nats.subscribe(republishSubject(clusterId), {
      callback: () => {
        this.#renewals += 1;
        this.#wake();
      },
    });
    this.#probe = setInterval(() => {
      if (!nats.isClosed())
        nats.publish(`$KV.${bucketName(clusterId)}.bench_probe`, undefined, { reply: inbox });
    }, PROBE_EVERY_MS);
  }

  /** Resolves when one of the two nodes leads. */
  static async start(
    clusterId: string,
    options: ContestOptions,
    urls: string[],
    nats: NatsConnection,
  ): Promise<Contest> {
    const contest = new Contest(clusterId, options, urls, nats);
    for (const node of contest.#nodes) {
      void contest.#follow(node);
      await node.start();
    }
    await contest.#until(() => contest.#leads());
    return contest;
  }

  overlapMs(): number {
    return largestOverlap(this.#ledger.intervals(hostNowMs()));
  }

  /** Resolves when a node leads and has renewed after this call. */
  async calm(): Promise<void> {
    const before = this.#renewals;
    await this.#until(() => this.#renewals > before && this.#leads());
  }

  /** Resolves on the next ack of the writing client. */
  async written(): Promise<void> {
    const since = hostNowMs();
    await this.#until(() => this.#lastAck > since);
  }

  beginRound(): void {
    this.#stall = 0;
    this.#becomesBefore = this.#becomes;
  }

  endRound(from: number): Round {
    return {
      changes: this.#becomes - this.#becomesBefore,
      withoutLeaderMs: this.#longestGap(from, hostNowMs()),
      writeStallMs: this.#stall,
    };
  }

  async stop(): Promise<void> {
    clearInterval(this.#probe);
    await Promise.all(this.#nodes.map((node) => node.stop()));
  }

  async #follow(node: Node): Promise<void> {
    for await (const event of node.events()) {
      const at = hostNowMs();
      if (event.type === "become-leader" || event.type === "resumed") {
        this.#ledger.hold(`${this.#nodes.indexOf(node)}`, event.term.epoch, at);
        if (event.type === "become-leader") this.#becomes += 1;
      } else if (event.type === "suspended" || event.type === "lose-leadership") {
        this.#ledger.release(`${this.#nodes.indexOf(node)}`, at);
      }
      this.#wake();
    }
  }

  #leads(): boolean {
    return this.#nodes.some((node) => node.isLeader());
  }

  #longestGap(from: number, until: number): number {
    const held = this.#ledger.intervals(until).sort((a, b) => a.from - b.from);
    let [longest, last] = [0, from];
    for (const one of held) {
      if (one.until <= from) continue;
      longest = Math.max(longest, one.from - last);
      last = Math.max(last, one.until);
    }
    return Math.max(longest, until - last);
  }

  #acked(): void {
    const now = hostNowMs();
    this.#stall = Math.max(this.#stall, now - this.#lastAck);
    this.#lastAck = now;
    this.#wake();
  }

  async #until(holds: () => boolean): Promise<void> {
    const giveUp = setTimeout(() => {
      this.#failure = new Error(`${this.clusterId}: no leader with a renewed lease within ${CALM_MS} ms`);
      this.#wake();
    }, CALM_MS);
    try {
      while (!holds()) {
        if (this.#failure !== null) throw this.#failure;
        const next: Deferred<void> = deferred();
        this.#waiting.add(next.resolve);
        await next.promise;
      }
    } finally {
      clearTimeout(giveUp);
    }
  }

  #wake(): void {
    for (const resolve of [...this.#waiting]) resolve();
    this.#waiting.clear();
  }
}
