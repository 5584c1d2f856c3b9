/** Calls the hooks, one at a time and in order. Renewals never wait for a hook. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Leader, LossReason } from "../election/types.ts";
import type { Term } from "./term.ts";

type Awaitable = void | Promise<void>;

/**
 * The application's hooks. All are optional and may be async; they are called one at a time and in order. A hook that throws
 * is logged and reported as a `hook-error` event; only `onBecomeLeader` has a further effect.
 *
 * `stop()` and `stepDown()` may be awaited inside a hook: they resolve there as soon as the term is draining, and complete when
 * the hook has returned.
 *
 * @example
 * ```ts
 * const hooks: Hooks = {
 *   onBecomeLeader: (term) => scheduler.start(term.epoch),
 *   onLoseLeadership: () => scheduler.stop(),
 * };
 * ```
 */
export interface Hooks {
  /**
   * This node leads. If the hook throws or rejects, the node steps down (`hook-failed`) and does not campaign for `cooldownMs`.
   *
   * Does not fire: for a term that ended before an earlier hook returned; for a term of another node; when a suspended term
   * resumes.
   *
   * @param term - The running term. Pass `term.epoch` as fencing token, and end the work when `term.signal` aborts.
   */
  onBecomeLeader?(term: Term): Awaitable;
  /**
   * The term has ended or is draining; `term.signal` is aborted already. On `released`, `stopped` and `hook-failed` the lease is
   * kept until this hook and all leader work have ended (at most `drainTimeoutMs`): the next leader starts after them. On all
   * other reasons another node may lead already.
   *
   * Fires exactly once for every term whose `onBecomeLeader` was called, and after it. Does not fire: when the process is killed
   * or frozen; on a suspension.
   *
   * @param reason - See docs/reference.md.
   */
  onLoseLeadership?(term: Term, reason: LossReason): Awaitable;
  /**
   * The leader changed: another node, this node, or none (`null`: the lease was released or has expired).
   *
   * Does not fire: for renewals; for a change that was followed by another one before an earlier hook returned.
   */
  onLeaderChange?(leader: Leader | null): Awaitable;
  /** The connection to NATS is lost. Does not fire: for the first attempts to connect; on `stop()`. */
  onNatsDisconnect?(error: Error | null): Awaitable;
  /** The connection to NATS is back. Does not fire: for the first connection. */
  onNatsReconnect?(): Awaitable;
}

export type HookName = keyof Hooks;

interface Job {
  readonly name: HookName;
  readonly run: () => Awaitable;
  readonly done: () => void;
}

/** A call of application code, and the call that it was made from, which can belong to another node. */
interface Call {
  readonly runner: HookRunner;
  readonly from: Call | undefined;
  active: boolean;
}

/** Shared by all nodes: each storage that was ever used makes every later promise of the process slower. */
const inside = new AsyncLocalStorage<Call>();

/** Queue limit. Beyond it, the oldest droppable call is discarded. */
const MAX_WAITING = 256;

export class HookRunner {
  readonly #onError: (hook: HookName, error: unknown) => void;
  readonly #waiting: Job[] = [];
  #running = false;
  #idle: Promise<void> = Promise.resolve();

  constructor(onError: (hook: HookName, error: unknown) => void) {
    this.#onError = onError;
  }

  /** Is the caller part of a hook or of leader work? Then it must not wait for either. */
  get insideHook(): boolean {
    for (let call = inside.getStore(); call !== undefined; call = call.from) {
      if (call.runner === this && call.active) return true;
    }
    return false;
  }

  /** Calls a hook after all earlier ones. Resolves when it has returned or was discarded; never rejects. */
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
    // Calls that have ended are skipped: a chain of nodes that start each other must not grow without limit.
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
    // The event that caused the first call is handled completely before application code runs.
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
