/** Where the answers to questions about holders arrive. */
import type { Msg, NatsConnection, Subscription } from "@nats-io/transport-node";
import { systemRandom } from "../../runtime/system-clock.ts";
import { inboxOf } from "../connection/inbox.ts";

/** Takes one answer, or the error that ends the subscription. */
export type Receive = (answer: Msg | Error) => void;

/** One question's place in the inbox. */
export interface Place {
  /** Of this question alone: no answer on it is older. */
  readonly reply: string;
  end(): void;
}

/**
 * One subscription for all questions on a connection. It exists before the first one: a subscription for each would cost the server two
 * messages more between a crash and the next term.
 */
export class AnswerInbox {
  readonly #connection: NatsConnection;
  readonly #receivers = new Map<string, Receive>();
  #subscription: Subscription | null = null;
  #prefix = "";
  /** Drawn ahead: when a question is asked, time is short. */
  #nextReply: string | null = null;

  constructor(connection: NatsConnection) {
    this.#connection = connection;
  }

  /** Subscribes. Throws while the connection is being closed. */
  open(): void {
    if (this.#subscription !== null) return;
    this.#prefix = `${inboxOf(this.#connection)}.`;
    const subscription = this.#connection.subscribe(`${this.#prefix}*`, {
      callback: (error, message) => {
        if (error === null) return this.#receivers.get(message.subject)?.(message);
        // The user may not subscribe to it. The next question tries again.
        if (this.#subscription === subscription) this.#subscription = null;
        for (const receive of [...this.#receivers.values()]) receive(error);
      },
    });
    this.#subscription = subscription;
    this.#nextReply = this.#draw();
  }

  /** Throws as `open()`. */
  add(receive: Receive): Place {
    this.open();
    const reply = this.#nextReply ?? this.#draw();
    this.#nextReply = null;
    this.#receivers.set(reply, receive);
    return {
      reply,
      end: () => {
        this.#receivers.delete(reply);
        this.#nextReply ??= this.#draw();
      },
    };
  }

  close(): void {
    this.#subscription?.unsubscribe();
    this.#subscription = null;
  }

  /** Unguessable: clients that may publish to inboxes could answer in the server's name. */
  #draw(): string {
    return this.#prefix + systemRandom.id();
  }
}
