/** Whether a named successor can take over. */
import type { ResolvedOptions } from "../config/resolve.ts";
import { ClusterError } from "../errors.ts";
import type { Attachment } from "../runtime/backend.ts";

/** @throws ClusterError `HANDOVER_REFUSED` if the node does not answer, does not compete or is not connected. */
export async function checkSuccessor(
  to: string,
  { nodeId, requestTimeoutMs }: ResolvedOptions,
  attachment: Attachment,
): Promise<void> {
  const refuse = (why: string): never => {
    throw new ClusterError("HANDOVER_REFUSED", `cannot hand over to node "${to}": ${why}`, {
      recoverable: true,
    });
  };
  if (to === nodeId) refuse("it is the leader already");
  const status = await attachment.statusOf(to, requestTimeoutMs);
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
