/** A NATS request that also settles when the connection drops, the caller aborts, or the server denies it. */
import type { Msg, MsgHdrs } from "@nats-io/transport-node";
import { asError, ClusterError, messageOf } from "../../errors.ts";
import { MAX_TIMER_MS } from "../../runtime/waiting.ts";
import type { ConnectionMonitor } from "../connection/connection-monitor.ts";
import { inDomain } from "../names.ts";
import { grantHint } from "./grant-hint.ts";

export type RequestFailureKind =
  /** Not sent, or sent and the connection dropped before the answer. */
  | "disconnected"
  | "timeout"
  /** The subject has no subscriber. */
  | "no-responders"
  /** The user may not publish to the subject, or not subscribe to its inbox. */
  | "denied"
  | "aborted"
  | "failed";

/** A request without a valid answer. Whether it had an effect is unknown. */
export class RequestFailure extends Error {
  override readonly name = "RequestFailure";
  readonly kind: RequestFailureKind;
  readonly subject: string;

  constructor(kind: RequestFailureKind, subject: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
    this.subject = subject;
  }
}

export interface RequestOptions {
  readonly timeoutMs: number;
  readonly headers?: MsgHdrs;
  readonly signal?: AbortSignal;
  /** Where the answer is to arrive: a subject for this request alone. @default an inbox of the connection */
  readonly reply?: string;
}

/** Sends nothing while disconnected, else to the domain of the monitor (`inDomain()`). Rejects with `RequestFailure` only. */
export function request(
  monitor: ConnectionMonitor,
  to: string,
  data: Uint8Array,
  options: RequestOptions,
): Promise<Msg> {
  const { signal, headers, reply } = options;
  const subject = inDomain(to, monitor.domain);
  return new Promise<Msg>((resolve, reject) => {
    if (signal?.aborted === true) return reject(aborted(subject, signal));
    if (!monitor.connected) return reject(disconnected(subject, "not connected", null));
    const settled = (): void => {
      unlisten();
      signal?.removeEventListener("abort", onAbort);
    };
    const onAbort = (): void => {
      settled();
      if (signal !== undefined) reject(aborted(subject, signal));
    };
    const unlisten = monitor.listen((change) => {
      if (change.type !== "down" && change.type !== "closed") return;
      settled();
      reject(disconnected(subject, "the connection dropped before the answer", change.error));
    });
    signal?.addEventListener("abort", onAbort, { once: true });
    const timeout = Math.min(Math.max(1, Math.ceil(options.timeoutMs)), MAX_TIMER_MS);
    const more = reply === undefined ? {} : { noMux: true, reply };
    send(monitor, subject, data, { timeout, ...(headers === undefined ? {} : { headers }), ...more }).then(
      (answer) => {
        settled();
        resolve(answer);
      },
      (thrown: unknown) => {
        settled();
        reject(classify(subject, timeout, thrown));
      },
    );
  });
}

/** `async`: nats.js throws some failures synchronously. */
async function send(
  monitor: ConnectionMonitor,
  subject: string,
  data: Uint8Array,
  options: { timeout: number; headers?: MsgHdrs; noMux?: boolean; reply?: string },
): Promise<Msg> {
  return monitor.connection.request(subject, data, options);
}

/** A value as the body of a request. */
export function jsonBody(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

/** The remedy where JetStream runs behind a leaf node. */
export const OTHER_DOMAIN =
  "if it runs in another JetStream domain, behind a leaf node, set the option domain";

function aborted(subject: string, signal: AbortSignal): RequestFailure {
  return new RequestFailure("aborted", subject, "aborted", signal.reason);
}

function disconnected(subject: string, message: string, cause: Error | null): RequestFailure {
  return new RequestFailure("disconnected", subject, message, cause ?? undefined);
}

/** Classifies what nats.js threw. By name: a connection that was passed in may come from another installed nats.js. */
export function classify(subject: string, timeoutMs: number, thrown: unknown): RequestFailure {
  const error = asError(thrown);
  const names = [error.name, error.cause instanceof Error ? error.cause.name : ""];
  if (names.includes("PermissionViolationError")) return denied(subject, error);
  if (names.includes("NoResponders")) {
    return new RequestFailure("no-responders", subject, `no subscriber answers on ${subject}`, error);
  }
  if (names.includes("TimeoutError")) {
    return new RequestFailure("timeout", subject, `no answer within ${timeoutMs} ms`, error);
  }
  if (names.includes("ClosedConnectionError") || names.includes("DrainingConnectionError")) {
    return new RequestFailure("disconnected", subject, error.message, error);
  }
  return new RequestFailure("failed", subject, error.message, error);
}

function denied(subject: string, error: Error): RequestFailure {
  const text = error.cause instanceof Error ? error.cause.message : error.message;
  return new RequestFailure("denied", subject, text, error);
}

/** The `ClusterError` for a failed request. `doing` completes "cannot ...". */
export function failureToClusterError(failure: RequestFailure, doing: string): ClusterError {
  const { kind, subject, message } = failure;
  const options = { cause: failure, recoverable: true };
  switch (kind) {
    case "disconnected":
      return new ClusterError("NO_CONNECTION", `cannot ${doing}: ${message}`, options);
    case "timeout":
      return new ClusterError("STORE_UNAVAILABLE", `cannot ${doing}: ${message}`, options);
    case "no-responders": {
      if (subject.startsWith("$SYS.")) {
        return new ClusterError("STORE_UNAVAILABLE", `cannot ${doing}: ${message}`, options);
      }
      return new ClusterError(
        "JETSTREAM_UNAVAILABLE",
        `cannot ${doing}: ${whyNoJetStream(subject)}`,
        options,
      );
    }
    case "denied":
      return new ClusterError("AUTHORIZATION", `cannot ${doing}: ${message}; ${hintFor(failure)}`, {
        cause: failure,
      });
    case "aborted":
      return new ClusterError("ABORTED", `${doing}: aborted`, options);
    case "failed":
      return new ClusterError("STORE_UNAVAILABLE", `cannot ${doing}: ${message}`, options);
    default:
      return kind satisfies never;
  }
}

function whyNoJetStream(subject: string): string {
  const [, domain] = /^\$JS\.([^.]+)\.API\./.exec(subject) ?? [];
  if (domain !== undefined) {
    return (
      `JetStream domain "${domain}" does not answer (check the option domain, the leaf node connection to it, and that JetStream ` +
      "runs there with a leader)"
    );
  }
  const what = subject.startsWith("$JS.API.") ? "the JetStream API does not answer" : "no stream answers";
  return `${what} (JetStream is off on this server, or has no leader at the moment; ${OTHER_DOMAIN})`;
}

function hintFor({ subject, message }: RequestFailure): string {
  const denied = /Subscription to "([^"]+)"/i.exec(message)?.[1];
  return denied === undefined ? grantHint("publish", subject) : grantHint("subscribe", denied);
}

/** The `ClusterError` for any value that this layer throws. */
export function toClusterError(thrown: unknown, doing: string): ClusterError {
  if (thrown instanceof ClusterError) return thrown;
  if (thrown instanceof RequestFailure) return failureToClusterError(thrown, doing);
  return new ClusterError("STORE_UNAVAILABLE", `cannot ${doing}: ${messageOf(thrown)}`, {
    cause: thrown,
    recoverable: true,
  });
}
