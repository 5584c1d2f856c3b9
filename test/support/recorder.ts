import { inspect } from "node:util";
import { deferred, within } from "../../scripts/shared/wait.ts";

/** Everything that came, in order, and ways to await what is still to come. */
export class Recorder<T> {
  readonly items: T[] = [];
  readonly #looks = new Set<() => void>();
  #taken = 0;

  push(item: T): void {
    this.items.push(item);
    for (const look of [...this.#looks]) look();
  }

  /** The first item that matches, of those after the one that the last `next` resolved with. */
  async next<S extends T>(matches: (item: T) => item is S, timeoutMs?: number): Promise<S>;
  async next(matches: (item: T) => boolean, timeoutMs?: number): Promise<T>;
  async next(matches: (item: T) => boolean, timeoutMs = 5000): Promise<T> {
    let found: T | undefined;
    await this.until((items) => {
      const index = items.findIndex((item, at) => at >= this.#taken && matches(item));
      if (index < 0) return false;
      found = items[index];
      this.#taken = index + 1;
      return true;
    }, timeoutMs);
    return found as T;
  }

  /** Resolves as soon as `holds`, which is looked at whenever something came. */
  async until(holds: (items: readonly T[]) => boolean, timeoutMs = 5000): Promise<void> {
    const found = deferred();
    const look = (): void => {
      if (!holds(this.items)) return;
      this.#looks.delete(look);
      found.resolve();
    };
    this.#looks.add(look);
    try {
      look();
      const message = (): string => `${holds}; there came ${inspect(this.items.slice(-12), { depth: 2 })}`;
      await within(found.promise, { timeoutMs, message });
    } finally {
      this.#looks.delete(look);
    }
  }
}
