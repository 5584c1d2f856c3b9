/** Hooks of a node that fix the order of a takeover: lease won, fence moved, `onBecomeLeader`. */
import type { LossReason } from "../election/types.ts";
import { type Hooks, KEEPS_ADDRESS, keepsAddress } from "../node/hooks.ts";
import type { Term } from "../node/term.ts";

/** What a takeover opens first: a `FencedStream`, a `FencedKv`, or any object with such an `open`. */
export interface FenceTarget<W> {
  /** Moves the fence to this term and resolves with what the term writes through. */
  open(term: Term): Promise<W>;
}

type Awaitable = void | Promise<void>;

/** The hooks of a node. The two hooks of a term receive its writer as well. */
export interface FencedHooks<W> extends Omit<Hooks, "onBecomeLeader" | "onLoseLeadership"> {
  /** This node leads and the fence is at its term: writes of earlier leaders are refused from now on. */
  onBecomeLeader?(term: Term, writer: W): Awaitable;
  /**
   * The term has ended or is draining; during a drain the writer still works. Fires exactly once for every term whose
   * `onBecomeLeader` was called, and after it.
   */
  onLoseLeadership?(term: Term, writer: W, reason: LossReason): Awaitable;
}

/**
 * Hooks that move the fence to the node's term before `onBecomeLeader` is called. If the fence cannot be moved (`STALE_EPOCH`, no
 * server, timeout), the node steps down with `hook-failed`, and the term's hooks are not called.
 *
 * @param target - Opened in every term of the node.
 * @param hooks - The hooks of a node; those of a term receive the writer.
 * @example
 * ```ts
 * const node = new Node(
 *   options,
 *   withFence(ledger, {
 *     async onBecomeLeader(term, writer) {
 *       await writer.publish("ledger.opened", `by epoch ${term.epoch}`);
 *     },
 *   }),
 * );
 * ```
 */
export function withFence<W>(target: FenceTarget<W>, hooks: FencedHooks<W>): Hooks {
  const writers = new WeakMap<Term, { readonly writer: W }>();
  return {
    ...pass("onLeaderChange", hooks),
    ...pass("onNatsDisconnect", hooks),
    ...pass("onNatsReconnect", hooks),
    ...(keepsAddress(hooks) ? { [KEEPS_ADDRESS]: true } : {}),
    async onBecomeLeader(term) {
      let writer: W;
      try {
        writer = await target.open(term);
      } catch (error) {
        if (term.signal.aborted) return; // the end of the term has been reported already
        throw error;
      }
      if (term.signal.aborted) return;
      writers.set(term, { writer });
      await hooks.onBecomeLeader?.(term, writer);
    },
    async onLoseLeadership(term, reason) {
      const opened = writers.get(term);
      writers.delete(term);
      if (opened !== undefined) await hooks.onLoseLeadership?.(term, opened.writer, reason);
    },
  };
}

type Plain = "onLeaderChange" | "onNatsDisconnect" | "onNatsReconnect";

function pass<N extends Plain>(name: N, hooks: Pick<Hooks, Plain>): Partial<Pick<Hooks, N>> {
  const hook = hooks[name];
  return hook === undefined ? {} : ({ [name]: hook.bind(hooks) } as Pick<Hooks, N>);
}
