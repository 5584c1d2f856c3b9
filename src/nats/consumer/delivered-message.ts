/** A message of a partition, as the application is given it. */
import type { Msg, MsgHdrs } from "@nats-io/transport-node";
import type { Delivery } from "../bucket/bucket-watch.ts";
import { sizeOf } from "./ordered-pull.ts";

/** A message of the stream. It needs no acknowledgement. */
export interface PartitionMessage {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly headers: MsgHdrs | undefined;
  /** Its sequence in the stream: the position, once it and all messages before it are handled. */
  readonly sequence: number;
  /** When the server stored it, in Unix milliseconds of the server's clock. */
  readonly storedAt: number;
  /** The data as UTF-8. */
  string(): string;
  /** The data as JSON. @throws SyntaxError if it is none. */
  json<T = unknown>(): T;
}

export class DeliveredMessage implements PartitionMessage {
  readonly sequence: number;
  /** Its size, as far as the buffer counts it. */
  readonly bytes: number;
  /** How many more the partition had then, as far as the server knew. */
  readonly pending: number;
  readonly #message: Msg;

  constructor(message: Msg, { sequence, pending }: Pick<Delivery, "sequence" | "pending">) {
    this.#message = message;
    this.sequence = sequence;
    this.pending = pending;
    this.bytes = sizeOf(message);
  }

  get subject(): string {
    return this.#message.subject;
  }

  get data(): Uint8Array {
    return this.#message.data;
  }

  get headers(): MsgHdrs | undefined {
    return this.#message.headers;
  }

  get storedAt(): number {
    // The time in nanoseconds stands before the number of pending messages, which is the last token, or the last but one.
    const tokens = this.#message.reply?.split(".") ?? [];
    return Number(tokens[tokens.length === 9 ? 7 : 9]) / 1_000_000;
  }

  string(): string {
    return this.#message.string();
  }

  json<T = unknown>(): T {
    return this.#message.json<T>();
  }
}
