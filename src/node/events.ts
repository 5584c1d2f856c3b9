import type { Leader, LossReason, WarningCode } from "../election/types.ts";
import type { HookName } from "./hooks.ts";
import type { Term } from "./term.ts";

/** What `node.events()` yields. `at`: Unix milliseconds on this node's wall clock. */
export type NodeEvent = { readonly at: number } & (
  | { readonly type: "started" }
  /** This node leads. Fires before `onBecomeLeader` is called. */
  | { readonly type: "become"; readonly term: Term }
  /** The connection is down: the term runs on, but must not be acted on. Only with `crashDetection: "presence"`. */
  | { readonly type: "suspended"; readonly term: Term }
  /** The same term may be acted on again. */
  | { readonly type: "resumed"; readonly term: Term }
  /** The term is over or being given up. Once per `become`. */
  | { readonly type: "lose"; readonly term: Term; readonly reason: LossReason; readonly by: Leader | null }
  /** A term that was given up has ended for everybody: the lease is deleted (or, `deleted: false`, left to run out). */
  | { readonly type: "released"; readonly term: Term; readonly deleted: boolean }
  /** Who leads has changed; `null`: nobody. Does not fire for renewals. */
  | { readonly type: "leader"; readonly leader: Leader | null }
  | { readonly type: "disconnected"; readonly error: Error | null }
  | { readonly type: "reconnected" }
  | {
      readonly type: "warning";
      readonly code: WarningCode | string;
      readonly message: string;
      readonly error: Error | null;
    }
  | { readonly type: "hook-error"; readonly hook: HookName | "work"; readonly error: Error }
  /** The last event. */
  | { readonly type: "stopped" }
  /** This iterator was read too slowly: that many older events were dropped here. */
  | { readonly type: "overflow"; readonly dropped: number }
);

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

/** An event before it gets its time. */
export type EventBody = DistributiveOmit<NodeEvent, "at">;

/** Events an iterator keeps for a slow reader. */
const MAX_BUFFERED = 1_024;

/** One reader of events: an async iterator with a bounded buffer. */
export class EventStream implements AsyncIterableIterator<NodeEvent> {
  readonly #buffer: NodeEvent[] = [];
  readonly #onClose: () => void;
  #waiting: (() => void)[] = [];
  #dropped = 0;
  #closed = false;

  constructor(onClose: () => void) {
    this.#onClose = onClose;
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

  /** No more events will come; what is buffered can still be read. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#onClose();
    this.#wake();
  }

  async next(): Promise<IteratorResult<NodeEvent, undefined>> {
    for (;;) {
      if (this.#dropped > 0) {
        const dropped = this.#dropped;
        this.#dropped = 0;
        return { done: false, value: { type: "overflow", at: Date.now(), dropped } };
      }
      const value = this.#buffer.shift();
      if (value !== undefined) return { done: false, value };
      if (this.#closed) return { done: true, value: undefined };
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
    for (const wake of waiting) wake();
  }
}
