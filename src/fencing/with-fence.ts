/** The order of a take-over, as hooks of a node: lease won, fence moved, `onBecomeLeader`. */
import type { LossReason } from "../election/types.ts";
import type { Hooks } from "../node/hooks.ts";
import type { Term } from "../node/term.ts";

/** What a take-over opens first: a `FencedStream`, a `FencedKv`, or anything of yours with such an `open`. */
export interface FenceTarget<W> {
  open(term: Term): Promise<W>;
}

type Awaitable = void | Promise<void>;

/** A node's hooks, with the writer handed to the two that belong to a term. */
export interface FencedHooks<W> extends Omit<Hooks, "onBecomeLeader" | "onLoseLeadership"> {
  /** This node leads and the fence is its own: no earlier leader can write any more. */
  onBecomeLeader?(term: Term, writer: W): Awaitable;
  /** Fires exactly once for every term whose `onBecomeLeader` was called. While draining, the writer still works. */
  onLoseLeadership?(term: Term, writer: W, reason: LossReason): Awaitable;
}

/**
 * Hooks for `new Node(options, withFence(ledger, { onBecomeLeader(term, writer) { … } }))`. Nobody has a writer before
 * the fence is moved. When that fails (`STALE_EPOCH`, no server, no time) the node steps down with `hook-failed` and
 * the hooks given here are not called for that term.
 */
export function withFence<W>(target: FenceTarget<W>, hooks: FencedHooks<W>): Hooks {
  const writers = new WeakMap<Term, { readonly writer: W }>();
  return {
    ...pass("onLeaderChange", hooks),
    ...pass("onNatsDisconnect", hooks),
    ...pass("onNatsReconnect", hooks),
    async onBecomeLeader(term) {
      let writer: W;
      try {
        writer = await target.open(term);
      } catch (error) {
        if (term.signal.aborted) return; // the term ended first: that is told already
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
