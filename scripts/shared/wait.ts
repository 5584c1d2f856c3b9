import { setTimeout as sleep } from "node:timers/promises";

/** Long: on a busy machine a process may get no CPU for seconds, and only a wait that fails takes this long. */
const DEFAULT_MS = 15_000;

export interface WaitOptions {
  /** Default 15000. */
  readonly timeoutMs?: number;
  /** What is waited for; part of the error's message. A function is called only if the wait fails. */
  readonly message?: string | (() => string);
  /** Aborts the wait. */
  readonly signal?: AbortSignal;
}

export interface WaitForOptions extends WaitOptions {
  /** Pause between two calls. Default 10. */
  readonly intervalMs?: number;
}

type Falsy = undefined | null | false | 0 | "";

/** Calls `condition` until it returns a truthy value, and resolves with it. An error of `condition` ends the wait. */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  options: WaitForOptions = {},
): Promise<Exclude<T, Falsy>> {
  const deadline = performance.now() + (options.timeoutMs ?? DEFAULT_MS);
  for (;;) {
    options.signal?.throwIfAborted();
    const value = await condition();
    if (value) return value as Exclude<T, Falsy>;
    if (performance.now() >= deadline) throw timeoutError(options, "the condition");
    await sleep(
      options.intervalMs ?? 10,
      undefined,
      options.signal === undefined ? {} : { signal: options.signal },
    );
  }
}

/** Settles as `promise` does, or rejects after the timeout or when the signal aborts. */
export async function within<T>(promise: Promise<T>, options: WaitOptions = {}): Promise<T> {
  options.signal?.throwIfAborted();
  const ended = deferred<never>();
  const timer = setTimeout(
    () => ended.reject(timeoutError(options, "a promise")),
    options.timeoutMs ?? DEFAULT_MS,
  );
  const onAbort = (): void => ended.reject(options.signal?.reason);
  options.signal?.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([promise, ended.promise]);
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", onAbort);
  }
}

export interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(reason: unknown): void;
}

/** `Promise.withResolvers`, which Node 20 lacks. */
export function deferred<T = void>(): Deferred<T> {
  let resolve!: (value: T) => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<T>((res, rej) => {
    resolve = res;
    reject = rej;
  });
  return { promise, resolve, reject };
}

function timeoutError(options: WaitOptions, what: string): Error {
  const message = typeof options.message === "function" ? options.message() : (options.message ?? what);
  return new Error(`timed out after ${options.timeoutMs ?? DEFAULT_MS} ms waiting for ${message}`);
}
