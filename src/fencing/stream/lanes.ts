/** Assigns lanes to writes and limits the number of writes in flight. */
import type { MsgHdrs } from "@nats-io/transport-node";

/** A write may have any time limit; its slot is used again. */
const MAX_REST_MS = 60_000;

/** One subject of the fence and the sequence of its message, which together are the condition of a write. */
export interface Lane {
  readonly subject: string;
  readonly sequence: number;
  /** The condition as headers. They are encoded once, so they must not be modified. */
  readonly headers: MsgHdrs;
}

/**
 * Slots for writes in flight. The slot that has been free for the longest time is used first, because a server clears a lane
 * shortly after it has answered. A stream with one lane has many slots on it; otherwise each lane is one slot.
 */
export class LanePool {
  readonly #free: Lane[];
  readonly #limit: number;
  readonly #waiting: { readonly give: (lane: Lane) => void; readonly fail: (error: Error) => void }[] = [];
  readonly #resting = new Set<NodeJS.Timeout>();
  #taken = 0;
  #closed: Error | null = null;

  /** @param lanes - At least one. `maxInFlight` limits the number of slots in use. */
  constructor(lanes: readonly Lane[], maxInFlight: number) {
    const [only] = lanes;
    const slots = lanes.length > 1 ? lanes.length : maxInFlight;
    this.#free =
      lanes.length > 1 || only === undefined ? [...lanes] : Array.from({ length: slots }, () => only);
    this.#limit = Math.min(slots, maxInFlight);
  }

  /** A free slot, or `null`. */
  tryTake(): Lane | null {
    if (this.#taken >= this.#limit || this.#waiting.length > 0) return null;
    const lane = this.#free.shift();
    if (lane === undefined) return null;
    this.#taken += 1;
    return lane;
  }

  /** Waits for a slot; calls are served in order. Rejects when the pool is closed. */
  take(): Promise<Lane> {
    if (this.#closed !== null) return Promise.reject(this.#closed);
    const lane = this.tryTake();
    if (lane !== null) return Promise.resolve(lane);
    return new Promise((give, fail) => {
      this.#waiting.push({ give, fail });
    });
  }

  /**
   * @param restMs - The slot stays unused for so long, at most for a minute, because the server may still be processing its write.
   */
  giveBack(lane: Lane, restMs = 0): void {
    if (restMs > 0) return this.#rest(lane, restMs);
    const next = this.#waiting.shift();
    if (next !== undefined) return next.give(lane);
    this.#taken -= 1;
    this.#free.push(lane);
  }

  /** Rejects all waiting calls. Idempotent. */
  close(error: Error): void {
    this.#closed ??= error;
    for (const timer of this.#resting) clearTimeout(timer);
    this.#resting.clear();
    for (const { fail } of this.#waiting.splice(0)) fail(error);
  }

  #rest(lane: Lane, restMs: number): void {
    const done = (): void => {
      this.#resting.delete(timer);
      this.giveBack(lane);
    };
    const timer = setTimeout(done, Math.min(restMs, MAX_REST_MS)).unref();
    this.#resting.add(timer);
  }
}
