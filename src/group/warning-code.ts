/** Every code of a `warning` of a group's member. docs/groups.md is generated from the comments. */

/** What a `warning` is about. The strings stay the same between versions; docs/groups.md has cause and remedy of each. */
export type GroupWarning =
  /**
   * Another running process has the `memberId` of this one, which waits until the session of the other is over, and owns nothing. The
   * other one does not report it. Cause: a configuration that was copied, or a predecessor that was not stopped. Remedy: give each
   * process its own `memberId`.
   */
  | "DUPLICATE_MEMBER_ID"
  /**
   * Another member has ended this member's session before its deadline and without a lost connection: the clock of one of the two is
   * wrong. All terms have ended, and two owners may have overlapped for a moment. Cause: a clock that is more than 5 % too fast, or a forged
   * record; the message names the writer. Remedy: check the clock of that host.
   */
  | "FENCED_EARLY"
  /** The bucket is gone; a member creates it again. Cause: the stream was deleted. Remedy: none; find out what deleted it. */
  | "BUCKET_MISSING"
  /** Another bucket stands under the same name. Cause: the stream was deleted and created again. Remedy: none; find out what deleted it. */
  | "BUCKET_RECREATED"
  /**
   * The bucket cannot be opened; the member owns nothing and tries again. Cause: as `error` says. Remedy: as for the code of `error`.
   */
  | "BUCKET_UNUSABLE"
  /** A key holds a message that is no record of a group. Cause: another program writes to the bucket. Remedy: remove its permission to do so. */
  | "GARBAGE_RECORD"
  /**
   * The bucket has lost records: numbers are smaller than seen before, and fences may refuse new owners. Cause: it was restored from a
   * backup, or lost with a server that kept it in memory or on one replica. Remedy: none; the next terms have larger epochs.
   */
  | "HISTORY_LOST"
  /**
   * Another member has another list of resources: what only one of them has may stay without an owner. Cause: a release under way, or a
   * configuration that differs. Remedy: none if it passes; else give all members one list.
   */
  | "LIST_DIFFERS"
  /**
   * The plan is too large for one message (900 kB); members share the resources without one, and not evenly. Cause: too many resources
   * with long names. Remedy: shorter names, or several groups.
   */
  | "PLAN_TOO_LARGE"
  /**
   * More than 16 resources are refused at a time, because their hooks or work have failed: the member gives everything up until
   * `rejoin()`. Cause: as the `hook-error` events say. Remedy: correct the hook or the work, and call `rejoin()`.
   */
  | "REFUSES_TOO_MANY"
  /**
   * A read or write got no answer; it is repeated. Cause: a stream election, an overloaded server, the network, or a missing permission;
   * `error` says which. Remedy: check the servers if it repeats; with code `AUTHORIZATION`, allow the subject that `error` names.
   */
  | "STORE_FAILING"
  /**
   * The connection works with limits: crashes are not detected early, or it can close for good. Cause: a missing permission, or a
   * passed-in connection with slow pings or a limit of reconnects. Remedy: as the message says.
   */
  | "SESSION"
  /** Operators cannot drain this member, nor move resources through it. Cause: a missing permission. Remedy: allow the subject that the message names. */
  | "SERVICE"
  /** The bucket works with limits. Cause: its configuration or the version of nats-server. Remedy: as the message says. */
  | "BUCKET"
  /**
   * A hook has not returned for long, and other hooks or work of its resource wait for it. Cause: a call in the hook without a time
   * limit. Remedy: give it one; start long work by `runOwned()`.
   */
  | "HOOK_SLOW"
  /**
   * Work of an earlier term of the resource has not ended although its signal has aborted; the work of the present term waits for it.
   * Cause: work that ignores its signal. Remedy: pass the signal on to whatever the work awaits.
   */
  | "WORK_BLOCKED"
  /**
   * A resource that is to be given up is kept, because its hook or work has not ended after `drainTimeoutMs`: no other member can own it.
   * Cause: work that ignores its signal. Remedy: pass the signal on to whatever the work awaits, or stop the member.
   */
  | "DRAIN_SLOW"
  /**
   * Round trips between the member and its server have become too long: for its promise of silence, which it no longer makes (if it
   * falls silent, its resources are taken over when its lease has expired), or for `crashDetection: "presence"` (`term.held` is then false
   * while the member renews the lease). Cause: a distant or overloaded server, or the network. Remedy: connect to a closer server, raise
   * `silenceMs`, or set `crashDetection: "lease"`, as the message says.
   */
  | "SLOW_CONNECTION"
  /** The source of resources has failed or ended; the member goes on with the last list. Cause: as `error` says. Remedy: restart the member, or make the source retry. */
  | "RESOURCES_FAILED"
  /**
   * The connection that was passed in was closed, or gave up reconnecting: the member stops. Cause: `close()`, or a limit of
   * reconnects. Remedy: pass a connection with `maxReconnectAttempts: -1`, and start the member again.
   */
  | "CONNECTION_CLOSED";
