/** Operations on running nodes: handover, step-down, leave. */
import { ClusterError } from "../errors.ts";
import type { ClusterClient, NodeAnswer, Situation } from "./cluster-client.ts";
import { clustersText, knownClusters } from "./known-clusters.ts";

/** The result of a handover. */
export interface HandoverResult {
  readonly nodeId: string;
  readonly epoch: number;
  /** Node id of the previous leader; `null`: none, or the node itself. */
  readonly from: string | null;
  /** The node already led. */
  readonly already: boolean;
  /** Time from the request until the lease names the node and its own status shows that it leads. */
  readonly tookMs: number;
}

export type Demotion =
  | { readonly demoted: true; readonly epoch: number }
  /** The node did not lead. `leader`: the present leader, or `null`. */
  | { readonly demoted: false; readonly leader: string | null };

/** Moves the leadership to this node. Resolves when the lease names it and its own status shows that it leads. */
export async function handOver(
  client: ClusterClient,
  nodeId: string,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<HandoverResult> {
  const started = performance.now();
  const target = await client.askStatus(nodeId);
  if (target === "silent") throw silentDaemon(client, nodeId);
  if (target === "absent") throw await noDaemon(client, nodeId);
  if (target.status.competes === false) {
    throw new ClusterError(
      "HANDOVER_REFUSED",
      `node "${nodeId}" does not compete: it is an observer, or it left the cluster ("nats-leader join" reverses that)`,
    );
  }
  requireOne(target, "HANDOVER_REFUSED");
  const situation = await client.situation();
  const { leader, incarnation, lease } = situation;
  if (leader === nodeId && target.status.role === "PRIMARY") return result(target, null, true, started);
  if (leader === nodeId) refuseNoticedTwin(situation, "HANDOVER_REFUSED");
  if (leader === null || leader === nodeId) {
    // There is no leader to ask. The request ends the cooldown of the node; go-cluster's nodes do not support it.
    if (target.status.competes === true)
      await client.setCompeting(nodeId, true, client.timeoutMs).catch(ignore);
  } else {
    requireHolder(situation);
    await client.stepDown(leader, nodeId, timeoutMs, incarnation);
  }
  const remainingMs = Math.max(0, timeoutMs - (performance.now() - started));
  const answer = await client.untilLeads(nodeId, lease, remainingMs, signal);
  return result(answer, leader === nodeId ? null : leader, false, started);
}

function result(answer: NodeAnswer, from: string | null, already: boolean, started: number): HandoverResult {
  const { nodeId, epoch } = answer.status;
  return { nodeId, epoch, from, already, tookMs: Math.round((performance.now() - started) * 10) / 10 };
}

/**
 * Makes the node, by default the leader, step down; with `to`, only in favour of this node.
 * @throws ClusterError `HANDOVER_REFUSED` for a leader that runs go-cluster, which hands over to no named node.
 */
export async function stepDownNode(
  client: ClusterClient,
  nodeId: string,
  to: string | undefined,
  situation: Situation,
  timeoutMs: number,
): Promise<void> {
  const { record, leader, incarnation } = situation;
  const leads = nodeId === leader;
  if (to !== undefined && leads && record !== null && record.incarnation === undefined) {
    throw new ClusterError(
      "HANDOVER_REFUSED",
      `node "${nodeId}" leads and runs go-cluster, which hands over to no named node; nothing was changed. Without a ` +
        "successor it steps down, and any node that competes may lead next",
    );
  }
  if (leads) requireHolder(situation);
  await client.stepDown(nodeId, to, timeoutMs, leads ? incarnation : undefined);
}

/**
 * Makes the node step down, if it leads.
 * @throws ClusterError `BUCKET_MISSING` if neither a bucket nor a daemon of the node has this cluster id.
 */
export async function demoteNode(
  client: ClusterClient,
  nodeId: string,
  timeoutMs: number,
): Promise<Demotion> {
  const situation = await client.situation();
  const { leader, epoch, incarnation, holder } = situation;
  if (leader === null && !situation.lease.exists) await requireDaemon(client, nodeId);
  if (leader !== nodeId) return { demoted: false, leader };
  refuseNoticedTwin(situation, "INVALID_CONFIG");
  requireHolder(situation);
  // The other process of this node id might lead next, and the node would not be demoted.
  if (holder !== null) requireOne(holder, "INVALID_CONFIG");
  await client.stepDown(nodeId, undefined, timeoutMs, incarnation);
  return { demoted: true, epoch };
}

/**
 * Makes the node stop competing. Resolves to false if no daemon of the node runs.
 * @throws ClusterError `NO_CONNECTION` if its daemon does not answer, or a process that does not answer has the lease.
 */
export async function leaveCluster(
  client: ClusterClient,
  nodeId: string,
  timeoutMs: number,
): Promise<boolean> {
  const answer = await client.askStatus(nodeId);
  if (answer === "silent") throw silentDaemon(client, nodeId);
  if (answer !== "absent") requireOne(answer, "INVALID_CONFIG");
  const situation = await client.situation();
  const { leader, lease } = situation;
  if (leader === nodeId) {
    refuseNoticedTwin(situation, "INVALID_CONFIG");
    requireHolder(situation);
  }
  if (answer !== "absent") {
    await client.setCompeting(nodeId, false, timeoutMs);
    return true;
  }
  if (!lease.exists) throw await unknownCluster(client, nodeId);
  if (leader !== nodeId) return false;
  throw new ClusterError(
    "NO_CONNECTION",
    `node "${nodeId}" holds the lease and does not answer. ${expiry(lease)}`,
    { recoverable: true },
  );
}

/**
 * Makes a daemon that had left compete again. Without a daemon it does nothing.
 * @throws ClusterError `BUCKET_MISSING` if neither a bucket nor a daemon of the node has this cluster id.
 */
export async function joinCluster(client: ClusterClient, nodeId: string): Promise<void> {
  const answer = await client.askStatus(nodeId);
  if (answer === "silent") throw silentDaemon(client, nodeId);
  if (answer === "absent") {
    if (!(await client.lease()).exists) throw await unknownCluster(client, nodeId);
    return;
  }
  requireOne(answer, "INVALID_CONFIG");
  if (answer.noticed !== undefined) refuseNoticedTwin(await client.situation(), "INVALID_CONFIG");
  if (answer.status.competes === false) await client.setCompeting(nodeId, true, client.timeoutMs);
}

/** A request that changes a node must not reach two processes. */
export function requireOne({ status }: NodeAnswer, code: "HANDOVER_REFUSED" | "INVALID_CONFIG"): void {
  if (status.duplicate === undefined) return;
  throw new ClusterError(
    code,
    `two processes answer for node id "${status.nodeId}"; give each process its own nodeId ("nats-leader nodes" lists both)`,
  );
}

/** The process that answers has seen the one that has the lease: two processes have one node id, and the leader does not answer. */
function refuseNoticedTwin(
  { record, leader, twin }: Situation,
  code: "HANDOVER_REFUSED" | "INVALID_CONFIG",
): void {
  if (leader === null || record === null || twin === null || twin.noticed !== record.incarnation) return;
  throw new ClusterError(
    code,
    `two processes have node id "${leader}": the one that has the lease does not answer, and another one does. Nothing was ` +
      'changed; give each process its own nodeId ("nats-leader nodes" lists both)',
  );
}

/** Without it, a request would reach another process with the leader's node id. */
function requireHolder({ leader, twin, lease }: Situation): void {
  if (twin === null) return;
  throw new ClusterError(
    "NO_CONNECTION",
    `the process of node "${leader}" that has the lease does not answer: it has ended, or is frozen. Another process with this ` +
      `node id answers, and nothing was changed. ${expiry(lease)}`,
    { recoverable: true },
  );
}

function expiry({ ttlMs, ageMs }: Situation["lease"]): string {
  const leftMs = Math.max(0, Math.round(ttlMs - ageMs));
  return `If the lease is not renewed, it expires within ${leftMs} ms`;
}

function silentDaemon(client: ClusterClient, nodeId: string): ClusterError {
  return new ClusterError(
    "NO_CONNECTION",
    `the daemon of node "${nodeId}" of cluster "${client.clusterId}" is connected and gives no valid answer in time: it is ` +
      "frozen or overloaded. Nothing was changed: when it continues, it competes as before",
    { recoverable: true },
  );
}

async function requireDaemon(client: ClusterClient, nodeId: string): Promise<void> {
  if ((await client.askStatus(nodeId)) === "absent") throw await unknownCluster(client, nodeId);
}

/** Without a bucket and a daemon, the cluster id may be mistyped, or the account be another one. */
async function unknownCluster(client: ClusterClient, nodeId: string): Promise<ClusterError> {
  return new ClusterError(
    "BUCKET_MISSING",
    `there is no cluster "${client.clusterId}": it has no bucket, and no daemon of node "${nodeId}" answers in it. ` +
      (await noBucketTodo(client)),
    { recoverable: true },
  );
}

/** The remedy for a cluster without a bucket. */
export async function noBucketTodo(client: ClusterClient): Promise<string> {
  const others = clustersText(await knownClusters(client));
  return `Check the cluster id${others} and the account; for a new cluster, start a node, which creates the bucket`;
}

async function noDaemon(client: ClusterClient, nodeId: string): Promise<ClusterError> {
  const lease = await client.lease().catch(() => null);
  const missing = lease?.exists === false ? `. The cluster has no bucket. ${await noBucketTodo(client)}` : "";
  return new ClusterError(
    "NO_CONNECTION",
    `node "${nodeId}" of cluster "${client.clusterId}" does not answer: start it with "nats-leader daemon"${missing}`,
    { recoverable: true },
  );
}

function ignore(): void {}
