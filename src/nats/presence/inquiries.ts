/** Inquiries about connections that may be closed, shared by all elections on one connection. */
import type { SessionBinding } from "../../election/types.ts";

/** Resolves to true if the server of the binding confirms that the connection is closed. Never rejects. */
export type Ask = (binding: SessionBinding, timeoutMs: number) => Promise<boolean>;

interface Inquiry {
  readonly answer: Promise<boolean>;
  next: Promise<boolean> | null;
}

/**
 * One request at a time about each connection, independent of the number of elections: ten thousand elections that follow one
 * process all suspect its death at the same moment.
 */
export class Inquiries {
  readonly #ask: Ask;
  readonly #open = new Map<string, Inquiry>();

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  /** Settles within twice `timeoutMs`. */
  isGone(binding: SessionBinding, timeoutMs: number): Promise<boolean> {
    const key = [binding.serverId, binding.clientId, binding.presence].join(" ");
    const open = this.#open.get(key);
    if (open === undefined) return this.#begin(key, binding, timeoutMs);
    // The server may have answered the open request before the caller's suspicion arose. "Closed" is final; after any other
    // answer one more request serves all callers that arrived in between.
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
