import { ClusterError } from "../errors.ts";
import type { Clock } from "./ports.ts";

/** Limits of a wait. Both may be given; whichever comes first ends it. */
export interface WaitOptions {
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number | undefined;
}

/**
 * Settles as `promise` does, unless the limit comes first: then rejects with `ABORTED` or `TIMEOUT`, whose message names
 * what was waited for. The promise itself goes on.
 */
export function within<T>(promise: Promise<T>, what: string, limits: WaitOptions, clock?: Clock): Promise<T> {
  const { signal, timeoutMs } = limits;
  if (signal === undefined && timeoutMs === undefined) return promise;
  return new Promise<T>((resolve, reject) => {
    const end = (): void => {
      cancel();
      signal?.removeEventListener("abort", onAbort);
    };
    const onAbort = (): void => {
      end();
      reject(new ClusterError("ABORTED", `${what}: aborted`, { cause: signal?.reason, recoverable: true }));
    };
    const onTimeout = (): void => {
      end();
      reject(new ClusterError("TIMEOUT", `${what}: not within ${timeoutMs} ms`, { recoverable: true }));
    };
    const cancel = timeoutMs === undefined ? (): void => {} : startTimer(timeoutMs, onTimeout, clock);
    // Also when the wait is over before it began: a rejection that nobody hears of would end the process.
    promise.then(resolve, reject).finally(end);
    if (signal?.aborted === true) onAbort();
    else signal?.addEventListener("abort", onAbort, { once: true });
  });
}

function startTimer(ms: number, fire: () => void, clock: Clock | undefined): () => void {
  if (clock !== undefined) return clock.setTimer(ms, fire);
  const timer = setTimeout(fire, ms);
  return () => clearTimeout(timer);
}

/** A promise and the means to settle it from outside. */
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
