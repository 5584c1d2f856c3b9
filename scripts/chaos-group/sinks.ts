/** Creates the streams of a world's ledgers and of their unfenced shadow, and reads them at the end. */
import { jetstreamManager } from "@nats-io/jetstream";
import { FencedStream } from "../../src/fencing.ts";
import { readStream, untilCreated } from "../chaos/harness/streams.ts";
import { connectPatiently } from "../chaos/servers/connect.ts";
import { type Entry, ledgerOf, RESOURCES, SHADOW_STREAM, shadowOf } from "./member/messages.ts";

export async function createSinks(servers: string[], replicas: number): Promise<void> {
  const nats = await connectPatiently({ servers });
  try {
    for (const resource of RESOURCES) {
      const { stream, subject } = ledgerOf(resource);
      const options = { stream, subjects: [subject], replicas, timeoutMs: 5_000 };
      await untilCreated(async () => (await FencedStream.connect(nats, options)).close());
    }
    await untilCreated(async () => {
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
  const nats = await connectPatiently({ servers });
  try {
    const all = new Map<string, SinkContents>();
    for (const resource of RESOURCES) {
      const { stream, subject } = ledgerOf(resource);
      const entries = await readStream(nats, stream, subject);
      const shadow = await readStream(nats, SHADOW_STREAM, shadowOf(resource));
      all.set(resource, {
        entries: entries.map(({ data }) => JSON.parse(data) as Entry),
        shadow: shadow.map(({ epoch }) => epoch),
      });
    }
    return all;
  } finally {
    await nats.close();
  }
}
