/** The names of everything that a group's member logs: the `event` of a log line. docs/groups.md is generated from the comments. */
import type { EventLogger } from "../log/events.ts";

export type GroupLogEvent =
  /** info. The member takes part in the group; `resources` is the length of its list, `server` and `url` are the NATS server that it is on. */
  | "started"
  /** info. The member has released what it owned and closed its connection. */
  | "stopped"
  /** info. The member's session has begun: it can own resources. */
  | "session-begun"
  /** warn. The member's session is over, and with it all terms; `reason` says why. After `stop()`: info. */
  | "session-ended"
  /**
   * warn. The connection to NATS is lost, or no beat of the last `silenceMs` has come back through it (the line names the case): no term is
   * held until a renewal is confirmed. Not with `crashDetection: "lease"`.
   */
  | "suspended"
  /** warn. A renewal that was sent after the suspension was confirmed: the terms are held again. */
  | "resumed"
  /** info. What the member owns has changed: `owned` resources, `gained` and `lost` since the last line. At most two lines a second. */
  | "owned"
  /** debug. The member owns `resource`; `epoch` is the fencing token of its term. */
  | "own"
  /** debug. A term of `resource` has ended or is being given up; `reason` says why. */
  | "disown"
  /** debug. `resource` was given up; `successor` is to own it. error with `drain: "timed-out"`: its hooks or work may still run. */
  | "released"
  /** info. A member has joined or left, or has changed. */
  | "members"
  /** info. Another plan is in force; `coordinator` is the member that made it. */
  | "plan"
  /** info. This member has become the coordinator of the group, or is it no longer (`epoch` is `null`). */
  | "coordinating"
  /** warn. A resource cannot be moved to the member that was named; `reason` says why. */
  | "move-refused"
  /** warn. The connection to NATS is lost; the member reconnects. `server` and `url` are the server that it was on. */
  | "nats-disconnect"
  /** info. The connection to NATS is back, on `server` at `url`. */
  | "nats-reconnect"
  /** warn. A condition that needs attention; `code` says which. `HOOK_SLOW`, `WORK_BLOCKED`, `DRAIN_SLOW` and `CONNECTION_CLOSED` are logged as errors. */
  | "warning"
  /** error. A hook (`hook` is its name) or work (`hook` is `work`) threw; `err` is what it threw. */
  | "hook-error"
  /**
   * error. A step of the member failed; `during` names it, `err` says why. The member goes on with the next one. Cause: a defect of this
   * library. Remedy: report it.
   */
  | "internal-error";

export type GroupLogger = EventLogger<GroupLogEvent>;
