/** What is asked of running nodes: a handover, a step-down, to leave. */
import { ClusterError } from "../errors.ts";
import type { ClusterClient, NodeAnswer } from "./cluster-client.ts";

/** How a node came to lead. */
export interface HandoverResult {
  readonly nodeId: string;
  readonly epoch: number;
  /** Who led before; `null`: nobody, or the node itself. */
  readonly from: string | null;
  /** It led already. */
  readonly already: boolean;
  /** From the request until the node itself says that it leads. */
  readonly tookMs: number;
}

export type Demotion =
  | { readonly demoted: true; readonly epoch: number }
  /** It did not lead; whoever does, `null`: nobody. */
  | { readonly demoted: false; readonly leader: string | null };

/** Leadership goes to this node, from whoever has it. Resolves when the node itself says so. */
export async function handOver(
  client: ClusterClient,
  nodeId: string,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<HandoverResult> {
  const started = performance.now();
  const target = await client.statusOf(nodeId);
  if (target === null) throw noDaemon(client, nodeId);
  if (target.status.competes === false) {
    throw new ClusterError(
      "HANDOVER_REFUSED",
      `node "${nodeId}" does not compete: it has left ("nats-leader join" on it takes that back), or is an observer`,
    );
  }
  const { leader } = await client.situation();
  if (leader === nodeId && target.status.role === "PRIMARY") return result(target, null, true, started);
  if (leader === null || leader === nodeId) {
    // Nobody to ask. It may be cooling down after a step-down of its own: that is forgotten. Go's nodes can't be told.
    if (target.status.competes === true)
      await client.setCompeting(nodeId, true, client.timeoutMs).catch(ignore);
  } else {
    await client.stepDown(leader, nodeId, timeoutMs);
  }
  const left = Math.max(client.timeoutMs, timeoutMs - (performance.now() - started));
  const answer = await client.untilLeads(nodeId, left, signal);
  return result(answer, leader === nodeId ? null : leader, false, started);
}

function result(answer: NodeAnswer, from: string | null, already: boolean, started: number): HandoverResult {
  const { nodeId, epoch } = answer.status;
  return { nodeId, epoch, from, already, tookMs: Math.round((performance.now() - started) * 10) / 10 };
}

/** Gives leadership away, if the node has it. */
export async function demoteNode(
  client: ClusterClient,
  nodeId: string,
  timeoutMs: number,
): Promise<Demotion> {
  const { leader, epoch } = await client.situation();
  if (leader !== nodeId) return { demoted: false, leader };
  await client.stepDown(nodeId, undefined, timeoutMs);
  return { demoted: true, epoch };
}

/** The node does not compete any more. Returns whether a daemon was there to be told. */
export async function leaveCluster(
  client: ClusterClient,
  nodeId: string,
  timeoutMs: number,
): Promise<boolean> {
  const answer = await client.statusOf(nodeId);
  if (answer !== null) {
    await client.setCompeting(nodeId, false, timeoutMs);
    return true;
  }
  const { leader, lease } = await client.situation();
  if (leader !== nodeId) return false;
  throw new ClusterError(
    "NO_CONNECTION",
    `the lease names node "${nodeId}", which does not answer; unless it comes back, its lease runs out within ` +
      `${Math.max(0, Math.round(lease.ttlMs - lease.ageMs))} ms`,
    { recoverable: true },
  );
}

function noDaemon(client: ClusterClient, nodeId: string): ClusterError {
  return new ClusterError(
    "NO_CONNECTION",
    `node "${nodeId}" of cluster "${client.clusterId}" does not answer: start its daemon first ("nats-leader daemon")`,
    { recoverable: true },
  );
}

function ignore(): void {}
