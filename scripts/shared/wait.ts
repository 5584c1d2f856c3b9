import { setTimeout as sleep } from "node:timers/promises";

/** Long: on a busy machine a process may get no CPU for seconds, and only a wait that fails takes this long. */
const DEFAULT_MS = 15_000;

export interface WaitOptions {
  /** Default 15000. */
  readonly timeoutMs?: number;
  /** What was waited for; ends up in the error. A function is called when the wait has failed. */
  readonly message?: string | (() => string);
  /** Ends the wait with its reason. */
  readonly signal?: AbortSignal;
}

export interface WaitForOptions extends WaitOptions {
  /** Pause between two looks. Default 10. */
  readonly intervalMs?: number;
}

type Falsy = undefined | null | false | 0 | "";

/** Calls `look` until it answers something truthy, and resolves with that. What `look` throws ends the wait at once. */
export async function waitFor<T>(
  look: () => T | Promise<T>,
  options: WaitForOptions = {},
): Promise<Exclude<T, Falsy>> {
  const deadline = performance.now() + (options.timeoutMs ?? DEFAULT_MS);
  for (;;) {
    options.signal?.throwIfAborted();
    const seen = await look();
    if (seen) return seen as Exclude<T, Falsy>;
    if (performance.now() >= deadline) throw timeoutError(options, "the condition");
    await sleep(
      options.intervalMs ?? 10,
      undefined,
      options.signal === undefined ? {} : { signal: options.signal },
    );
  }
}

/** Settles as `promise` does, or rejects when the time is up or the signal aborts. */
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
  return new Error(`waited ${options.timeoutMs ?? DEFAULT_MS} ms for ${message}`);
}
