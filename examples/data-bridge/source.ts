/** TEMPORARY until partitionConsumer() is there. */
import { DeliverPolicy, type JsMsg, jetstream } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import type { ResourceTerm } from "nats-leader/group";

interface Options {
  connection: NatsConnection;
  stream: string;
  subject: string;
  after: number;
  batch: number;
  signal: AbortSignal;
}

export async function partitionConsumer(
  _term: ResourceTerm,
  { connection, stream, subject, after, batch, signal }: Options,
) {
  const consumer = await jetstream(connection).consumers.get(stream, {
    filter_subjects: subject,
    deliver_policy: DeliverPolicy.StartSequence,
    opt_start_seq: after + 1,
  });
  const messages = await consumer.consume({ max_messages: 200 });
  const buffer: (JsMsg & { sequence: number })[] = [];
  let wake = () => {};
  let resume = () => {};
  let pending = 0;
  signal.addEventListener("abort", () => wake());
  void (async () => {
    for await (const message of messages) {
      buffer.push(Object.assign(message, { sequence: message.seq }));
      pending = message.info.pending;
      wake();
      if (buffer.length >= batch) await new Promise<void>((resolve) => (resume = resolve));
    }
  })();
  return {
    get buffered() {
      return buffer.length;
    },
    get paused() {
      return buffer.length >= batch;
    },
    get pending() {
      return pending;
    },
    async *batches({ max }: { max: number }) {
      try {
        while (!signal.aborted) {
          if (buffer.length === 0) await new Promise<void>((resolve) => (wake = resolve));
          if (buffer.length > 0) yield buffer.splice(0, max);
          if (buffer.length < batch) resume();
        }
      } finally {
        await messages.close();
      }
    },
    close: async () => void (await messages.close()),
  };
}
