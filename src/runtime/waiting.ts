import { asError, ClusterError } from "../errors.ts";

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
 * Checks the `options` of a call, as far as they concern an abort. What is no signal has to be found before anything waits for it.
 *
 * @throws ClusterError `INVALID_CONFIG` for options that are no object, and for a `signal` that is no `AbortSignal`.
 */
export function checkOptions(options: { readonly signal?: AbortSignal | undefined }): void {
  const given: unknown = options;
  if (typeof given !== "object" || given === null) {
    throw new ClusterError("INVALID_CONFIG", `options must be an object, not ${kindOf(given)}`);
  }
  const signal: unknown = options.signal;
  if (signal === undefined || isAbortSignal(signal)) return;
  const hint = kindOf(signal) === "an AbortController" ? ": pass its property signal" : "";
  throw new ClusterError("INVALID_CONFIG", `signal must be an AbortSignal, not ${kindOf(signal)}${hint}`);
}

/** Also one of another realm, or of a polyfill. */
function isAbortSignal(value: unknown): value is AbortSignal {
  if (typeof value !== "object" || value === null) return false;
  const { aborted, addEventListener, removeEventListener } = value as Partial<AbortSignal>;
  return (
    typeof aborted === "boolean" &&
    typeof addEventListener === "function" &&
    typeof removeEventListener === "function"
  );
}

/** What a value is, for a message. */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (value instanceof AbortController) return "an AbortController";
  return typeof value === "object" ? "another object" : `a ${typeof value}`;
}

/**
 * The limit of a wait in milliseconds; infinite without one.
 *
 * @throws ClusterError `INVALID_CONFIG` for anything but a number of 0 or more, and as `checkOptions()` does.
 */
export function limitOf(options: WaitOptions): number {
  checkOptions(options);
  const { timeoutMs } = options;
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

/**
 * Settles as `promise` does, or rejects as soon as the signal aborts, with the error that `onAbort` makes of the reason of the abort.
 * What the promise waits for goes on.
 */
export function untilAborted<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
  onAbort: (reason: unknown) => Error = asError,
): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const end = (): void => reject(onAbort(signal.reason));
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", end));
    if (signal.aborted) end();
    else signal.addEventListener("abort", end, { once: true });
  });
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
