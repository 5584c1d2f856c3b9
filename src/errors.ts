/** The error that this library throws and rejects with. docs/reference.md is generated from the comments. */
import { inspect, types } from "node:util";

/** What went wrong, for programs. The strings stay the same between versions; docs/reference.md has cause and remedy of each. */
export type ClusterErrorCode =
  /** An option or argument is invalid; the message quotes option, value and rule. Remedy: correct what the message names. */
  | "INVALID_CONFIG"
  /** The call needs a running node. Cause: `start()` was not called. Remedy: call `start()` first. */
  | "NOT_STARTED"
  /** `start()` was called while the node is running. Remedy: start each node once; it can be started again after `stop()`. */
  | "ALREADY_STARTED"
  /** The operation was ended by a `stop()` or `close()`, or came after it. Remedy: none, if the stop was intended. */
  | "STOPPED"
  /** Only the leader can do this. Cause: the term has ended, or another node leads. Remedy: send the request to the leader. */
  | "NOT_LEADER"
  /**
   * NATS cannot be reached. Cause: no server at the address, a network failure, or a TLS problem, which the message names.
   * Remedy: check `servers`, the network and `tls`.
   */
  | "NO_CONNECTION"
  /**
   * The server refused the credentials, or a permission is missing. Remedy: check the credentials, or allow the subject that the
   * message names (examples/permissions).
   */
  | "AUTHORIZATION"
  /**
   * JetStream cannot be used. Cause: it is disabled for the server or the account, its API does not answer, or a cluster is still
   * starting. Remedy: enable JetStream, or wait until the servers are up; on a leaf node whose bucket is in another JetStream
   * domain, set the option `domain`.
   */
  | "JETSTREAM_UNAVAILABLE"
  /** The nats-server lacks what was asked for. Remedy: upgrade to the version that the message names. */
  | "SERVER_TOO_OLD"
  /**
   * The bucket exists with a configuration under which the rules of the lease do not hold. Remedy: change what the message
   * lists, or delete the bucket while no node runs.
   */
  | "BUCKET_INCOMPATIBLE"
  /** The bucket does not exist. Cause: it was deleted, or the cluster id is wrong. Remedy: correct the id, or start a node, which creates it. */
  | "BUCKET_MISSING"
  /** A read or write got no usable answer; its outcome is unknown. Remedy: repeat it; if it repeats, check the servers. */
  | "STORE_UNAVAILABLE"
  /** The server refuses the write for lack of storage or a limit of the account. Remedy: free storage or raise the limit. */
  | "INSUFFICIENT_RESOURCES"
  /** `onBecomeLeader` or leader work threw; `cause` is what it threw. Remedy: correct the hook. */
  | "HOOK_FAILED"
  /**
   * The named successor cannot take over; nothing was changed. Cause: it does not answer, does not compete or is not
   * connected. Remedy: name another node, or step down without a successor.
   */
  | "HANDOVER_REFUSED"
  /**
   * The write carries a smaller epoch than an earlier one: it was refused, as every later write of this term will be. The
   * message has both tokens. Cause: another node has become leader. Remedy: stop the work of this term.
   */
  | "STALE_EPOCH"
  /**
   * Nothing was written. Cause: a condition of the write does not hold, or another write is in flight. Remedy: read, then
   * decide again.
   */
  | "CONFLICT"
  /** A write got no usable answer: it may be applied now, later or never. Remedy: read before it is repeated. */
  | "OUTCOME_UNKNOWN"
  /** The stream does not exist, or its configuration does not allow what was asked for. Remedy: change what the message names. */
  | "STREAM_INCOMPATIBLE"
  /**
   * The virtual IP cannot be held. Cause: a missing privilege or interface, or another host that has the address. Remedy: as
   * the message says; see docs/vip.md.
   */
  | "VIP_FAILED"
  /**
   * The HTTP server cannot listen at its address. Cause: another process has the port, the address is not of this machine, or the user
   * may not use the port. Remedy: as the message says.
   */
  | "LISTEN_FAILED"
  /** `timeoutMs` passed. The operation itself continues, unless its documentation says otherwise. */
  | "TIMEOUT"
  /** The `signal` aborted; `cause` is its reason. The operation itself continues, unless its documentation says otherwise. */
  | "ABORTED";

export interface ClusterErrorOptions {
  readonly cause?: unknown;
  /** @default false */
  readonly recoverable?: boolean;
}

/**
 * @example
 * ```ts
 * try {
 *   await node.start();
 * } catch (error) {
 *   if (error instanceof ClusterError && error.recoverable) retryLater();
 *   else throw error;
 * }
 * ```
 */
export class ClusterError extends Error {
  override readonly name: string = "ClusterError";
  readonly code: ClusterErrorCode;
  /** May the same call succeed later without a change of configuration? */
  readonly recoverable: boolean;

  /**
   * @param message - What happened, to which thing, why, and what to do. Must not contain secrets.
   * @param options - `cause`, and `recoverable` (false).
   */
  constructor(code: ClusterErrorCode, message: string, options: ClusterErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.recoverable = options.recoverable ?? false;
  }
}

/** Longest text that is made of a thrown value. */
const MAX_MESSAGE = 16 * 1024;

/** The message of a thrown value, or a short description of one that is no error. Never throws, whatever was thrown. */
export function messageOf(thrown: unknown): string {
  const text = attempt(() => textOf(thrown)) ?? attempt(() => describe(thrown));
  if (text === undefined) return `a thrown ${typeof thrown} that cannot be shown`;
  return text.length <= MAX_MESSAGE ? text : `${text.slice(0, MAX_MESSAGE)}... [${text.length} characters]`;
}

/**
 * A thrown value as an `Error` whose name, message, stack and cause can be read. Anything else becomes the `cause` of one.
 * Never throws, whatever was thrown.
 */
export function asError(thrown: unknown): Error {
  const error = attempt(() => readableError(thrown));
  return error ?? new Error(messageOf(thrown), { cause: thrown });
}

/** Reading a property of a thrown value, or its prototype, can run code of the application, which can throw. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** Errors of other realms, such as those of a test runner's sandbox, are errors. */
function isError(thrown: unknown): thrown is Error {
  return types.isNativeError(thrown) || thrown instanceof Error;
}

function readableError(thrown: unknown): Error | undefined {
  if (!isError(thrown)) return undefined;
  // All four are read, so that the readers of the error can.
  const [name, message] = [thrown.name, thrown.message, thrown.stack, thrown.cause];
  return typeof name === "string" && typeof message === "string" ? thrown : undefined;
}

function textOf(thrown: unknown): string | undefined {
  if (typeof thrown === "string") return thrown;
  if (isError(thrown)) {
    const { message } = thrown;
    return typeof message === "string" ? message : undefined;
  }
  const text = String(thrown);
  return text.startsWith("[object ") ? undefined : text;
}

function describe(thrown: unknown): string {
  return inspect(thrown, {
    depth: 2,
    customInspect: false,
    maxArrayLength: 20,
    maxStringLength: 1_000,
    breakLength: Number.POSITIVE_INFINITY,
  });
}
