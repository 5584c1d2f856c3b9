/** Two wrong versions of `writeInvoices`. Each works until a fault comes at the wrong moment. */
import type { Job, Orders } from "./invoices.ts";

/** A database from which a job can take an order before it has written the invoice. */
export interface Takeable extends Orders {
  takeOldest(): Promise<string | null>;
}

/** Assumes that it still leads after it has waited. */
export const skipsHeldCheck: Job<Orders> = async (term, orders, sleep) => {
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

/** Takes the order off the list first, and loses it if it crashes before it has written the invoice. */
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
