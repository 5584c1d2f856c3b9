/** Every error this library throws or rejects with. */

/**
 * What went wrong, for programs. Strings stay the same between versions.
 *
 * - `INVALID_CONFIG` an option is wrong; the message quotes option, value and rule
 * - `NOT_STARTED` / `ALREADY_STARTED` / `STOPPED` the call does not fit the node's life
 * - `NOT_LEADER` only the leader can do this
 * - `NO_CONNECTION` NATS cannot be reached
 * - `AUTHORIZATION` the server refused the credentials or a permission is missing
 * - `JETSTREAM_UNAVAILABLE` JetStream is off for this account, or its API does not answer
 * - `SERVER_TOO_OLD` the server's version lacks what was asked for
 * - `BUCKET_INCOMPATIBLE` the bucket exists with a configuration under which the lease rules don't hold
 * - `BUCKET_MISSING` the bucket is gone
 * - `STORE_UNAVAILABLE` a read or write got no usable answer; its outcome is unknown
 * - `INSUFFICIENT_RESOURCES` the server has no storage left for the bucket
 * - `HOOK_FAILED` an application hook threw; `cause` has it
 * - `HANDOVER_REFUSED` the named successor cannot take over
 * - `STALE_EPOCH` a newer leader has been here: the write was refused, for good; the message has both tokens
 * - `CONFLICT` a condition of the write does not hold, or another write is in flight; nothing was written
 * - `OUTCOME_UNKNOWN` a write got no usable answer: it may be applied now, later, or never
 * - `STREAM_INCOMPATIBLE` the stream is missing, or its configuration does not allow what was asked for
 * - `VIP_FAILED` the virtual IP can't be had: no right, no interface, or another host has it; the message says which
 * - `TIMEOUT` / `ABORTED` the caller's limit ended the wait
 */
export type ClusterErrorCode =
  | "INVALID_CONFIG"
  | "NOT_STARTED"
  | "ALREADY_STARTED"
  | "STOPPED"
  | "NOT_LEADER"
  | "NO_CONNECTION"
  | "AUTHORIZATION"
  | "JETSTREAM_UNAVAILABLE"
  | "SERVER_TOO_OLD"
  | "BUCKET_INCOMPATIBLE"
  | "BUCKET_MISSING"
  | "STORE_UNAVAILABLE"
  | "INSUFFICIENT_RESOURCES"
  | "HOOK_FAILED"
  | "HANDOVER_REFUSED"
  | "STALE_EPOCH"
  | "CONFLICT"
  | "OUTCOME_UNKNOWN"
  | "STREAM_INCOMPATIBLE"
  | "VIP_FAILED"
  | "TIMEOUT"
  | "ABORTED";

export interface ClusterErrorOptions {
  readonly cause?: unknown;
  readonly recoverable?: boolean;
}

export class ClusterError extends Error {
  override readonly name = "ClusterError";
  readonly code: ClusterErrorCode;
  /** True when the same call may succeed later without a change by a person. */
  readonly recoverable: boolean;

  constructor(code: ClusterErrorCode, message: string, options: ClusterErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.recoverable = options.recoverable ?? false;
  }
}

/** The message of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** Anything that was thrown, as an `Error`. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
