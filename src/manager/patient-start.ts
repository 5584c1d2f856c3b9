/** A start that waits until NATS can be reached. */
import { setTimeout as pause } from "node:timers/promises";
import { ClusterError } from "../errors.ts";
import type { Logger } from "../log/logger.ts";

/** Between two attempts. */
const PAUSE_MS = 1_000;
const REPEAT_MS = 30_000;
const REPEAT_OTHER_MS = 5_000;

/** Errors of a start that NATS itself may end: it is not there yet, or its JetStream is not. */
const CODES: readonly string[] = ["NO_CONNECTION", "JETSTREAM_UNAVAILABLE", "STORE_UNAVAILABLE"];

export interface PatientStartOptions {
  readonly signal: AbortSignal;
  /** Gets a warning after the first failed attempt, and later at a bounded rate. */
  readonly log: Pick<Logger, "warn">;
}

/**
 * Repeats `start` while its error may pass by itself. Wrong credentials, TLS problems and an invalid configuration do not: they are thrown. When
 * `signal` aborts, the error of `start` is thrown.
 */
export async function startPatiently<T>(
  start: () => Promise<T>,
  { signal, log }: PatientStartOptions,
): Promise<T> {
  const beganAt = performance.now();
  let last: Reported | null = null;
  for (;;) {
    try {
      return await start();
    } catch (error) {
      if (signal.aborted || !mayPass(error)) throw error;
      const waitedMs = performance.now() - beganAt;
      const next = { atMs: waitedMs, message: error.message };
      if (isReportDue(last, next)) {
        last = next;
        log.warn(
          { event: "nats-wait", code: error.code, waitedMs: Math.round(waitedMs) },
          waitingText(error),
        );
      }
      // After an abort, the next attempt rejects with the error of an aborted start.
      await pause(PAUSE_MS, undefined, { signal }).catch(() => {});
    }
  }
}

export interface Reported {
  readonly atMs: number;
  readonly message: string;
}

/** The same reason once in 30 s, another one once in 5 s. */
export function isReportDue(last: Reported | null, next: Reported): boolean {
  if (last === null) return true;
  return next.atMs - last.atMs >= (next.message === last.message ? REPEAT_MS : REPEAT_OTHER_MS);
}

function mayPass(error: unknown): error is ClusterError {
  return error instanceof ClusterError && error.recoverable && CODES.includes(error.code);
}

function waitingText(error: ClusterError): string {
  return `waiting for NATS, tried again every second: ${error.message}`;
}
