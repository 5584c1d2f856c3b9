/** The nodes of a cluster and their clocks, as they say themselves. */
import { ClusterError } from "../../errors.ts";
import type { ClusterClient, Situation } from "../../manager/cluster-client.ts";
import { listNodes, type NodeRow } from "../../manager/cluster-nodes.ts";
import { parseObject } from "../../nats/api/js-api.ts";
import { RequestFailure, request } from "../../nats/api/request.ts";
import { pingSubject } from "../../nats/names.ts";
import { askedNow } from "../clocks/clock.ts";
import type { ClockBook } from "../clocks/clock-book.ts";
import type { LeaseFacts, NodeFacts, Unseen } from "../facts.ts";
import { numberIn } from "./json.ts";

/** Every one costs two questions a look. */
const CLOCKS_LOOKED_AT = 100;

export interface NodesSeen {
  readonly lease: LeaseFacts | null;
  readonly nodes: readonly NodeFacts[] | null;
  readonly unseen: readonly Unseen[];
}

export class NodeSource {
  readonly #client: ClusterClient;
  readonly #book: ClockBook;
  /** Those whose clocks can be told apart. */
  #rows: readonly NodeRow[] = [];
  #mayPing = true;

  constructor(client: ClusterClient, book: ClockBook) {
    this.#client = client;
    this.#book = book;
  }

  async look(): Promise<NodesSeen> {
    const unseen: Unseen[] = [];
    const situation = await this.#situation(unseen);
    if (situation === null) return { lease: null, nodes: null, unseen };
    const rows = await this.#list(situation, unseen);
    const ids = rows.map(({ nodeId }) => nodeId);
    this.#rows = rows
      .filter(({ instance, nodeId }) => instance !== null && ids.filter((id) => id === nodeId).length === 1)
      .slice(0, CLOCKS_LOOKED_AT);
    await this.clocks();
    if (!this.#mayPing && this.#rows.length > 0) {
      unseen.push({
        what: "how the nodes' clocks are set",
        how: `allow this user to publish to ${pingSubject(this.#client.clusterId, "*")}`,
      });
    }
    const known = unseen.every(({ what }) => what !== NODES);
    return { lease: leaseOf(situation), nodes: known ? rows.map((row) => this.#factsOf(row)) : null, unseen };
  }

  /** Once more at every clock. Never rejects. */
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
      const pong = await request(monitor, subject, new Uint8Array(0), { timeoutMs });
      const timestamp = numberIn(parseObject(pong.data), "timestamp");
      if (timestamp !== null) this.#book.nodeWall(processOf(row), pinged, timestamp);
    } catch (thrown) {
      if (thrown instanceof RequestFailure && thrown.kind === "denied") this.#mayPing = false;
    }
  }

  /** Who may not ask the holder still may read the lease. `null`: nothing can be read; the bucket's facts say why. */
  async #situation(unseen: Unseen[]): Promise<Situation | null> {
    try {
      return await this.#client.situation();
    } catch (thrown) {
      const denied = thrown instanceof ClusterError && thrown.code === "AUTHORIZATION";
      if (denied) unseen.push({ what: "who leads", how: thrown.message });
      return null;
    }
  }

  async #list(situation: Situation, unseen: Unseen[]): Promise<readonly NodeRow[]> {
    try {
      return await listNodes(this.#client, situation);
    } catch {
      const how = `allow this user to publish to $SRV.INFO.cluster_${this.#client.clusterId} (examples/permissions/operator.conf)`;
      unseen.push({ what: NODES, how });
      return [];
    }
  }

  #factsOf(row: NodeRow): NodeFacts {
    return { ...row, clock: row.instance === null ? null : this.#book.ofNode(processOf(row)) };
  }

  /** Anew: with what was sampled since. */
  clocked(nodes: readonly NodeFacts[]): NodeFacts[] {
    return nodes.map((node) => this.#factsOf(node));
  }
}

const NODES = "which nodes there are";

/** A service's instance lives as long as its process, at most. */
function processOf({ nodeId, instance }: NodeRow): string {
  return `${nodeId} ${instance}`;
}

function leaseOf({ leader, epoch, record, holder, lease }: Situation): LeaseFacts {
  return {
    leader,
    epoch,
    holder: record?.nodeId ?? null,
    answers: record === null ? null : holder !== null,
    ageMs: Math.round(lease.ageMs),
    ttlMs: lease.ttlMs,
  };
}
