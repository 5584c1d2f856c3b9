/** The names of everything that is logged: the `event` of a log line. docs/reference.md is generated from the comments. */

export type LogEvent =
  // ---------------------------------------------------------------------------------------------- a node
  /** info. The node takes part in the cluster, as leader or follower; `server` and `url` are the NATS server that it is connected to. */
  | "started"
  /** info. The node has released what it held and closed its connection. */
  | "stopped"
  /** info. This node leads; `epoch` is the fencing token of its term. */
  | "become-leader"
  /**
   * warn. The connection to NATS is lost, or no beat of the last `silenceMs` has come back through it (the line names the case): the
   * term goes on, but is not held until a renewal is confirmed. Not with `crashDetection: "lease"`. If it repeats, check the network,
   * the load of this machine and the servers' logs.
   */
  | "suspended"
  /** warn. A renewal that was sent after the suspension was confirmed: the term is held again. */
  | "resumed"
  /** warn. A term ended without having been given up; `reason` is a `LossReason`, `by` the new leader if it is known. */
  | "lose-leadership"
  /** info. A term is being given up; `reason` is `released`, `stopped` or `hook-failed`. The lease is renewed until the work has ended. */
  | "drain"
  /**
   * error. Hooks or leader work did not end within `drainTimeoutMs`: the lease is released while they may still run. Make
   * the work end when `term.signal` aborts, or raise `drainTimeoutMs`.
   */
  | "drain-timeout"
  /** info. The lease of a drained term is deleted or, with `deleted: false`, left to expire. */
  | "released"
  /** info. The leader changed; `leader` is its node id, `null` if there is none. */
  | "leader-change"
  /** warn. The connection to NATS is lost; the node reconnects. `server` and `url` are the server that it was on. */
  | "nats-disconnect"
  /** info. The connection to NATS is back, on `server` at `url`. */
  | "nats-reconnect"
  /** warn. A condition that needs attention; `code` is a `WarningCode`. `HOOK_SLOW`, `WORK_BLOCKED` and `CONNECTION_CLOSED` are logged as errors. */
  | "warning"
  /** error. A hook (`hook` is its name) or leader work (`hook` is `work`) threw; `err` is what it threw. */
  | "hook-error"
  /**
   * error. A step of the node failed; `during` names it, `err` says why. The node goes on with the next one. Cause: a defect of this
   * library. Remedy: report it.
   */
  | "internal-error"
  /**
   * warn. The built-in logger dropped `dropped` lines because stderr did not accept them: its reader is too slow or its disk is
   * full. The election is unaffected.
   */
  | "log-dropped"
  // ---------------------------------------------------------------------------------------------- a daemon
  /**
   * warn. The daemon waits for NATS, or for its JetStream, and tries again every second; `code` and the line say why. At most once in 30 s, if
   * the reason changes once in 5 s. Not with `--require-nats`.
   */
  | "nats-wait"
  /** warn. Terms are not being recorded, `err` says why; the election is unaffected. */
  | "history-failed"
  // ---------------------------------------------------------------------------------------------- the HTTP server
  /** info. The HTTP server listens; `url` is where. */
  | "http-listening"
  /** warn. Other machines can reach the HTTP server, and no token is required. Set a token, or listen on 127.0.0.1. */
  | "http-exposed"
  /** error. An HTTP request could not be answered; `err` says why. The client got status 500, and the server goes on. */
  | "http-failed"
  // ---------------------------------------------------------------------------------------------- the virtual IP
  /** info. The address is on this host. */
  | "vip-acquired"
  /** info. The address was removed from this host. */
  | "vip-released"
  /** warn. The address was removed because the term is suspended. */
  | "vip-suspended"
  /** warn. Another host (`owner`) still has the address: it is added when that host has removed it. */
  | "vip-waiting"
  /**
   * warn. Other hosts cannot be asked whether they still have the address, so a takeover waits for the rest of a lease. `why`
   * names the cause; the usual one is that the process lacks `CAP_NET_RAW`.
   */
  | "vip-blind"
  /** warn. The address could not be announced: other hosts find it when their neighbour caches expire. */
  | "vip-unannounced"
  /** error. The address could not be added or refreshed; the attempt is repeated. `why` has the answer of `ip`. */
  | "vip-failing"
  /** error. The address could not be removed; the kernel removes it before the lease expires. */
  | "vip-stuck"
  /** error. A listener that was passed to the virtual IP threw. */
  | "vip-listener";

export interface LogFields<Event extends string = LogEvent> {
  readonly event: Event;
  readonly [field: string]: unknown;
}

/** A `Logger` as this library writes to it: every line names its event. */
export interface EventLogger<Event extends string = LogEvent> {
  debug(fields: LogFields<Event>, message: string): void;
  info(fields: LogFields<Event>, message: string): void;
  warn(fields: LogFields<Event>, message: string): void;
  error(fields: LogFields<Event>, message: string): void;
}
