/** Serial delivery of what happens to the application. Never on the renewal path: hooks are told, nobody waits to renew. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Leader, LossReason } from "../election/types.ts";
import type { Term } from "./term.ts";

type Awaitable = void | Promise<void>;

/**
 * The application's hooks. All optional, may be async, run one at a time and in order. A hook that throws is logged
 * and reported as a `hook-error` event; only `onBecomeLeader` has a further consequence.
 *
 * `stop()` and `stepDown()` may be awaited inside a hook: there they resolve as soon as the lease is draining, and the
 * rest happens when the hook has returned.
 */
export interface Hooks {
  /**
   * This node leads from now on. When it throws or rejects, the node steps down (`hook-failed`) and cools down.
   *
   * Does not fire: for a term that ended before an earlier hook had returned; for another node's term; again after a
   * suspension that ended well.
   */
  onBecomeLeader?(term: Term): Awaitable;
  /**
   * The term is over, or being given up: `term.signal` is aborted already. On `released`, `stopped` and `hook-failed` the
   * lease is kept until this hook and all leader work have finished (at most `drainTimeoutMs`), so the next leader starts
   * after them. On every other reason others may lead already.
   *
   * Fires exactly once for every term whose `onBecomeLeader` was called, and after it. Does not fire: when the process is
   * killed or frozen; at a suspension.
   */
  onLoseLeadership?(term: Term, reason: LossReason): Awaitable;
  /**
   * Somebody else leads, or this node, or nobody (`null`: released, or run out without being renewed).
   *
   * Does not fire: for renewals; for changes that follow each other faster than this hook returns, of which only the
   * newest is told.
   */
  onLeaderChange?(leader: Leader | null): Awaitable;
  /** The connection to NATS is gone. Does not fire: for the first connection attempt; on `stop()`. */
  onNatsDisconnect?(error: Error | null): Awaitable;
  /** The connection is back. Does not fire: for the first connection. */
  onNatsReconnect?(): Awaitable;
}

export type HookName = keyof Hooks;

interface Job {
  readonly name: HookName;
  readonly run: () => Awaitable;
  readonly done: () => void;
}

/** A call of application code, and the one it was made from, maybe in another node's hook. */
interface Call {
  readonly runner: HookRunner;
  readonly from: Call | undefined;
  active: boolean;
}

/** One for all nodes: every storage that was ever used costs every promise of the process a little, for ever. */
const inside = new AsyncLocalStorage<Call>();

/** More waiting calls than this, and the oldest of those that may be dropped are. */
const MAX_WAITING = 256;

export class HookRunner {
  readonly #onError: (hook: HookName, error: unknown) => void;
  readonly #waiting: Job[] = [];
  #running = false;
  #idle: Promise<void> = Promise.resolve();

  constructor(onError: (hook: HookName, error: unknown) => void) {
    this.#onError = onError;
  }

  /** True for code that runs as part of a hook or of leader work, which therefore must not wait for either. */
  get insideHook(): boolean {
    for (let call = inside.getStore(); call !== undefined; call = call.from) {
      if (call.runner === this && call.active) return true;
    }
    return false;
  }

  /** Calls a hook after all earlier ones. Resolves when it has returned or was dropped; never rejects. */
  enqueue(name: HookName, run: () => Awaitable): Promise<void> {
    return new Promise((resolve) => {
      this.#makeRoom(name);
      this.#waiting.push({ name, run, done: resolve });
      if (!this.#running) this.#idle = this.#work();
    });
  }

  /** Resolves when no call is running or waiting. */
  idle(): Promise<void> {
    return this.#idle;
  }

  /** Runs application code so that `insideHook` is true in everything it awaits. */
  async runInside(run: () => Awaitable): Promise<void> {
    // Calls that are over are left out: a chain of nodes that start each other must not grow for ever.
    let from = inside.getStore();
    while (from !== undefined && !from.active) from = from.from;
    const call: Call = { runner: this, from, active: true };
    try {
      await inside.run(call, run);
    } finally {
      call.active = false;
    }
  }

  async #work(): Promise<void> {
    this.#running = true;
    // Let the event that caused the first call be handled completely before application code runs.
    await Promise.resolve();
    for (let job = this.#waiting.shift(); job !== undefined; job = this.#waiting.shift()) {
      try {
        await this.runInside(job.run);
      } catch (error) {
        this.#onError(job.name, error);
      }
      job.done();
    }
    this.#running = false;
  }

  #makeRoom(name: HookName): void {
    const last = this.#waiting.at(-1);
    if (name === "onLeaderChange" && last?.name === "onLeaderChange") this.#drop(this.#waiting.length - 1);
    if (this.#waiting.length < MAX_WAITING) return;
    const droppable = this.#waiting.findIndex(
      (job) => job.name !== "onBecomeLeader" && job.name !== "onLoseLeadership",
    );
    if (droppable >= 0) this.#drop(droppable);
  }

  #drop(index: number): void {
    const [job] = this.#waiting.splice(index, 1);
    job?.done();
  }
}
