/** Records the timers that `src/` sets. Most of them are unref'd, so Node's own list of active resources omits them. */
type SetTimer = { readonly timer: NodeJS.Timeout & { readonly _destroyed?: boolean }; readonly setAt: Error };

/** Beyond this, the timers that have fired are dropped from the record. */
const PRUNE_ABOVE = 5000;

let timers: SetTimer[] = [];
let recording = false;

/** Wraps `setTimeout` and `setInterval`, once per process. */
export function recordTimers(): void {
  if (recording) return;
  recording = true;
  globalThis.setTimeout = recorded(globalThis.setTimeout);
  globalThis.setInterval = recorded(globalThis.setInterval);
}

/** Where each pending timer of `src/` was set; `src/testing` is not included. */
export function pendingTimers(): string[] {
  prune();
  return timers.flatMap(({ setAt }) => {
    const stack = setAt.stack ?? "";
    return /\/src\/(?!testing)/.test(stack) ? [stack.split("\n").slice(2, 8).join("\n")] : [];
  });
}

function prune(): void {
  timers = timers.filter(({ timer }) => timer._destroyed === false);
}

function recorded<F extends typeof setTimeout | typeof setInterval>(original: F): F {
  const wrapped = (...args: Parameters<F>): NodeJS.Timeout => {
    const timer = (original as (...args: Parameters<F>) => NodeJS.Timeout)(...args);
    if (timers.length > PRUNE_ABOVE) prune();
    // The stack is formatted when it is read: formatting maps every frame to its source, which costs more than the timer.
    timers.push({ timer, setAt: new Error("set here") });
    return timer;
  };
  return Object.assign(wrapped, original) as unknown as F;
}
