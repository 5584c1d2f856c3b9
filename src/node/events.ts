/** Events of a node. docs/reference.md is generated from the comments. */

import type { DrainOutcome, HookName, StopReason } from "../application/types.ts";
import type { Leader, LossReason } from "../election/types.ts";
import type { Term } from "./term.ts";
import type { WarningCode } from "./warning-code.ts";

/** An event without its time. */
export type EventBody =
  /** The node takes part in the cluster, as leader or follower. The first event of an incarnation, except for warnings of its start. */
  | { readonly type: "started" }
  /**
   * This node leads. Fires before `onBecomeLeader` is called, also when that call is skipped because the term has ended by then.
   * Does not fire again when a suspended term resumes.
   */
  | { readonly type: "become-leader"; readonly term: Term }
  /**
   * The connection to NATS is lost, or the leader has promised silence and no beat of the last `silenceMs` has come back through it: the
   * term goes on, but `term.held` is false. Followed by `resumed` or `lose-leadership`. Does not fire with `crashDetection: "lease"`,
   * nor with `"presence"` while `term.held` is false only because the event loop or the server has not answered for less than that.
   */
  | { readonly type: "suspended"; readonly term: Term }
  /** A renewal that was sent after the suspension was confirmed: the term is held again. Does not fire with `crashDetection: "lease"`. */
  | { readonly type: "resumed"; readonly term: Term }
  /**
   * The term has ended or is draining: `term.signal` is aborted. `by` is the new leader, if it is known. Fires exactly once per
   * `become-leader`; before `onLoseLeadership` is called.
   */
  | {
      readonly type: "lose-leadership";
      readonly term: Term;
      readonly reason: LossReason;
      readonly by: Leader | null;
    }
  /**
   * The lease of a drained term is deleted or, with `deleted: false`, left to expire. `drain` is `timed-out` if hooks or work had
   * not ended after `drainTimeoutMs`: they may still run. Fires once per drain. Does not fire for a term that ended without one
   * (`expired`, `superseded`, `deleted`).
   */
  | {
      readonly type: "released";
      readonly term: Term;
      readonly deleted: boolean;
      readonly drain: DrainOutcome;
    }
  /** The leader changed; `null`: there is none. Does not fire for renewals. */
  | { readonly type: "leader-change"; readonly leader: Leader | null }
  /** The connection to NATS is lost. Does not fire for the first attempts to connect, nor on `stop()`. */
  | { readonly type: "nats-disconnect"; readonly error: Error | null }
  /** The connection to NATS is back. Does not fire for the first connection. */
  | { readonly type: "nats-reconnect" }
  /** A condition that needs attention, described by `message`. */
  | {
      readonly type: "warning";
      readonly code: WarningCode;
      readonly message: string;
      readonly error: Error | null;
    }
  /**
   * A hook or leader work (`"work"`) threw; `epoch` is that of its term. Fires once for every error, also after the term has
   * ended. Does not fire for an error that only repeats the abort of the signal that the code was given. A thrown value that is no
   * `Error` is the `cause` of one.
   */
  | {
      readonly type: "hook-error";
      readonly hook: HookName | "work";
      readonly epoch: number | null;
      readonly error: Error;
    }
  /**
   * The node has released what it held and closed its connection. `reason` is `connection-closed` if the connection was closed
   * for good by something else. The last event: the iterator ends.
   */
  | { readonly type: "stopped"; readonly reason: StopReason }
  /**
   * This iterator was read too slowly: `dropped` older events were discarded. Yielded in their place; other iterators are not
   * affected.
   */
  | { readonly type: "overflow"; readonly dropped: number };

/** What `node.events()` yields. `at`: Unix milliseconds on this node's wall clock. */
export type NodeEvent = { readonly at: number } & EventBody;

const MAX_BUFFERED = 1_024;

interface StreamListener {
  /** Whether the application waits for the next event. */
  awaited(stream: EventStream, waiting: boolean): void;
  closed(): void;
}

/** One reader of events: an async iterator with a bounded buffer. */
export class EventStream implements AsyncIterableIterator<NodeEvent> {
  readonly #buffer: NodeEvent[] = [];
  readonly #now: () => number;
  readonly #listener: StreamListener;
  #waiting: (() => void)[] = [];
  #dropped = 0;
  #closed = false;

  constructor(now: () => number, listener: StreamListener) {
    this.#now = now;
    this.#listener = listener;
  }

  push(event: NodeEvent): void {
    if (this.#closed) return;
    if (this.#buffer.length >= MAX_BUFFERED) {
      this.#buffer.shift();
      this.#dropped += 1;
    }
    this.#buffer.push(event);
    this.#wake();
  }

  /** Accepts no further events; those in the buffer can still be read. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#listener.closed();
    this.#wake();
  }

  async next(): Promise<IteratorResult<NodeEvent, undefined>> {
    for (;;) {
      if (this.#dropped > 0) {
        const dropped = this.#dropped;
        this.#dropped = 0;
        return { done: false, value: { type: "overflow", at: this.#now(), dropped } };
      }
      const value = this.#buffer.shift();
      if (value !== undefined) return { done: false, value };
      if (this.#closed) return { done: true, value: undefined };
      this.#listener.awaited(this, true);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  async return(): Promise<IteratorResult<NodeEvent, undefined>> {
    this.close();
    this.#buffer.length = 0;
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#listener.awaited(this, false);
    for (const wake of waiting) wake();
  }
}

interface Reader {
  readonly stream: WeakRef<EventStream>;
  readonly release: () => void;
}

/**
 * The readers of one node's events. A reader without a pending `next()` is referred to only by the application: an iterator that it drops
 * without ending it is collected, with its buffer.
 */
export class EventStreams {
  readonly #now: () => number;
  readonly #readers = new Set<Reader>();
  readonly #awaited = new Set<EventStream>();
  readonly #dropped = new FinalizationRegistry<Reader>((reader) => this.#release(reader));

  constructor(now: () => number) {
    this.#now = now;
  }

  /** The events from now on, until the signal aborts or `close()` is called. */
  open(signal: AbortSignal | undefined): EventStream {
    const stream = new EventStream(this.#now, {
      awaited: (one, waiting) => void (waiting ? this.#awaited.add(one) : this.#awaited.delete(one)),
      closed: () => this.#release(reader),
    });
    const weak = new WeakRef(stream);
    const onAbort = (): void => weak.deref()?.close();
    const reader: Reader = {
      stream: weak,
      release: () => signal?.removeEventListener("abort", onAbort),
    };
    this.#readers.add(reader);
    this.#dropped.register(stream, reader);
    if (signal?.aborted === true) stream.close();
    else signal?.addEventListener("abort", onAbort, { once: true });
    return stream;
  }

  push(event: EventBody): void {
    if (this.#readers.size === 0) return;
    const at = this.#now();
    for (const { stream } of this.#readers) stream.deref()?.push({ at, ...event } as NodeEvent);
  }

  close(): void {
    for (const { stream } of [...this.#readers]) stream.deref()?.close();
  }

  #release(reader: Reader): void {
    this.#readers.delete(reader);
    reader.release();
  }
}
