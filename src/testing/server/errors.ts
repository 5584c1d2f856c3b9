/** What went wrong with a nats-server that was looked for or started here. */
export type NatsServerErrorCode =
  /** no source gave a binary; `message` lists each one and why */
  | "not_found"
  /** a binary or `NATS_SERVER` was named, but does not run or is not a nats-server */
  | "bad_binary"
  /** the server ended before it was ready; its last log lines are in the message */
  | "start_failed"
  /** the server was alive but not ready within `startTimeoutMs`; it was ended */
  | "start_timeout"
  /** a port it needs is taken, and the port was given or was its own before a restart */
  | "port_in_use"
  /** the call needs a running server */
  | "not_running"
  /** the handle was disposed: its private folder is gone, it can't be started again */
  | "disposed"
  /** testcontainers or its container engine is missing or refused */
  | "backend_unavailable";

/** The one error of this module. `cause` keeps the error underneath, where there is one. */
export class NatsServerError extends Error {
  readonly code: NatsServerErrorCode;

  constructor(code: NatsServerErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.name = "NatsServerError";
    this.code = code;
  }
}

/** The message of anything that was thrown, on one line. */
export function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replaceAll(/\s+/g, " ").trim();
}
