/** A database in memory for the simulation. It records what the application must never do. */
import type { ProcessContext } from "../../src/testing.ts";
import type { Takeable } from "./wrong-jobs.ts";

export class Database {
  readonly #orders: string[] = [];
  readonly #taken = new Set<string>();
  readonly #invoices = new Map<string, number>();
  #fence = 0;
  #newestEpoch = 0;
  readonly problems: string[] = [];

  get invoices(): number {
    return this.#invoices.size;
  }

  order(name: string): void {
    this.#orders.push(name);
  }

  /** Orders without an invoice. */
  get open(): readonly string[] {
    return this.#orders.filter((order) => !this.#invoices.has(order));
  }

  /** Access to the database over the network of one process. */
  seenBy({ name, call }: ProcessContext): Takeable {
    const oldest = (): string | null => this.open.find((order) => !this.#taken.has(order)) ?? null;
    return {
      oldestOpen: () => call(oldest),
      takeOldest: () =>
        call(() => {
          const order = oldest();
          if (order !== null) this.#taken.add(order);
          return order;
        }),
      writeInvoice: (order, epoch) => {
        // Checked when the process sends the write, not when it arrives: the process itself must notice that its term is over.
        if (epoch < this.#newestEpoch) {
          this.problems.push(
            `${name} continues the job of epoch ${epoch} after a job of epoch ${this.#newestEpoch}`,
          );
        }
        this.#newestEpoch = Math.max(this.#newestEpoch, epoch);
        return call(() => this.#write(order, epoch));
      },
    };
  }

  /** A write may arrive long after it was sent, when another process leads. The fence rejects it. */
  #write(order: string, epoch: number): void {
    if (epoch < this.#fence) throw new Error(`stale epoch ${epoch}: the newest is ${this.#fence}`);
    this.#fence = epoch;
    if (!this.#invoices.has(order)) this.#invoices.set(order, this.#invoices.size + 1);
  }
}
