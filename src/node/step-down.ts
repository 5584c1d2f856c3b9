/** Whether a named successor can take over. */
import type { ResolvedOptions } from "../config/resolve.ts";
import { ClusterError } from "../errors.ts";
import { isId } from "../nats/identity.ts";
import type { Attachment } from "../runtime/backend.ts";
import { limitOf, untilAborted, type WaitOptions } from "../runtime/waiting.ts";

/**
 * @throws ClusterError `INVALID_CONFIG` if `to` is no node id; `HANDOVER_REFUSED` if the node does not answer, does not compete or is not
 * connected; `TIMEOUT` or `ABORTED` by the limits.
 */
export async function checkSuccessor(
  to: string,
  { nodeId, requestTimeoutMs }: ResolvedOptions,
  attachment: Attachment,
  limits: WaitOptions,
): Promise<void> {
  if (!isId(to)) throw new ClusterError("INVALID_CONFIG", `to must be a node id: 1 to 64 of A-Z a-z 0-9 _ -`);
  const refuse = (why: string): never => {
    throw new ClusterError("HANDOVER_REFUSED", `cannot hand over to node "${to}": ${why}`, {
      recoverable: true,
    });
  };
  if (to === nodeId) refuse("it is the leader already");
  const limitMs = limitOf(limits);
  const status = await untilAborted(
    attachment.statusOf(to, Math.min(requestTimeoutMs, limitMs)),
    limits.signal,
    (cause) =>
      new ClusterError("ABORTED", `aborted while waiting for an answer of node "${to}"`, {
        cause,
        recoverable: true,
      }),
  );
  if (status === null && limitMs < requestTimeoutMs) {
    throw new ClusterError("TIMEOUT", `timed out waiting for an answer of node "${to}"`, {
      recoverable: true,
    });
  }
  if (status === null)
    refuse(
      `it did not answer as a candidate within ${requestTimeoutMs} ms; is it running in this cluster, and as new as this node?`,
    );
  // A go-cluster node's status has no `competes`: all of them compete.
  else if (status.competes === false) refuse("it does not compete: it is an observer or has withdrawn");
  else if (status.duplicate !== undefined)
    refuse("two processes use this node id; give each process its own nodeId");
  else if (!status.connected) refuse("it is not connected to NATS");
}
