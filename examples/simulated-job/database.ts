/** A database in memory for the simulation, which notes what the application must never do. */
import type { ProcessContext } from "../../src/testing.ts";
import type { Takeable } from "./wrong-jobs.ts";

export class Database {
  readonly #orders: string[] = [];
  readonly #taken = new Set<string>();
  readonly #invoices = new Map<string, number>();
  #fence = 0;
  #newestRun = 0;
  /** What went wrong: empty, if all is well. */
  readonly wrong: string[] = [];

  get invoices(): number {
    return this.#invoices.size;
  }

  order(name: string): void {
    this.#orders.push(name);
  }

  /** Orders that have no invoice. */
  get open(): readonly string[] {
    return this.#orders.filter((order) => !this.#invoices.has(order));
  }

  /** The database as one process sees it: over its network. */
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
        // Judged where the step is taken, not where it arrives: it is the process that must know that its time is over.
        if (epoch < this.#newestRun) {
          this.wrong.push(`${name} goes on with its run of epoch ${epoch} beside that of ${this.#newestRun}`);
        }
        this.#newestRun = Math.max(this.#newestRun, epoch);
        return call(() => this.#write(order, epoch));
      },
    };
  }

  /** A write may arrive long after it was sent, when somebody else leads: that is what the fence is for. */
  #write(order: string, epoch: number): void {
    if (epoch < this.#fence) throw new Error(`epoch ${epoch}, but ${this.#fence} was here`);
    this.#fence = epoch;
    if (!this.#invoices.has(order)) this.#invoices.set(order, this.#invoices.size + 1);
  }
}
