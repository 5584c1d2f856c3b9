/** The streams to which the processes of a world write: creating them, and reading them at the end. */
import { setTimeout as pause } from "node:timers/promises";
import { jetstream } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { tokenFromNats } from "../../../src/fencing.ts";

const CREATE_TRIES = 120;
const RETRY_MS = 250;

/** Tries again and again: a cluster that has just started refuses for a while. */
export async function untilCreated(create: () => Promise<unknown>): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    try {
      await create();
      return;
    } catch (error) {
      if (tries === CREATE_TRIES) throw error;
      await pause(RETRY_MS);
    }
  }
}

export interface StoredMessage {
  readonly subject: string;
  readonly sequence: number;
  /** 0: it names none. */
  readonly epoch: number;
  readonly atMs: number;
  readonly data: string;
}

/** All messages of the stream on this subject, in its order. */
export async function readStream(
  nats: NatsConnection,
  stream: string,
  subject = ">",
): Promise<StoredMessage[]> {
  const consumer = await jetstream(nats).consumers.get(stream, { filter_subjects: subject });
  let left = (await consumer.info()).num_pending;
  const messages: StoredMessage[] = [];
  if (left === 0) return messages;
  for await (const message of await consumer.consume()) {
    const { subject, seq: sequence, headers, timestamp } = message;
    // The consumer may begin again while it is read. The order of the stream is that of its sequences.
    if (sequence <= (messages.at(-1)?.sequence ?? 0)) continue;
    const epoch = tokenFromNats(headers) ?? 0;
    messages.push({ subject, sequence, epoch, atMs: Date.parse(timestamp), data: message.string() });
    left -= 1;
    if (left === 0) break;
  }
  return messages;
}
