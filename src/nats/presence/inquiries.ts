/** Questions about the connections of holders, shared by all elections on one connection. */
import type { HolderAnswer, SessionBinding } from "../../election/types.ts";
import type { InquiryOptions } from "../../runtime/ports.ts";

/** Asks the server of the binding about the connection, after the call. Settles within `timeoutMs`. Never rejects. */
export type Ask = (binding: SessionBinding, timeoutMs: number) => Promise<HolderAnswer>;

interface Inquiry {
  readonly answer: Promise<HolderAnswer>;
  /** The inquiry after this one. It is begun after the calls of all who wait for it. */
  next: Promise<HolderAnswer> | null;
}

/**
 * One inquiry at a time about each connection, independent of the number of elections: ten thousand elections that follow one
 * process all suspect its death at the same moment.
 */
export class Inquiries {
  readonly #ask: Ask;
  readonly #open = new Map<string, Inquiry>();

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  /**
   * Settles within twice `timeoutMs`. An inquiry that is under way may have been answered before this call. For the end of the
   * connection that will do, since it is final. For every other answer a later inquiry serves all callers that arrived in between.
   */
  inquire(binding: SessionBinding, { timeoutMs, closedIsEnough }: InquiryOptions): Promise<HolderAnswer> {
    const { serverId, clientId, presence, silence } = binding;
    const key = [serverId, clientId, presence, silence?.account].join(" ");
    const open = this.#open.get(key);
    if (open === undefined) return this.#begin(key, binding, timeoutMs);
    const askNext = (): Promise<HolderAnswer> => {
      open.next ??= open.answer.then(
        () => this.#open.get(key)?.answer ?? this.#begin(key, binding, timeoutMs),
      );
      return open.next;
    };
    if (!closedIsEnough) return askNext();
    return open.answer.then((answer) => (answer.kind === "closed" ? answer : askNext()));
  }

  #begin(key: string, binding: SessionBinding, timeoutMs: number): Promise<HolderAnswer> {
    const answer = this.#ask(binding, timeoutMs).then((given) => {
      this.#open.delete(key);
      return given;
    });
    this.#open.set(key, { answer, next: null });
    return answer;
  }
}
