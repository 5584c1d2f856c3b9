/** Every code of a `warning`, of the election and of the backend. docs/reference.md is generated from the comments. */

/** What a `warning` is about. The strings stay the same between versions; docs/reference.md has cause and remedy of each. */
export type WarningCode =
  /**
   * Two running processes have the same `nodeId`; hooks, logs and requests by node id cannot distinguish them. Both report it.
   * Cause: a configuration that was copied, or a predecessor that was not stopped. Remedy: give each process its own `nodeId`.
   */
  | "DUPLICATE_NODE_ID"
  /**
   * The node does not campaign: it has seen an epoch so far above the revisions of this bucket that the other nodes would take a
   * record with a larger one for garbage. Cause: a client forged a record with a huge epoch, and the bucket was then recreated with
   * revisions from 1: by an administrator, or by a node on a server before 2.10. Remedy: remove that client's permission, stop all nodes, delete the bucket, reset the fences, and start.
   */
  | "EPOCH_EXHAUSTED"
  /**
   * The epoch of the leader, or of a lease that was released, is smaller than one seen before: the bucket lost its history, and a fence may refuse the new leader.
   * Cause: the bucket was deleted or restored from a backup, or lost with a server that kept it in memory or on one replica.
   * Remedy: stop the leader (`nats-leader stepdown`): a node that has seen the larger epoch continues above it.
   */
  | "EPOCH_REGRESSED"
  /** The bucket is gone; the node creates it again, and epochs continue above those it has seen. Cause: the stream was deleted. Remedy: none; find out what deleted it. */
  | "BUCKET_MISSING"
  /**
   * Another bucket stands under the same name; epochs continue above those the node has seen. Cause: the stream was deleted
   * and created again. Remedy: none; find out what deleted it.
   */
  | "BUCKET_RECREATED"
  /**
   * The bucket cannot be opened; the node does not lead and tries again. Cause: as `error` says: no connection to JetStream, a
   * missing permission, or an incompatible bucket. Remedy: as for the code of `error`.
   */
  | "BUCKET_UNUSABLE"
  /**
   * The key holds a message that is not a lease record; it is treated as the lease of an unknown holder and replaced when that
   * has expired, or at once by the leader whose record it has replaced. Cause: another program writes to the bucket. Remedy: remove its permission to do so.
   */
  | "GARBAGE_RECORD"
  /**
   * The lease of a drained term could not be deleted; the next leader waits until it expires. Cause: no connection to the
   * stream leader. Remedy: none; check the servers if it repeats.
   */
  | "RELEASE_FAILED"
  /**
   * Round trips between the leader and its server have become too long: for its promise of silence, which it no longer makes (a silent
   * leader is then replaced when its lease has expired), or for `crashDetection: "presence"` (`isLeader()` is then false while the node
   * renews the lease). Cause: a distant or overloaded server, or the network. Remedy: connect to a closer server, raise `silenceMs`,
   * or set `crashDetection: "lease"`, as the message says.
   */
  | "SLOW_CONNECTION"
  /**
   * A read or write of the lease got no answer; it is repeated. If it was a renewal, the term ends at its deadline. Cause: a
   * stream election, an overloaded server or the network. Remedy: check the servers if it repeats.
   */
  | "STORE_FAILING"
  /**
   * The micro service was not started, is incomplete or has ended: tools and handovers do not see the node, which goes on.
   * Cause: usually a missing permission. Remedy: allow the subject that the message names (examples/permissions).
   */
  | "SERVICE"
  /**
   * The connection works with limits: crashes are not detected early, it can close for good, or the server refuses the
   * credentials at a reconnect. Cause: a missing permission, a passed-in connection with slow pings or a limit of reconnects, or
   * expired credentials. Remedy: as the message says.
   */
  | "SESSION"
  /**
   * The bucket works with limits: fewer replicas than wanted, kept in memory, or without republish. Cause: its configuration
   * or the version of nats-server. Remedy: as the message says.
   */
  | "BUCKET"
  /**
   * A hook has not returned for long, and other hooks or leader work wait for it: a leader may do no work. Cause: a call in the
   * hook without a time limit. Remedy: give it one; start long work by `runWhileLeader()`.
   */
  | "HOOK_SLOW"
  /**
   * Leader work of an earlier term has not ended although its signal has aborted; the work of the present term waits for it.
   * Cause: work that ignores its signal. Remedy: pass the signal on to whatever the work awaits, or step down.
   */
  | "WORK_BLOCKED"
  /**
   * The connection that was passed in was closed, or gave up reconnecting: the node stops. Cause: `close()`, or a limit of
   * reconnects. Remedy: pass a connection with `maxReconnectAttempts: -1`, and start the node again.
   */
  | "CONNECTION_CLOSED";
