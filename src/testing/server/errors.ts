import { messageOf } from "../../errors.ts";

/** Why a nats-server could not be found, started or used. */
export type NatsServerErrorCode =
  /** no source provided a binary; `message` lists each source and the reason */
  | "not_found"
  /** the given binary, or that of `NATS_SERVER`, does not run or is not a nats-server */
  | "bad_binary"
  /** the server exited before it was ready; the message contains its last log lines */
  | "start_failed"
  /** the server was not ready within `startTimeoutMs` and was killed */
  | "start_timeout"
  /** a port is in use that was given in the options, or that the server had before a restart */
  | "port_in_use"
  /** the call needs a running server */
  | "not_running"
  /** the handle was disposed: its private folder is deleted, and it cannot be started again */
  | "disposed"
  /** testcontainers or its container engine is missing or refused the request */
  | "backend_unavailable";

/** The error of all functions that find and run nats-servers. `cause` is the underlying error, if any. */
export class NatsServerError extends Error {
  readonly code: NatsServerErrorCode;

  constructor(code: NatsServerErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.name = "NatsServerError";
    this.code = code;
  }
}

/** The message of any thrown value, on one line. */
export function reasonOf(error: unknown): string {
  const text = messageOf(error);
  return text.replaceAll(/\s+/g, " ").trim();
}
