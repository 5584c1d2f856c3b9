/** Ends what a test began, and fails a file whose nodes left a timer or a socket behind. */
import { afterAll, afterEach } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";

type Cleanup = () => unknown;
const cleanups: Cleanup[] = [];

/** Runs at the end of the test, the last one given first; all of them run, whatever they throw. */
export function atEnd(cleanup: Cleanup): void {
  cleanups.push(cleanup);
}

const verdicts: Cleanup[] = [];

/** Runs at the end of every test, when everything that the test began has ended. */
export function afterEnd(verdict: Cleanup): void {
  verdicts.push(verdict);
}

function sockets(): number {
  return process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length;
}

afterEach(async () => {
  const errors: unknown[] = [];
  for (const end of [...cleanups.splice(0).reverse(), ...verdicts]) {
    try {
      await end();
    } catch (error) {
      errors.push(error);
    }
  }
  // A connection left open would hide in its reconnecting once the server is gone: look while it is there.
  await waitFor(() => sockets() === 0, { timeoutMs: 3000 }).catch(() => {
    errors.push(new Error(`the test left ${sockets()} sockets open`));
  });
  if (errors.length > 0) throw errors.length === 1 ? errors[0] : new AggregateError(errors);
});

interface SetTimer {
  readonly timer: NodeJS.Timeout & { readonly _destroyed?: boolean };
  readonly stack: string;
}

/** Timers whose making had code of `src/` on its stack. Most are unref'd, so Node's own lists don't show them. */
let timers: SetTimer[] = [];

function spy<F extends typeof setTimeout | typeof setInterval>(original: F): F {
  const wrapped = (...args: Parameters<F>): NodeJS.Timeout => {
    const timer = (original as (...args: Parameters<F>) => NodeJS.Timeout)(...args);
    const stack = new Error("set here").stack ?? "";
    if (/\/src\/(?!testing)/.test(stack)) {
      if (timers.length > 5000) timers = pending();
      timers.push({ timer, stack });
    }
    return timer;
  };
  return Object.assign(wrapped, original) as unknown as F;
}

function pending(): SetTimer[] {
  return timers.filter(({ timer }) => timer._destroyed === false);
}

globalThis.setTimeout = spy(globalThis.setTimeout);
globalThis.setInterval = spy(globalThis.setInterval);

// Registered before those of the test file, so it runs after them, when the servers are gone as well.
afterAll(async () => {
  // The longest that may lawfully be left is the timeout of a request whose connection was closed.
  await waitFor(() => pending().length === 0 && sockets() === 0, { timeoutMs: 6000, intervalMs: 50 }).catch(
    () => {
      const stacks = pending().map(({ stack }) => stack.split("\n").slice(2, 8).join("\n"));
      throw new Error(`left behind: ${sockets()} sockets, ${stacks.length} timers\n${stacks.join("\n\n")}`);
    },
  );
});
