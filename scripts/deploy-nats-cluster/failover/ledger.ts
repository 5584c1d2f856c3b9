/** Which messages were acknowledged to the publisher, and which of them the subscriber has received. Pure; its size is that of the gap. */

export class Ledger {
  #acknowledged = 0;
  #received = 0;
  #repeated = 0;
  #highest = 0;
  readonly #missing = new Set<number>();
  /** Received before their acknowledgement. */
  readonly #early = new Set<number>();

  /** The publisher got the acknowledgement of this message. Messages are numbered from 1 and published in this order. */
  acknowledged(message: number): void {
    this.#acknowledged++;
    if (!this.#early.delete(message)) this.#missing.add(message);
  }

  /** The subscriber received this message. */
  received(message: number): void {
    if (message <= this.#highest && !this.#missing.has(message)) {
      this.#repeated++;
      return;
    }
    this.#received++;
    this.#highest = Math.max(this.#highest, message);
    if (!this.#missing.delete(message)) this.#early.add(message);
  }

  get counts(): Counts {
    return {
      acknowledged: this.#acknowledged,
      received: this.#received,
      repeated: this.#repeated,
      lost: this.#missing.size,
    };
  }
}

export interface Counts {
  readonly acknowledged: number;
  readonly received: number;
  /** Received again: allowed, since a consumer delivers at least once. */
  readonly repeated: number;
  /** Acknowledged, and not received up to now. */
  readonly lost: number;
}
