/** Finds the clusters and groups of an account, follows each, and puts what the page shows on a board. Writes nothing to NATS. */
import type { Subscription } from "@nats-io/transport-node";
import type { NodeOptions } from "../../config/resolve.ts";
import { asError, messageOf } from "../../errors.ts";
import { accountIds } from "../../manager/account-ids.ts";
import { ClusterClient } from "../../manager/cluster-client.ts";
import {
  groupStreamName,
  streamCreatedAdvisory,
  streamDeletedAdvisory,
  streamName,
} from "../../nats/names.ts";
import { type ClusterState, clusterCard, pastView } from "../model/cluster.ts";
import { doctorView, NOT_EXAMINED } from "../model/findings.ts";
import { LIMITS } from "../model/limits.ts";
import type { AccountView } from "../model/types.ts";
import type { Board } from "../server/board.ts";
import { ClusterFollower } from "./cluster-follower.ts";
import { DoctorRounds } from "./doctor-rounds.ts";
import { DueTimer } from "./due-timer.ts";
import { GroupFollower } from "./group-follower.ts";
import { Pacer } from "./pacer.ts";
import { showGroup } from "./show-group.ts";

/** Pause between two questions to the nodes of one cluster, with and without a viewer. */
const SURVEY_MS = 2_000;
const UNSEEN_SURVEY_MS = 15_000;
/** Clusters whose nodes are asked at the same time. */
const SURVEYS = 4;
/** Clusters and groups are listed this often; new ones are announced. */
const LIST_MS = 10_000;
/** After an announcement: the stream may not be listed yet. */
const ANNOUNCED_MS = 50;
const RETRY_MS = 2_000;

export interface AccountWatchOptions {
  /** The connection; its `clusterId` is of no importance. */
  readonly nodeOptions: NodeOptions;
  /** Time limit of each answer. */
  readonly timeoutMs: number;
  /** Shown also if they cannot be listed, or have no bucket yet. */
  readonly clusters: readonly string[];
  readonly groups: readonly string[];
  readonly board: Board;
  /** Whether a page is open. */
  readonly viewed: () => boolean;
  readonly control: boolean;
  readonly version: string;
}

export class AccountWatch {
  readonly #o: AccountWatchOptions;
  readonly #pacer = new Pacer(SURVEYS);
  readonly #list: DueTimer;
  readonly #retry: DueTimer;
  readonly #doctor: DoctorRounds;
  readonly #clusters = new Map<string, ClusterFollower>();
  readonly #groups = new Map<string, GroupFollower>();
  readonly #closing = new AbortController();
  #client: ClusterClient | null = null;
  #unlisten: (() => void) | null = null;
  #advisories: Subscription[] = [];
  #listing = false;
  #view: AccountView;

  constructor(options: AccountWatchOptions) {
    const { nodeOptions, timeoutMs, board, control, version } = options;
    this.#o = options;
    this.#list = new DueTimer(() => void this.#listAll());
    this.#retry = new DueTimer(() => void this.start().catch(() => {}));
    this.#doctor = new DoctorRounds({
      nodeOptions,
      timeoutMs,
      subjects: () => [
        ...[...this.#clusters.keys()].map((id) => `cluster/${id}`),
        ...[...this.#groups.keys()].map((id) => `group/${id}`),
      ],
      wanted: () => options.viewed() && this.#client?.monitor.connected === true,
      onState: (state) => board.set("doctor", doctorView(state)),
    });
    this.#view = {
      version,
      connected: false,
      outSince: null,
      problem: null,
      server: null,
      serverVersion: null,
      listed: false,
      clusters: 0,
      groups: 0,
      clustersLeftOut: 0,
      groupsLeftOut: 0,
      control,
    };
    board.set("account", this.#view);
    board.set("doctor", doctorView(NOT_EXAMINED));
  }

  /** Access to the account; `null` while there is none. */
  get client(): ClusterClient | null {
    return this.#client;
  }

  /**
   * Connects, and follows everything. Rejects if the first attempt fails, and tries again until `close()`.
   *
   * @throws ClusterError
   */
  async start(): Promise<void> {
    const { nodeOptions, timeoutMs } = this.#o;
    const { signal } = this.#closing;
    try {
      const client = await ClusterClient.connect(nodeOptions, { timeoutMs, signal });
      if (signal.aborted) return await client.close();
      this.#connected(client);
    } catch (thrown) {
      const outSince = this.#view.outSince ?? Date.now();
      this.#show({ connected: false, outSince, problem: messageOf(thrown) });
      this.#retry.in(RETRY_MS);
      throw asError(thrown);
    }
  }

