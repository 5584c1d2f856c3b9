import { ClusterError } from "../errors.ts";
import type { Clock } from "./ports.ts";

/** Limits of a wait. Both may be given; the first to occur ends it. */
export interface WaitOptions {
  /** Ends the wait when it aborts: `ABORTED`. */
  readonly signal?: AbortSignal | undefined;
  /** Ends the wait after this many milliseconds: `TIMEOUT`. */
  readonly timeoutMs?: number | undefined;
}

/**
 * Settles as `promise` does, or rejects with `ABORTED` or `TIMEOUT` at a limit. The operation behind the promise continues.
 *
 * @param what - Completes "waiting for ..." in the error.
 */
export function within<T>(
  promise: Promise<T>,
  what: string,
  options: WaitOptions,
  clock?: Clock,
): Promise<T> {
  const { signal, timeoutMs } = options;
  if (signal === undefined && timeoutMs === undefined) return promise;
  return new Promise<T>((resolve, reject) => {
    const end = (): void => {
      cancel();
      signal?.removeEventListener("abort", onAbort);
    };
    const onAbort = (): void => {
      end();
      reject(
        new ClusterError("ABORTED", `aborted while waiting for ${what}`, {
          cause: signal?.reason,
          recoverable: true,
        }),
      );
    };
    const onTimeout = (): void => {
      end();
      reject(
        new ClusterError("TIMEOUT", `timed out after ${timeoutMs} ms waiting for ${what}`, {
          recoverable: true,
        }),
      );
    };
    const cancel = timeoutMs === undefined ? (): void => {} : startTimer(timeoutMs, onTimeout, clock);
    // Also after an early end of the wait: an unhandled rejection would end the process.
    promise.then(resolve, reject).finally(end);
    if (signal?.aborted === true) onAbort();
    else signal?.addEventListener("abort", onAbort, { once: true });
  });
}

/** Longest delay of a platform timer. A longer one fires at once. */
export const MAX_TIMER_MS: number = 2 ** 31 - 1;

function startTimer(ms: number, fire: () => void, clock: Clock | undefined): () => void {
  if (ms > MAX_TIMER_MS) return () => {};
  if (clock !== undefined) return clock.setTimer(ms, fire);
  const timer = setTimeout(fire, ms);
  return () => clearTimeout(timer);
}

/**
 * The limit of a wait in milliseconds; infinite without one.
 *
 * @throws ClusterError `INVALID_CONFIG` for anything but a number of 0 or more.
 */
export function limitOf({ timeoutMs }: WaitOptions): number {
  if (timeoutMs === undefined) return Number.POSITIVE_INFINITY;
  if (typeof timeoutMs === "number" && timeoutMs >= 0) return timeoutMs;
  throw new ClusterError(
    "INVALID_CONFIG",
    `timeoutMs ${String(timeoutMs)} must be a number of milliseconds from 0 to Infinity`,
  );
}

/** A promise with its `resolve` and `reject`. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
}

export function deferred<T>(): Deferred<T> {
  let resolve: (value: T) => void = () => {};
  let reject: (error: Error) => void = () => {};
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

/** Keeps the process alive for as long as a wait with a limit lasts; the timers of `SystemClock` do not. Returns the end. */
export function keepAlive(limitMs: number): () => void {
  if (limitMs > MAX_TIMER_MS) return () => {};
  const timer = setTimeout(() => {}, limitMs);
  return () => clearTimeout(timer);
}
