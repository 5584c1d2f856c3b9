/** The receiver's side: remember the largest token, refuse smaller ones. */
import { compareTokens } from "./compare.ts";
import { staleToken } from "./stale.ts";
import { type TokenSource, tokenOf } from "./token.ts";

/** Lets current leaders pass. Implemented in memory here, and in a key-value bucket by `KvFence`. */
export interface Fence {
  /** How messages call it. */
  readonly name: string;
  /** The largest token seen by this process, 0 before the first. */
  readonly highest: number;
  /**
   * Resolves for a token not smaller than every one admitted before. Rejects with `STALE_EPOCH` otherwise, and for
   * `null`: what a message without a token reads as. Rejects with anything else when it can't tell: don't act then.
   */
  admit(token: TokenSource | null): Promise<void>;
}

/**
 * A fence in memory, for one process that alone guards its resource. A restart forgets the token: until the next message
 * of the present leader a deposed one could pass. `KvFence` remembers.
 */
export class MemoryFence implements Fence {
  readonly name: string;
  #highest = 0;

  constructor(name = "the fence") {
    this.name = name;
  }

  get highest(): number {
    return this.#highest;
  }

  /** Like `admit`, at once. Throws `STALE_EPOCH`. */
  check(token: TokenSource | null): void {
    const value = token === null ? null : tokenOf(token);
    const { pass, highest } = compareTokens(this.#highest, value);
    if (!pass) throw staleToken(this.name, value, this.#highest);
    this.#highest = highest;
  }

  async admit(token: TokenSource | null): Promise<void> {
    this.check(token);
  }
}
