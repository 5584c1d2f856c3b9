/**
 * What signals do. SIGINT, SIGTERM and SIGHUP: the first one requests a shutdown, the second one exits immediately. `node-signals.ts` has
 * those that only `daemon` and `run` handle.
 */
import { constants } from "node:os";
import { CliError } from "./exit.ts";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
export type EndSignal = (typeof SIGNALS)[number];

export interface Ending {
  /** Aborts at the first signal; its reason is the signal's name. */
  readonly signal: AbortSignal;
  /** Removes the signal handlers. */
  close(): void;
}

/**
 * @param onFirst called at the first signal, with its name.
 * @param onSecond called at the second signal, directly before the exit with 128 + the signal's number.
 * @param copyMs a signal in this time after the first one counts as a copy of it: at Ctrl-C, npm forwards to its child the signal that
 * the terminal has sent to both.
 */
export function untilSignal(
  onFirst: (name: EndSignal) => void = () => {},
  onSecond: () => void = () => {},
  copyMs = 0,
): Ending {
  const controller = new AbortController();
  let firstAt = 0;
  const handlers = SIGNALS.map((name) => {
    const handler = (): void => {
      if (controller.signal.aborted) {
        if (performance.now() - firstAt < copyMs) return;
        onSecond();
        process.exit(128 + constants.signals[name]);
      }
      firstAt = performance.now();
      onFirst(name);
      controller.abort(name);
    };
    process.on(name, handler);
    return { name, handler };
  });
  return {
    signal: controller.signal,
    close: () => {
      for (const { name, handler } of handlers) process.off(name, handler);
    },
  };
}

/** Runs what a signal is to end, such as a watch. After a signal an error is not thrown: a connection attempt may have been interrupted. */
export async function endedBySignal(run: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const ending = untilSignal();
  try {
    await run(ending.signal);
  } catch (error) {
    if (!ending.signal.aborted) throw error;
  } finally {
    ending.close();
  }
}

/**
 * Waits for a command that changes something. A signal ends the wait at once: the command exits with 128 + the signal's number, as
 * without a handler, and says that what it requested may still take place.
 */
export async function interruptible<T>(run: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const ending = untilSignal();
  try {
    const done = await unlessAborted(
      ending.signal,
      run(ending.signal).then((value) => ({ value })),
    );
    if (done !== null) return done.value;
    throw interrupted(ending.signal.reason as EndSignal);
  } catch (error) {
    throw ending.signal.aborted ? interrupted(ending.signal.reason as EndSignal) : error;
  } finally {
    ending.close();
  }
}

function interrupted(name: EndSignal): CliError {
  return interruption(name, ": a change that was requested may still take place");
}

/** The error of a command that a signal has ended. */
export function interruption(name: EndSignal, consequence = ""): CliError {
  return new CliError(128 + constants.signals[name], "ABORTED", `interrupted by ${name}${consequence}`);
}

/**
 * Handles SIGTSTP (Ctrl-Z): calls `before`, stops this process as the signal does by default, and calls `after` when it is continued.
 * The kernel does not stop a process that no shell could continue; then `after` is called at once.
 *
 * @returns removes the handler.
 */
export function beforeTerminalStop(before: () => void, after: () => void): () => void {
  const handler = (): void => {
    before();
    // Without a listener the signal has its default effect, which takes place before `kill` returns.
    process.off("SIGTSTP", handler);
    process.kill(process.pid, "SIGTSTP");
    process.on("SIGTSTP", handler);
    after();
  };
  process.on("SIGTSTP", handler);
  return () => void process.off("SIGTSTP", handler);
}

/** What the promise resolves to, or `null` as soon as the signal aborts. The promise is then left to itself. */
export async function unlessAborted<T>(signal: AbortSignal, promise: Promise<T>): Promise<T | null> {
  promise.catch(() => {});
  if (signal.aborted) return null;
  let end = (): void => {};
  const aborted = new Promise<null>((resolve) => {
    end = () => resolve(null);
    signal.addEventListener("abort", end, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", end);
  }
}

/** Calls `act` at every interval, unless the last call has not ended. Resolves when the signal aborts. */
export async function every(ms: number, signal: AbortSignal, act: () => Promise<void>): Promise<void> {
  await new Promise<void>((resolve) => {
    let busy = false;
    const timer = setInterval(() => {
      if (busy) return;
      busy = true;
      void act().finally(() => {
        busy = false;
      });
    }, ms);
    const end = (): void => {
      clearInterval(timer);
      resolve();
    };
    if (signal.aborted) return end();
    signal.addEventListener("abort", end, { once: true });
  });
}
