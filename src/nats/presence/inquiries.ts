/** Questions about connections that may be gone, asked by all elections on one connection. */
import type { SessionBinding } from "../../election/types.ts";

/** Asks the server of the binding whether it is gone. Never rejects. */
export type Ask = (binding: SessionBinding, timeoutMs: number) => Promise<boolean>;

interface Inquiry {
  readonly answer: Promise<boolean>;
  next: Promise<boolean> | null;
}

/**
 * One question at a time about each connection, however many elections ask and however often they are made to: ten
 * thousand that follow one process hear of its death in the same instant.
 */
export class Inquiries {
  readonly #ask: Ask;
  readonly #open = new Map<string, Inquiry>();

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  /** Settles within twice the time. */
  isGone(binding: SessionBinding, timeoutMs: number): Promise<boolean> {
    const key = [binding.serverId, binding.clientId, binding.presence].join(" ");
    const open = this.#open.get(key);
    if (open === undefined) return this.#begin(key, binding, timeoutMs);
    // What is under way may have been answered before the caller's reason to ask. A "gone" is for ever; after any other
    // answer one more question serves all who came meanwhile.
    open.next ??= open.answer.then((gone) => gone || this.isGone(binding, timeoutMs));
    return open.next;
  }

  #begin(key: string, binding: SessionBinding, timeoutMs: number): Promise<boolean> {
    const answer = this.#ask(binding, timeoutMs).then((gone) => {
      this.#open.delete(key);
      return gone;
    });
    this.#open.set(key, { answer, next: null });
    return answer;
  }
}
