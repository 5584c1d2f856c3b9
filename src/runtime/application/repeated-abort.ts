/**
 * Does an error only repeat that a signal has aborted? Code that passes its signal on ends with such an error, and has not failed.
 *
 * Four kinds of errors do:
 *  - the reason of the signal itself, as `fetch` and `throwIfAborted()` throw it;
 *  - an `AbortError` whose `cause` is the reason, as Node's timers, streams and files throw it;
 *  - a `ClusterError` `ABORTED` or `OUTCOME_UNKNOWN` whose `cause`, or a `cause` of that, is the reason: a call of this library that was
 *    given the signal;
 *  - an `AbortError` without any `cause`, as libraries throw it that do not pass the reason on. A `DOMException` is none: without a
 *    `cause` it is the default reason of a controller, and of another one, for these signals have reasons of their own.
 *
 * An error of the application that has the reason as its `cause` is a failure: "checkpoint not saved" is news.
 */

/** Longest chain of causes that is followed. */
const MAX_CAUSES = 8;
/** `DOMException.ABORT_ERR` */
const DOM_ABORT_ERR = 20;

/** Never throws, whatever the error is. `signals`: those that the code was given. */
export function repeatsAbort(error: unknown, signals: readonly (AbortSignal | undefined)[]): boolean {
  try {
    const reasons = signals.flatMap((signal) => (signal?.aborted === true ? [signal.reason as unknown] : []));
    return reasons.length > 0 && isRepetition(error, reasons);
  } catch {
    return false;
  }
}

function isRepetition(error: unknown, reasons: readonly unknown[]): boolean {
  let at = error;
  // What is below an error of this library is its own.
  let isOurs = false;
  for (let depth = 0; depth < MAX_CAUSES; depth++) {
    if (reasons.includes(at)) return true;
    // No `instanceof`: in the sandbox of a test runner the classes of the platform are those of another realm.
    if (typeof at !== "object" || at === null) return false;
    const { name, code, cause } = at as { name?: unknown; code?: unknown; cause?: unknown };
    isOurs ||= name === "ClusterError" && (code === "ABORTED" || code === "OUTCOME_UNKNOWN");
    if (!isOurs && name !== "AbortError") return false;
    if (cause === undefined) return !isOurs && code !== DOM_ABORT_ERR;
    at = cause;
  }
  return false;
}
