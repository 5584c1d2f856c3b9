import { ClusterError } from "../errors.ts";

/** Limits of a wait. Both may be given; the first to occur ends it. */
export interface WaitOptions {
  /** Ends the wait when it aborts: `ABORTED`. */
  readonly signal?: AbortSignal | undefined;
  /** Ends the wait after this many milliseconds: `TIMEOUT`. */
  readonly timeoutMs?: number | undefined;
}

/** Longest delay of a platform timer, 24.8 days. With a longer one it fires after 1 ms. */
export const MAX_TIMER_MS: number = 2 ** 31 - 1;

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

/**
 * A signal that aborts with the first of `signals`, until `release()`. `AbortSignal.any` would leave a trace on each of them that
 * Node never removes.
 */
export function linkSignals(signals: readonly (AbortSignal | undefined)[]): {
  readonly signal: AbortSignal;
  readonly release: () => void;
} {
  const controller = new AbortController();
  const links = signals.flatMap((signal) => {
    if (signal === undefined) return [];
    const onAbort = (): void => controller.abort(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    return () => signal.removeEventListener("abort", onAbort);
  });
  return {
    signal: controller.signal,
    release: () => {
      for (const unlink of links) unlink();
    },
  };
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

/**
 * Keeps the process alive for as long as a wait with a limit lasts; the timers of `SystemClock` do not. A wait that is longer than
 * any timer counts as one without a limit. Returns the end.
 */
export function keepAlive(limitMs: number): () => void {
  if (limitMs > MAX_TIMER_MS) return () => {};
  const timer = setTimeout(() => {}, limitMs);
  return () => clearTimeout(timer);
}