  /** A viewer has come: what it sees is asked for now. */
  refresh(): void {
    for (const follower of this.#clusters.values()) follower.refresh();
    this.#doctor.start();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#retry.close();
    this.#list.close();
    this.#pacer.close();
    await this.#doctor.close();
    await this.#disconnect();
  }

  #connected(client: ClusterClient): void {
    this.#client = client;
    this.#unlisten = client.monitor.listen((change) => {
      if (change.type === "up") this.#onUp(client);
      if (change.type === "down" || change.type === "refused") {
        const outSince = this.#view.outSince ?? Date.now();
        const why = change.error?.message ?? "the connection to NATS is lost";
        this.#show({ connected: false, outSince, problem: why });
      }
      if (change.type !== "closed") return;
      void this.#disconnect();
      this.#retry.in(RETRY_MS);
    });
    const { connection } = client.monitor;
    const announced = (error: Error | null, subject: string): void => {
      // A user that may not hear of them sees new clusters at the next list.
      const stream = error === null ? (subject.split(".").at(-1) ?? "") : "";
      if (stream.startsWith(streamName("")) || stream.startsWith(groupStreamName(""))) {
        this.#list.in(ANNOUNCED_MS);
      }
    };
    this.#advisories = [streamCreatedAdvisory("*"), streamDeletedAdvisory("*")].map((subject) =>
      connection.subscribe(subject, {
        callback: (error, message) => announced(error, message?.subject ?? ""),
      }),
    );
    this.#onUp(client);
  }

  #onUp(client: ClusterClient): void {
    const { info } = client.monitor.connection;
    const server = info?.server_name ?? null;
    const serverVersion = info?.version ?? null;
    this.#show({ connected: true, outSince: null, problem: null, server, serverVersion });
    for (const follower of this.#groups.values()) follower.refresh();
    this.#list.in(0);
    this.#doctor.start();
  }

  async #disconnect(): Promise<void> {
    this.#unlisten?.();
    this.#unlisten = null;
    for (const one of this.#advisories) one.unsubscribe();
    this.#advisories = [];
    for (const follower of this.#groups.values()) follower.close();
    this.#groups.clear();
    const clusters = [...this.#clusters.values()];
    this.#clusters.clear();
    await Promise.all(clusters.map((follower) => follower.close()));
    const client = this.#client;
    this.#client = null;
    await client?.close();
  }

  async #listAll(): Promise<void> {
    const client = this.#client;
    if (client === null || this.#listing) return;
    this.#listing = true;
    try {
      const found = client.monitor.connected ? await accountIds(client) : null;
      if (found !== null) this.#follow(client, found.clusters, found.groups, null);
    } catch (error) {
      // Such as a user that may not list streams: what was named is shown.
      const problem = `clusters and groups cannot be listed: ${messageOf(error)}`;
      this.#follow(client, [...this.#clusters.keys()], [...this.#groups.keys()], problem);
    }
    this.#listing = false;
    this.#list.in(LIST_MS);
  }

  #follow(
    client: ClusterClient,
    clusters: readonly string[],
    groups: readonly string[],
    problem: string | null,
  ): void {
    if (client !== this.#client || this.#closing.signal.aborted) return;
    const allClusters = [...new Set([...this.#o.clusters, ...clusters])];
    const allGroups = [...new Set([...this.#o.groups, ...groups])];
    const shownClusters = new Set(allClusters.slice(0, LIMITS.clusters));
    const shownGroups = new Set(allGroups.slice(0, LIMITS.groups));
    for (const [id, follower] of this.#clusters) if (!shownClusters.has(id)) this.#dropCluster(id, follower);
    for (const [id, follower] of this.#groups) if (!shownGroups.has(id)) this.#dropGroup(id, follower);
    for (const id of shownClusters) if (!this.#clusters.has(id)) this.#addCluster(client, id);
    for (const id of shownGroups) if (!this.#groups.has(id)) this.#addGroup(client, id);
    this.#show({
      listed: true,
      problem: this.#view.connected ? problem : this.#view.problem,
      clusters: allClusters.length,
      groups: allGroups.length,
      clustersLeftOut: allClusters.length - shownClusters.size,
      groupsLeftOut: allGroups.length - shownGroups.size,
    });
  }

  #addCluster(client: ClusterClient, id: string): void {
    const follower = new ClusterFollower({
      client: client.of(id),
      pacer: this.#pacer,
      surveyMs: () => (this.#o.viewed() ? SURVEY_MS : UNSEEN_SURVEY_MS),
      onState: (state) => this.#showCluster(state),
    });
    this.#clusters.set(id, follower);
    follower.start();
    this.#doctor.start();
  }

  #addGroup(client: ClusterClient, groupId: string): void {
    const follower = new GroupFollower({
      client,
      groupId,
      mayKeep: (keys) => this.#keys() + keys <= LIMITS.groupKeys,
      show: (model, grid) => showGroup(this.#o.board, model, grid),
    });
    this.#groups.set(groupId, follower);
    follower.start();
    this.#doctor.start();
  }

  #keys(): number {
    return [...this.#groups.values()].reduce((sum, { keys }) => sum + keys, 0);
  }

  #dropCluster(id: string, follower: ClusterFollower): void {
    this.#clusters.delete(id);
    void follower.close();
    const { board } = this.#o;
    for (const key of [`cluster/${id}`, `cluster/${id}/past`, `lease/${id}`]) board.delete(key);
  }

  #dropGroup(id: string, follower: GroupFollower): void {
    this.#groups.delete(id);
    follower.close();
    const { board } = this.#o;
    for (const key of [`group/${id}`, `renewals/${id}`]) board.delete(key);
    board.deleteUnder(`group/${id}/`);
  }

  #showCluster(state: ClusterState): void {
    const { board } = this.#o;
    const key = `cluster/${state.id}`;
    board.set(key, clusterCard(state));
    board.set(`${key}/past`, pastView(state), key);
    if (state.lease === null) board.delete(`lease/${state.id}`);
    else board.set(`lease/${state.id}`, state.lease);
  }

  #show(change: Partial<AccountView>): void {
    this.#view = { ...this.#view, ...change };
    this.#o.board.set("account", this.#view);
  }
}
