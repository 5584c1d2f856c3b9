import { inspect } from "node:util";
import { deferred, within } from "../../scripts/shared/wait.ts";
import { PATIENCE_MS } from "./patience.ts";

/** Records items in the order they arrive, and lets a test await an item that has not arrived yet. */
export class Recorder<T> {
  readonly items: T[] = [];
  readonly #checks = new Set<() => void>();
  #taken = 0;

  push(item: T): void {
    this.items.push(item);
    for (const check of [...this.#checks]) check();
  }

  /** The first item that matches, of those after the item that the previous `next` resolved with. Default timeout: `PATIENCE_MS`. */
  async next<S extends T>(matches: (item: T) => item is S, timeoutMs?: number): Promise<S>;
  async next(matches: (item: T) => boolean, timeoutMs?: number): Promise<T>;
  async next(matches: (item: T) => boolean, timeoutMs: number = PATIENCE_MS): Promise<T> {
    let found: T | undefined;
    await this.until(
      (items) => {
        const index = items.findIndex((item, at) => at >= this.#taken && matches(item));
        if (index < 0) return false;
        found = items[index];
        this.#taken = index + 1;
        return true;
      },
      timeoutMs,
      String(matches),
    );
    return found as T;
  }

  /** Resolves as soon as `holds` is true; it is evaluated after every item. Default timeout: `PATIENCE_MS`. */
  async until(
    holds: (items: readonly T[]) => boolean,
    timeoutMs: number = PATIENCE_MS,
    condition: string = String(holds),
  ): Promise<void> {
    const found = deferred();
    const check = (): void => {
      if (!holds(this.items)) return;
      this.#checks.delete(check);
      found.resolve();
    };
    this.#checks.add(check);
    try {
      check();
      const message = (): string =>
        `${condition}; items so far: ${inspect(this.items.slice(-12), { depth: 2 })}`;
      await within(found.promise, { timeoutMs, message });
    } finally {
      this.#checks.delete(check);
    }
  }
}
