/** What somebody might write instead of `writeInvoices`. Each works, until something breaks at the wrong moment. */
import type { Job, Orders } from "./invoices.ts";

/** The database of those who take an order off the list before they have dealt with it. */
export interface Takeable extends Orders {
  takeOldest(): Promise<string | null>;
}

/** Believes that it still leads after whatever it has waited for. */
export const doesNotLookAgain: Job<Orders> = async (term, orders, sleep) => {
  while (!term.signal.aborted) {
    try {
      const order = await orders.oldestOpen();
      await sleep(order === null ? 100 : 200);
      if (order !== null) await orders.writeInvoice(order, term.epoch);
    } catch {
      await sleep(100);
    }
  }
};

/** Takes the order off the list first, and loses it when it crashes before the invoice is written. */
export const takesFirst: Job<Takeable> = async (term, orders, sleep) => {
  while (!term.signal.aborted) {
    try {
      const order = term.held ? await orders.takeOldest() : null;
      await sleep(order === null ? 100 : 200);
      if (order !== null && term.held) await orders.writeInvoice(order, term.epoch);
    } catch {
      await sleep(100);
    }
  }
};
