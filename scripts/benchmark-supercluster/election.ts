/** One node process in each region, competing for one lease, and the operations on them. */
import { setTimeout as pause } from "node:timers/promises";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { Fleet, type Member } from "../../src/bench/fleet.ts";
import { moveStreamLeader, waitForReplicas } from "../../src/bench/lease-stream.ts";
import { hostNowMs } from "../../src/bench/messages.ts";
import type { CrashDetection } from "../../src/index.ts";
import { stepdownSubject } from "../../src/nats/names.ts";
import type { Regions } from "../shared/regions.ts";

/** Longer than any round trip between regions, so that a node that stepped down is not the first to acquire. */
const COOLDOWN_MS = 1_000;
/** The default of 50 ms is shorter than a named successor's round trip: a nearer node would acquire first. */
export const SUCCESSOR_GRACE_MS = 500;
const ASK_MS = 10_000;
/** Shortly after a link was restored, the handover may reach the named successor too late. */
const HANDOVER_TRIES = 5;

export interface ElectionOptions {
  readonly regions: Regions;
  readonly clusterId: string;
  readonly ttlMs: number;
  readonly crashDetection: CrashDetection;
  readonly signal: AbortSignal;
}

export class Election {
  readonly fleet: Fleet;
  readonly #options: ElectionOptions;
  readonly #homes = new Map<string, string>();
  readonly #connections = new Map<string, NatsConnection>();

  private constructor(options: ElectionOptions) {
    this.#options = options;
    const { clusterId, ttlMs, crashDetection, signal } = options;
    this.fleet = new Fleet({
      clusterId,
      servers: [],
      leaseTtlMs: ttlMs,
      crashDetection,
      cooldownMs: COOLDOWN_MS,
      successorGraceMs: SUCCESSOR_GRACE_MS,
      signal,
    });
  }

  /** Starts the first region's node first, so that the bucket is created in its region. */
  static async start(options: ElectionOptions): Promise<Election> {
    const election = new Election(options);
    try {
      for (const region of options.regions.names) {
        const servers = options.regions.urls(region);
        const connection = await connect({ servers, maxReconnectAttempts: -1, noAsyncTraces: true });
        election.#connections.set(region, connection);
        election.addNode(region);
        await election.fleet.settled();
      }
      return election;
    } catch (error) {
      await election.dispose();
      throw error;
    }
  }

  addNode(region: string): void {
    this.#homes.set(this.fleet.add(this.#options.regions.urls(region)).id, region);
  }

  homeOf(nodeId: string): string {
    return this.#homes.get(nodeId) ?? "nowhere";
  }

  leaderRegion(): string {
    return this.homeOf(this.fleet.leader().id);
  }

  newestEpoch(): number {
    return this.fleet.terms.at(-1)?.epoch ?? 0;
  }

  /** Waits until no server is missing and all nodes see the same leader. Resolves with the stream leader's region. */
  async settled(): Promise<string> {
    await this.#options.regions.waitUntilComplete(this.#options.signal);
    const leader = await waitForReplicas(
      this.#anyConnection(),
      this.#options.clusterId,
      this.#options.signal,
    );
    await this.fleet.settled();
    return this.#options.regions.regionOf(leader);
  }

  async moveStreamTo(region: string): Promise<void> {
    const names = this.#options.regions.serversOf(region).map(({ name }) => name);
    await moveStreamLeader(this.#anyConnection(), this.#options.clusterId, names);
  }

  /** Hands over to the node of this region, unless it leads already. */
  async leadIn(region: string): Promise<void> {
    for (let tries = 0; this.leaderRegion() !== region; tries++) {
      const [to] = this.nodesIn(region);
      if (to === undefined || tries === HANDOVER_TRIES) {
        throw new Error(`handover to a node of ${region} failed ${tries} times`);
      }
      const epoch = this.newestEpoch();
      await pause(COOLDOWN_MS, undefined, { signal: this.#options.signal });
      await this.requestStepDown(to.id);
      await this.fleet.nextTerm(epoch, ASK_MS);
      await this.fleet.settled();
    }
  }

  /**
   * Sends the request from the leader's own region.
   * @param to Node id of the named successor.
   */
  async requestStepDown(to?: string): Promise<void> {
    const leader = this.fleet.leader();
    const connection = this.#connections.get(this.homeOf(leader.id));
    const subject = stepdownSubject(this.#options.clusterId, leader.id);
    const body = to === undefined ? undefined : JSON.stringify({ to });
    const answer = await connection?.request(subject, body, { timeout: ASK_MS });
    const { ok, error } = answer?.json<{ ok: boolean; error?: string }>() ?? { ok: false };
    if (!ok) throw new Error(`${leader.id} did not step down: ${error}`);
  }

  nodesIn(region: string): readonly Member[] {
    return this.fleet.members.filter(({ id, leaving }) => !leaving && this.homeOf(id) === region);
  }

  kill(member: Member): void {
    member.child.signal("SIGKILL");
    this.fleet.markDead(member, hostNowMs());
  }

  async dispose(): Promise<void> {
    await this.fleet.dispose();
    for (const connection of this.#connections.values()) await connection.close();
  }

  #anyConnection(): NatsConnection {
    const [connection] = this.#connections.values();
    if (connection === undefined) throw new Error("no region");
    return connection;
  }
}
