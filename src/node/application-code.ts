/**
 * Which application code a call comes from.
 *
 * Hooks and leader work may call the node that runs them: `await node.stop()` in a hook waits for the drain, and the drain waits
 * for the hook. Such a call is answered before the drain has ended. A handler that leader work merely registered, for a signal or
 * for requests, runs in the same asynchronous context and must not be answered early: nothing waits for it, and it may end the
 * process. The two differ in one way only: whether the promise of the application code waits for the caller. V8 keeps that chain
 * of awaits and shows it in stack traces, so the name of the function that runs application code is looked for there.
 */
import { AsyncLocalStorage } from "node:async_hooks";

/** A hook call or a run of leader work, and the one it was made from, perhaps of another node. */
interface Entered {
  readonly owner: object;
  readonly code: number;
  readonly name: string;
  readonly from: Entered | undefined;
  active: boolean;
}

/** One for all nodes: every storage that was ever used costs each later promise of the process a little. */
const context = new AsyncLocalStorage<Entered>();
const STACK_LIMIT = 100;
let entries = 0;

/** Runs application code. `code` identifies it to `codeOf` and `awaitedBy`. */
export async function runCode(owner: object, code: number, run: () => unknown): Promise<void> {
  // Entries that have ended are left out: a chain of nodes that start each other must not grow without limit.
  let from = context.getStore();
  while (from !== undefined && !from.active) from = from.from;
  const name = `natsLeaderCode${++entries}`;
  const entered: Entered = { owner, code, name, from, active: true };
  const named = {
    [name]: async () => {
      await run();
    },
  };
  try {
    await context.run(entered, named[name] as () => Promise<void>);
  } finally {
    entered.active = false;
  }
}

/** The innermost application code of this owner that awaits the caller, if any does. */
export function codeOf(owner: object): number | null {
  let stack: string | null = null;
  for (let entered = context.getStore(); entered !== undefined; entered = entered.from) {
    if (entered.owner !== owner || !entered.active) continue;
    stack ??= stackOfCaller();
    if (stack.includes(`${entered.name} `) || stack.includes(`${entered.name}\n`)) return entered.code;
  }
  return null;
}

function stackOfCaller(): string {
  const before = Error.stackTraceLimit;
  Error.stackTraceLimit = STACK_LIMIT;
  const holder: { stack?: string } = {};
  Error.captureStackTrace(holder, stackOfCaller);
  Error.stackTraceLimit = before;
  return String(holder.stack);
}
