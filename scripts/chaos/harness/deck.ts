import type { Random } from "../../../src/testing/simulation/random.ts";

/** Deals all of its cards in random order, then all of them again. */
export class Deck<Card> {
  readonly #cards: readonly Card[];
  readonly #random: Random;
  #left: Card[] = [];

  constructor(cards: readonly Card[], random: Random) {
    this.#cards = cards;
    this.#random = random;
  }

  /** Prefers a card that is not in `seen`. */
  deal(seen: ReadonlySet<Card>): Card {
    if (this.#left.length === 0) this.#left = [...this.#cards];
    const fresh = this.#left.filter((card) => !seen.has(card));
    const card = this.#random.pick(fresh.length > 0 ? fresh : this.#left);
    this.#left.splice(this.#left.indexOf(card), 1);
    return card;
  }
}
