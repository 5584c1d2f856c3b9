/** Which lane a write goes through, and how many writes are in flight. */
import type { MsgHdrs } from "@nats-io/transport-node";

/** One subject of the fence and the sequence of its message: the condition of a write. */
export interface Lane {
  readonly subject: string;
  readonly sequence: number;
  /** The condition as headers, encoded once. Never changed. */
  readonly headers: MsgHdrs;
}

/**
 * Slots for writes in flight, the one that rested longest first: a server clears a lane a moment after it has answered.
 * A single-server stream has one lane with many slots; on a replicated one every lane is a slot.
 */
export class LanePool {
  readonly #free: Lane[];
  readonly #waiting: { readonly give: (lane: Lane) => void; readonly fail: (error: Error) => void }[] = [];
  readonly #resting = new Set<NodeJS.Timeout>();
  #closed: Error | null = null;

  constructor(slots: readonly Lane[]) {
    this.#free = [...slots];
  }

  /** A slot now, or `null`. */
  tryTake(): Lane | null {
    return this.#waiting.length > 0 ? null : (this.#free.shift() ?? null);
  }

  /** A slot, in the order of the calls. Rejects when the pool is closed. */
  take(): Promise<Lane> {
    if (this.#closed !== null) return Promise.reject(this.#closed);
    const lane = this.tryTake();
    if (lane !== null) return Promise.resolve(lane);
    return new Promise((give, fail) => {
      this.#waiting.push({ give, fail });
    });
  }

  /** `restMs`: the server may still be busy with the write of this slot. */
  giveBack(lane: Lane, restMs = 0): void {
    if (restMs > 0) {
      const timer = setTimeout(() => {
        this.#resting.delete(timer);
        this.giveBack(lane);
      }, restMs);
      timer.unref();
      this.#resting.add(timer);
      return;
    }
    const next = this.#waiting.shift();
    if (next === undefined) this.#free.push(lane);
    else next.give(lane);
  }

  /** Everybody who waits is refused. Idempotent. */
  close(error: Error): void {
    this.#closed ??= error;
    for (const timer of this.#resting) clearTimeout(timer);
    this.#resting.clear();
    for (const { fail } of this.#waiting.splice(0)) fail(error);
  }
}
