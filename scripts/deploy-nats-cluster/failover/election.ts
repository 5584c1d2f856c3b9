/** Two nodes of one election in this process, and how often its leader changed. */

import type { NatsConnection } from "@nats-io/transport-node";
import { Node, type NodeOptions } from "../../../src/index.ts";
import { historyStream, streamName } from "../../../src/nats/names.ts";
import { poll } from "../../../src/testing/server/run/wait.ts";
import { DeployError } from "../errors.ts";
import { ApiRefusal, call } from "../migrate/api.ts";
import type { Login } from "../migrate/source.ts";

export const CLUSTER_ID = "failover-test";
const NODE_IDS = ["a", "b"] as const;
const LEADER_MS = 60_000;
const NO_STREAM = 10059;

export interface ElectionCounts {
  /** Terms that began after the first one. */
  readonly leaderChanges: number;
  /** Terms that ended. */
  readonly termsLost: number;
  /** Times that a term was suspended and went on: its connection to NATS was lost with the server. No leader change. */
  readonly suspensions: number;
}

export class Election {
  readonly #nodes: readonly Node[];
  readonly #reading: readonly Promise<void>[];
  #began = 0;
  #lost = 0;
  #suspended = 0;
  #final: ElectionCounts | null = null;

  private constructor(nodes: readonly Node[]) {
    this.#nodes = nodes;
    this.#reading = nodes.map((node) => this.#read(node));
  }

  /** Resolves when one of the nodes leads. Rejects with the signal's reason on abort. */
  static async start(login: Login, signal?: AbortSignal): Promise<Election> {
    const { urls, user, pass, credsFile, ca } = login;
    const options: Omit<NodeOptions, "nodeId"> = {
      clusterId: CLUSTER_ID,
      servers: [...urls],
      logger: false,
      ...(user === undefined || pass === undefined ? {} : { user, pass }),
      ...(credsFile === undefined ? {} : { credsFile }),
      ...(ca === undefined ? {} : { tls: { ca } }),
    };
    const nodes = NODE_IDS.map((nodeId) => new Node({ ...options, nodeId }));
    const election = new Election(nodes);
    try {
      for (const node of nodes) await node.start();
      await election.held(signal);
      return election;
    } catch (error) {
      await election.stop();
      throw error;
    }
  }

  /** Deletes what an election leaves. No node may run. */
  static async remove(nats: NatsConnection): Promise<void> {
    for (const stream of [streamName(CLUSTER_ID), historyStream(CLUSTER_ID)]) {
      await call(nats, `$JS.API.STREAM.DELETE.${stream}`).catch((error: unknown) => {
        if (!(error instanceof ApiRefusal && error.code === NO_STREAM)) throw error;
      });
    }
  }

  /** Resolves when a term is held: after the loss of its connection a leader first renews its lease. */
  async held(signal?: AbortSignal): Promise<void> {
    const found = await poll(async () => this.#nodes.find((node) => node.isLeader()), {
      timeoutMs: LEADER_MS,
      signal,
    });
    if (found === undefined) throw new DeployError(`no node leads after ${LEADER_MS / 1000} s`);
  }

  get counts(): ElectionCounts {
    return (
      this.#final ?? {
        leaderChanges: Math.max(0, this.#began - 1),
        termsLost: this.#lost,
        suspensions: this.#suspended,
      }
    );
  }

  /** Counts what happened until now, and stops the nodes. */
  async stop(): Promise<ElectionCounts> {
    this.#final = this.counts;
    await Promise.all(this.#nodes.map((node) => node.stop()));
    await Promise.all(this.#reading);
    return this.#final;
  }

  async #read(node: Node): Promise<void> {
    for await (const event of node.events()) {
      if (event.type === "become-leader") this.#began++;
      if (event.type === "lose-leadership") this.#lost++;
      if (event.type === "suspended") this.#suspended++;
    }
  }
}
