/** Reads the nodes of a cluster and their clocks through their micro services. */
import { ClusterError, messageOf } from "../../errors.ts";
import type { ClusterClient, Situation } from "../../manager/cluster-client.ts";
import { listNodes, type NodeRow } from "../../manager/cluster-nodes.ts";
import { parseObject } from "../../nats/api/js-api.ts";
import { RequestFailure, request } from "../../nats/api/request.ts";
import { pingSubject } from "../../nats/names.ts";
import { askedNow } from "../clocks/clock.ts";
import type { ClockBook } from "../clocks/clock-book.ts";
import type { ExaminedLease, ExaminedNode, Unseen } from "../facts.ts";
import { numberIn } from "./json.ts";

/** Each sample of a clock takes two requests. */
const CLOCKS_SAMPLED = 100;

export interface ExaminedNodes {
  readonly lease: ExaminedLease | null;
  readonly nodes: readonly ExaminedNode[] | null;
  readonly unseen: readonly Unseen[];
}

export class NodeReader {
  readonly #client: ClusterClient;
  readonly #book: ClockBook;
  readonly #expected: number;
  /** The nodes whose clocks are sampled: those with a unique node id. */
  #rows: readonly NodeRow[] = [];
  #mayPing = true;

  /** @param expected Number of nodes that are to exist. A node counts as missing only after the whole time limit of the client. */
  constructor(client: ClusterClient, book: ClockBook, expected: number) {
    this.#client = client;
    this.#book = book;
    this.#expected = expected;
  }

  async read(): Promise<ExaminedNodes> {
    const unseen: Unseen[] = [];
    const situation = await this.#situation(unseen);
    // Without a lease that can be read, the nodes that answer are all the more of interest.
    const rows = await this.#list(situation, unseen);
    const ids = rows.map(({ nodeId }) => nodeId);
    this.#rows = rows
      .filter(({ instance, nodeId }) => instance !== null && ids.filter((id) => id === nodeId).length === 1)
      .slice(0, CLOCKS_SAMPLED);
    await this.clocks();
    if (!this.#mayPing && this.#rows.length > 0) {
      unseen.push({
        what: "the wall clocks of the nodes",
        how: `allow this user to publish to ${pingSubject(this.#client.clusterId, "*")}`,
      });
    }
    const known = unseen.every(({ what }) => what !== NODES);
    const lease = situation === null ? null : leaseOf(situation);
    return { lease, nodes: known ? rows.map((row) => this.#factsOf(row)) : null, unseen };
  }

  /** Samples every clock again. Never rejects. */
  async clocks(): Promise<void> {
    await Promise.all(this.#rows.map((row) => this.#clock(row).catch(() => {})));
  }

  async #clock(row: NodeRow): Promise<void> {
    const { nodeId } = row;
    const asked = askedNow();
    const answer = await this.#client.statusOf(nodeId);
    if (answer !== null) this.#book.nodeUptime(processOf(row), asked, answer.status.uptimeMs);
    if (!this.#mayPing) return;
    const pinged = askedNow();
    try {
      const subject = pingSubject(this.#client.clusterId, nodeId);
      const { timeoutMs, monitor } = this.#client;
      const reply = this.#client.newReply();
      const pong = await request(monitor, subject, new Uint8Array(0), { timeoutMs, reply });
      const timestamp = numberIn(parseObject(pong.data), "timestamp");
      if (timestamp !== null) this.#book.nodeWall(processOf(row), pinged, timestamp);
    } catch (thrown) {
      if (thrown instanceof RequestFailure && thrown.kind === "denied") this.#mayPing = false;
    }
  }

  /** `null`: the lease cannot be read. The facts about the bucket have the reason. */
  async #situation(unseen: Unseen[]): Promise<Situation | null> {
    try {
      return await this.#client.situation();
    } catch (thrown) {
      const denied = thrown instanceof ClusterError && thrown.code === "AUTHORIZATION";
      if (denied) unseen.push({ what: "the leader", how: thrown.message });
      return null;
    }
  }

  async #list(situation: Situation | null, unseen: Unseen[]): Promise<readonly NodeRow[]> {
    try {
      return await listNodes(this.#client, situation, this.#expected);
    } catch (thrown) {
      const denied = thrown instanceof ClusterError && thrown.code === "AUTHORIZATION";
      const how = `allow this user to publish to $SRV.INFO.cluster_${this.#client.clusterId} ("nats-leader permissions operator --cluster-id ${this.#client.clusterId}" prints the whole set)`;
      unseen.push({ what: NODES, how: denied ? how : `examine it again: ${messageOf(thrown)}` });
      return [];
    }
  }

  #factsOf(row: NodeRow): ExaminedNode {
    return { ...row, clock: row.instance === null ? null : this.#book.ofNode(processOf(row)) };
  }

  /** Adds the clock samples that arrived since. */
  clocked(nodes: readonly ExaminedNode[]): ExaminedNode[] {
    return nodes.map((node) => this.#factsOf(node));
  }
}

const NODES = "the nodes of the cluster";

/** Identifies a process: a service instance does not outlive its process. */
function processOf({ nodeId, instance }: NodeRow): string {
  return `${nodeId} ${instance}`;
}

function leaseOf({ leader, epoch, record, holder, unasked, lease }: Situation): ExaminedLease {
  return {
    leader,
    epoch,
    holder: record?.nodeId ?? null,
    garbage: lease.entry?.kind === "garbage" ? lease.entry.reason : null,
    answers: record === null || unasked ? null : holder !== null,
    ageMs: Math.round(lease.ageMs),
    ttlMs: lease.ttlMs,
  };
}
