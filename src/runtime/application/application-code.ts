/**
 * Which application code a call comes from.
 *
 * Hooks and leader work may call the node that runs them: `await node.stop()` in a hook waits for the drain, and the drain waits
 * for the hook. Such a call is answered before the drain has ended. A handler that leader work merely registered, for a signal or
 * for requests, runs in the same asynchronous context and must not be answered early: nothing waits for it, and it may end the
 * process. The two differ in one way only: whether the promise of the application code waits for the caller.
 *
 * The asynchronous context says for certain which code a call does *not* come from. Whether code awaits the call is shown by V8's
 * stack traces, which follow the chain of awaits: the name of the function that runs application code is looked for there. A stack
 * proves it or proves nothing: other engines do not show awaits, and V8 loses the chain at a timer, a thenable, a promise made by
 * hand (compiled `async` functions) and its frame limit. What is not proven is left to `application/self-wait.ts`.
 *
 * A listener that an emitter or event target calls synchronously has the emitting code on its stack, which does not await it.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Caller } from "../../application/types.ts";

/** A hook call or a run of leader work, and the one it was made from, perhaps of another node. */
interface Entered {
  readonly owner: object;
  readonly code: number;
  readonly name: string;
  readonly from: Entered | undefined;
  /** The code that has registered this work, and may await it. */
  readonly parent: number | null;
  active: boolean;
}

/** One for all nodes: every storage that was ever used costs each later promise of the process a little. */
const context = new AsyncLocalStorage<Entered>();
const STACK_LIMIT = 100;
let entries = 0;

/** Code that has not ended, by owner and number. */
const running = new WeakMap<object, Map<number, Entered>>();

/** Runs application code. `code` identifies it to `callerOf`; `parent`: the code that has registered it, if any. */
export async function runCode(
  owner: object,
  code: number,
  run: () => unknown,
  parent: number | null = null,
): Promise<void> {
  // Entries that have ended are left out: a chain of nodes that start each other must not grow without limit.
  let from = context.getStore();
  while (from !== undefined && !from.active) from = from.from;
  const name = `natsLeaderCode${++entries}`;
  const entered: Entered = { owner, code, name, from, parent, active: true };
  const codes = running.get(owner) ?? new Map<number, Entered>();
  running.set(owner, codes.set(code, entered));
  const named = {
    [name]: async () => {
      await run();
    },
  };
  try {
    await context.run(entered, named[name] as () => Promise<void>);
  } finally {
    entered.active = false;
    codes.delete(code);
  }
}

/**
 * Where a call to this owner comes from. The asynchronous context names the innermost code; code around it is what has registered
 * it. (The context in which hooks and work are started names whatever code has led to that.)
 */
export function callerOf(owner: object): Caller {
  let entered = context.getStore();
  while (entered !== undefined && (entered.owner !== owner || !entered.active)) entered = entered.from;
  const inside: number[] = [];
  let awaited = false;
  let frames: readonly string[] | null = null;
  while (entered !== undefined) {
    inside.push(entered.code);
    frames ??= framesOfCaller();
    awaited ||= isAwaitedBy(entered.name, frames);
    entered = entered.parent === null ? undefined : running.get(owner)?.get(entered.parent);
  }
  return { inside, awaited };
}

/** Frames of Node and Bun through which listeners are called. */
const EMITTERS = /\bnode:(?:events|internal\/event_target):/;

function isAwaitedBy(name: string, frames: readonly string[]): boolean {
  const at = frames.findIndex((frame) => frame.includes(`${name} `) || frame.endsWith(name));
  return at >= 0 && !frames.slice(0, at).some((frame) => EMITTERS.test(frame));
}

/** Empty if the process does not allow stacks to be read as the engine writes them. */
function framesOfCaller(): readonly string[] {
  const settings = ["stackTraceLimit", "prepareStackTrace"] as const;
  const before = settings.map((name) => Object.getOwnPropertyDescriptor(Error, name));
  try {
    // The application may have its own formatter, which may return anything, or throw.
    Object.defineProperty(Error, "prepareStackTrace", changeable(undefined));
    Object.defineProperty(Error, "stackTraceLimit", changeable(STACK_LIMIT));
    const holder: { stack?: unknown } = {};
    Error.captureStackTrace(holder, callerOf);
    return typeof holder.stack === "string" ? holder.stack.split("\n") : [];
  } catch {
    return [];
  } finally {
    for (const [index, name] of settings.entries()) restore(name, before[index]);
  }
}

function changeable(value: unknown): PropertyDescriptor {
  return { value, configurable: true, enumerable: true, writable: true };
}

function restore(name: string, before: PropertyDescriptor | undefined): void {
  try {
    if (before === undefined) Reflect.deleteProperty(Error, name);
    else Object.defineProperty(Error, name, before);
  } catch {
    // The process has frozen it, so it was not changed either.
  }
}
