/** Hooks of a node, or of a member of a group, that fix the order of a takeover: lease won, fence moved, then the application's hook. */
import type { LossReason } from "../election/types.ts";
import type { DisownReason } from "../group/application/types.ts";
import type { GroupHooks } from "../group/hooks.ts";
import type { ResourceTerm } from "../group/term.ts";
import { type Hooks, KEEPS_ADDRESS, keepsAddress } from "../node/hooks.ts";
import type { Term } from "../node/term.ts";

/** What a takeover opens first: a `FencedStream`, a `FencedKv`, or any object with such an `open`. */
export interface FenceTarget<W> {
  /** Moves the fence to this term and resolves with what the term writes through. */
  open(term: Term): Promise<W>;
}

/** What each term of a resource opens first. Each resource has a fence of its own. */
export interface ResourceFenceTarget<W> {
  /** Moves the fence of `term.resource` to this term and resolves with what the term writes through. */
  open(term: ResourceTerm): Promise<W>;
  /** Called when the term no longer needs what `open` has resolved with: after `onDisown`, or if the term has ended before `onOwn`. */
  close?(term: ResourceTerm, writer: W): void | Promise<void>;
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

/** The hooks of a member. The two hooks of a term receive its writer as well. */
export interface FencedGroupHooks<W> extends Omit<GroupHooks, "onOwn" | "onDisown"> {
  /** This member owns the resource and its fence is at this term: writes of earlier owners are refused from now on. */
  onOwn?(term: ResourceTerm, writer: W): Awaitable;
  /**
   * The term has ended or is being given up; until it is released the writer still works. Fires exactly once for every term whose `onOwn`
   * was called, and after it.
   */
  onDisown?(term: ResourceTerm, writer: W, reason: DisownReason): Awaitable;
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
  const writers = new Writers(target);
  return {
    ...pass(["onLeaderChange", "onNatsDisconnect", "onNatsReconnect"], hooks),
    ...(keepsAddress(hooks) ? { [KEEPS_ADDRESS]: true } : {}),
    async onBecomeLeader(term) {
      const opened = await writers.open(term);
      if (opened !== null) await hooks.onBecomeLeader?.(term, opened.writer);
    },
    async onLoseLeadership(term, reason) {
      const opened = writers.take(term);
      if (opened !== null) await hooks.onLoseLeadership?.(term, opened.writer, reason);
    },
  };
}

/**
 * Hooks that move the fence of a resource to the member's term before `onOwn` is called. If the fence cannot be moved (`STALE_EPOCH`, no
 * server, timeout), the member gives the resource up with `refused`, and the term's hooks are not called. Work of `runOwned` begins
 * after `onOwn`, with the fence at its term.
 *
 * @param target - Opened in every term, for the resource of that term.
 * @param hooks - The hooks of a member; those of a term receive the writer.
 * @example
 * ```ts
 * const stream = (term: ResourceTerm) => `LEDGER_${Buffer.from(term.resource).toString("base64url")}`;
 * const group = new Group(
 *   options,
 *   withGroupFence(
 *     { open: async (term) => (await FencedStream.connect(connection, { stream: stream(term) })).open(term) },
 *     { onOwn: (term, writer) => void ledgers.set(term.resource, writer) },
 *   ),
 * );
 * ```
 */
export function withGroupFence<W>(target: ResourceFenceTarget<W>, hooks: FencedGroupHooks<W>): GroupHooks {
  const writers = new Writers(target);
  return {
    ...pass(["onMembersChange", "onNatsDisconnect", "onNatsReconnect"], hooks),
    async onOwn(term) {
      const opened = await writers.open(term, async (writer) => target.close?.(term, writer));
      if (opened !== null) await hooks.onOwn?.(term, opened.writer);
    },
    async onDisown(term, reason) {
      const opened = writers.take(term);
      if (opened === null) return;
      try {
        await hooks.onDisown?.(term, opened.writer, reason);
      } finally {
        await target.close?.(term, opened.writer);
      }
    },
  };
}

/** What the terms write through. */
class Writers<T extends Pick<Term, "signal">, W> {
  readonly #target: { open(term: T): Promise<W> };
  readonly #writers = new WeakMap<T, { readonly writer: W }>();

  constructor(target: { open(term: T): Promise<W> }) {
    this.#target = target;
  }

  /**
   * `null`: the term has ended by now, which has been reported already.
   *
   * @param unused - What to do with a writer that the term does not need any more.
   */
  async open(term: T, unused: (writer: W) => Promise<void> = async () => {}): Promise<{ writer: W } | null> {
    let writer: W;
    try {
      writer = await this.#target.open(term);
    } catch (error) {
      if (term.signal.aborted) return null;
      throw error;
    }
    if (term.signal.aborted) {
      await unused(writer);
      return null;
    }
    this.#writers.set(term, { writer });
    return { writer };
  }

  /** `null`: it was not opened, and the hooks of the term were not called. */
  take(term: T): { readonly writer: W } | null {
    const opened = this.#writers.get(term) ?? null;
    this.#writers.delete(term);
    return opened;
  }
}

/** The hooks with these names, bound to their object. */
function pass<H extends object, N extends keyof H>(names: readonly N[], hooks: H): Partial<Pick<H, N>> {
  const bound: Partial<Pick<H, N>> = {};
  for (const name of names) {
    const hook = hooks[name];
    if (typeof hook === "function") bound[name] = hook.bind(hooks);
  }
  return bound;
}
