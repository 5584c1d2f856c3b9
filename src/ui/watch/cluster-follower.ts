/** Follows one cluster: its lease by messages, its nodes and its past terms by requests. Writes nothing. */
import { messageOf } from "../../errors.ts";
import type { ClusterClient } from "../../manager/cluster-client.ts";
import { listNodes } from "../../manager/cluster-nodes.ts";
import { type Change, ClusterWatch } from "../../manager/cluster-watch.ts";
import { readHistory } from "../../manager/history-reader.ts";
import { type ClusterEvent, type ClusterState, initialCluster, stepCluster } from "../model/cluster.ts";
import { LIMITS } from "../model/limits.ts";
import { DueTimer } from "./due-timer.ts";
import type { Pacer } from "./pacer.ts";

/** A leader records its term shortly after it began. */
const HISTORY_DELAY_MS = 400;
/** Before what has changed during a survey is asked for. */
const AGAIN_MS = 50;
const RETRY_MS = 1_000;

export interface ClusterFollowerOptions {
  /** Closed with the follower. */
  readonly client: ClusterClient;
  readonly pacer: Pacer;
  /** Pause between two questions to the nodes. */
  readonly surveyMs: () => number;
  readonly onState: (state: ClusterState) => void;
}

export class ClusterFollower {
  readonly #o: ClusterFollowerOptions;
  readonly #watch: ClusterWatch;
  readonly #survey: DueTimer;
  readonly #retry: DueTimer;
  #state: ClusterState;
  #surveying = false;
  /** Something has changed since the running survey began. */
  #again = false;
  /** Epoch up to which past terms were read; -1: not read. */
  #historyOf = -1;
  #changedAt = 0;
  #closed = false;

  constructor(options: ClusterFollowerOptions) {
    const { client, pacer } = options;
    this.#o = options;
    this.#state = initialCluster(client.clusterId);
    this.#survey = new DueTimer(() => {
      this.#surveying = true;
      pacer.add(() => this.#ask());
    });
    this.#retry = new DueTimer(() => void this.#begin());
    this.#watch = new ClusterWatch(
      client,
      (change) => this.#changed(change),
      (record, ageMs, ttlMs) => this.#step({ type: "record", record, ageMs, ttlMs }),
    );
  }

  start(): void {
    void this.#begin();
    this.#surveyIn(0);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#survey.close();
    this.#retry.close();
    await this.#watch.close();
    await this.#o.client.close();
  }

  /** Asks the nodes now, as when a viewer comes. */
  refresh(): void {
    this.#surveyIn(0);
  }

  async #begin(): Promise<void> {
    try {
      await this.#watch.start();
    } catch (error) {
      this.#step({ type: "unreadable", problem: messageOf(error) });
      this.#retry.in(RETRY_MS);
    }
  }

  #changed(change: Change): void {
    const ended = { type: "ended", successor: null, problem: null } as const;
    switch (change.kind) {
      case "leader":
        // The record itself has been reported.
        this.#changedAt = performance.now();
        break;
      case "released":
        this.#step({ ...ended, phase: "released", successor: change.successor });
        break;
      case "garbage":
        this.#step({ ...ended, phase: "garbage", problem: change.reason });
        break;
      case "expired":
      case "deleted":
      case "vacant":
        this.#step({ ...ended, phase: change.kind });
        break;
      case "failed":
        this.#step({ type: "unreadable", problem: change.error.message });
        break;
      case "disconnected":
        return;
      case "reconnected":
        break;
      default:
        change satisfies never;
    }
    this.#surveyIn(0);
  }

  #step(event: ClusterEvent): void {
    if (this.#closed) return;
    this.#state = stepCluster(this.#state, event, Date.now());
    this.#o.onState(this.#state);
  }

  #surveyIn(ms: number): void {
    if (this.#surveying) this.#again = true;
    else this.#survey.in(ms);
  }

  async #ask(): Promise<void> {
    this.#again = false;
    try {
      await this.#askNodes();
    } catch (error) {
      this.#step({ type: "nodes-failed", problem: messageOf(error) });
    }
    this.#surveying = false;
    this.#surveyIn(this.#again ? AGAIN_MS : this.#o.surveyMs());
  }

  async #askNodes(): Promise<void> {
    const { client } = this.#o;
    // While there is no connection, each question would wait for its time limit.
    if (this.#closed || !client.monitor.connected) return;
    const askedAt = Date.now();
    const situation = await client.situation().catch(() => null);
    const rows = await listNodes(client, situation);
    this.#step({ type: "nodes", askedAt, rows });
    const { epoch } = this.#state;
    if (situation === null || epoch === this.#historyOf) return;
    if (this.#historyOf >= 0 && performance.now() - this.#changedAt < HISTORY_DELAY_MS) {
      this.#again = true;
      return;
    }
    const history = await readHistory(client, situation, LIMITS.termsPerCluster + 1);
    this.#historyOf = epoch;
    this.#step({ type: "history", history });
  }
}
