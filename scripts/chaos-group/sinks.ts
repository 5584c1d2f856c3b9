/** Creates the streams of a world's ledgers and of their unfenced shadow, and reads them at the end. */
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { FencedStream, tokenFromNats } from "../../src/fencing.ts";
import { waitFor } from "../shared/wait.ts";
import { type Entry, ledgerOf, RESOURCES, SHADOW_STREAM, shadowOf } from "./member/messages.ts";

const READY_MS = 60_000;

export async function createSinks(servers: string[], replicas: number): Promise<void> {
  const nats = await connect({ servers, waitOnFirstConnect: true });
  // A cluster that has just started refuses for a while.
  const created = (create: () => Promise<unknown>): Promise<true> =>
    waitFor(
      () =>
        create().then(
          () => true as const,
          () => false,
        ),
      { timeoutMs: READY_MS, intervalMs: 250 },
    );
  try {
    for (const resource of RESOURCES) {
      const { stream, subject } = ledgerOf(resource);
      await created(async () =>
        (
          await FencedStream.connect(nats, { stream, subjects: [subject], replicas, timeoutMs: 5_000 })
        ).close(),
      );
    }
    await created(async () => {
      const manager = await jetstreamManager(nats);
      await manager.streams.add({ name: SHADOW_STREAM, subjects: ["shadow.>"], num_replicas: replicas });
    });
  } finally {
    await nats.close();
  }
}

export interface SinkContents {
  readonly entries: readonly Entry[];
  /** Of the unfenced entries, in the order of the stream. */
  readonly shadow: readonly number[];
}

export async function readSinks(servers: string[]): Promise<ReadonlyMap<string, SinkContents>> {
  const nats = await connect({ servers, waitOnFirstConnect: true });
  try {
    const all = new Map<string, SinkContents>();
    for (const resource of RESOURCES) {
      const { stream, subject } = ledgerOf(resource);
      const entries = await read(nats, stream, subject);
      const shadow = await read(nats, SHADOW_STREAM, shadowOf(resource));
      all.set(resource, {
        entries: entries.map(({ text }) => JSON.parse(text) as Entry),
        shadow: shadow.map(({ epoch }) => epoch),
      });
    }
    return all;
  } finally {
    await nats.close();
  }
}

async function read(
  nats: NatsConnection,
  stream: string,
  subject: string,
): Promise<{ readonly text: string; readonly epoch: number }[]> {
  const consumer = await jetstream(nats).consumers.get(stream, { filter_subjects: subject });
  let left = (await consumer.info()).num_pending;
  const messages: { text: string; epoch: number }[] = [];
  let last = 0;
  if (left === 0) return messages;
  for await (const message of await consumer.consume()) {
    // The consumer may begin again while it is read.
    if (message.seq <= last) continue;
    last = message.seq;
    messages.push({ text: message.string(), epoch: tokenFromNats(message.headers) ?? 0 });
    left -= 1;
    if (left === 0) break;
  }
  return messages;
}
