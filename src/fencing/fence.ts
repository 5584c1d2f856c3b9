/** The receiver's side of fencing: it remembers the largest token and refuses smaller ones. */
import { compareTokens } from "./compare.ts";
import { refusedToken } from "./stale.ts";
import { type TokenSource, tokenOf } from "./token.ts";

/** Admits the tokens of the current leader. `MemoryFence` keeps the largest token in memory, `KvFence` in a key-value bucket. */
export interface Fence {
  /** The fence's name in error messages. */
  readonly name: string;
  /** The largest token that this process has seen; 0 before the first. */
  readonly highest: number;
  /**
   * Resolves if the token is at least as large as every token admitted before. A token more than 2^41 above them is refused: it is
   * not that of a term, and the fence would refuse all further leaders.
   *
   * @param token - `null` stands for a message without a token; it is always refused.
   * @throws ClusterError `STALE_EPOCH` for a refused token; `INVALID_CONFIG` for no token, and for a value that is not one. Any other error means
   * that the fence could not decide: the message must not be acted upon.
   */
  admit(token: TokenSource | null): Promise<void>;
}

/**
 * A fence in the memory of a process that is the only one to guard its resource. A restart loses the largest token: until the
 * first message of the current leader arrives, the fence admits a deposed one. `KvFence` survives restarts. To repair a fence that
 * has admitted a forged epoch, restart the process.
 *
 * @example
 * ```ts
 * const fence = new MemoryFence("the printer");
 * fence.check(tokenFromHttp(request.headers)); // throws STALE_EPOCH
 * ```
 */
export class MemoryFence implements Fence {
  readonly name: string;
  #highest = 0;

  /** @param name - Begins the message of a refusal. */
  constructor(name = "the fence") {
    this.name = name;
  }

  get highest(): number {
    return this.#highest;
  }

  /**
   * As `admit`, but synchronous.
   *
   * @throws ClusterError `STALE_EPOCH`; `INVALID_CONFIG` for no token, and for a value that is not one.
   */
  check(token: TokenSource | null): void {
    const value = token === null ? null : tokenOf(token);
    const { pass, highest } = compareTokens(this.#highest, value);
    if (!pass) throw refusedToken(this.name, value, this.#highest);
    this.#highest = highest;
  }

  async admit(token: TokenSource | null): Promise<void> {
    this.check(token);
  }
}
