/** The work of one instance on one partition that it owns: read, work, store, again and again until the term ends. */
import { setTimeout as pause } from "node:timers/promises";
import type { NatsConnection } from "@nats-io/transport-node";
import { ClusterError } from "nats-leader/fencing";
import { partitionConsumer, type ResourceTerm } from "nats-leader/group";
import type { BridgeConfig } from "./config.ts";
import { type Meters, PartitionMeter } from "./meters.ts";
import type { Names } from "./names.ts";
import type { Report } from "./report.ts";
import type { Batch, DeadLetter, SeqTick, Sink } from "./sink/sink.ts";

import { work } from "./tick.ts";

export interface Bridge {
  readonly config: Pick<BridgeConfig, "batch" | "maxPending" | "tries">;
  readonly names: Names;
  readonly nats: NatsConnection;
  readonly sink: Sink;
  readonly meters: Meters;
  /** Milliseconds that each batch waits before it is stored: shows the back-pressure. */
  readonly slowMs: () => number;
  readonly report: (report: Report) => void;
}

const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 5000;

/**
 * Resolves when the term has ended. What fails is opened again, for as long as the term lasts: the sink first moves its fence and then says
 * what is stored, so that after an error it does not matter whether the last batch was stored.
 */
export async function bridgePartition(
  term: ResourceTerm,
  signal: AbortSignal,
  bridge: Bridge,
): Promise<void> {
  const { meters, report } = bridge;
  const { resource: partition, epoch } = term;
  const meter = new PartitionMeter(epoch);
  meters.partitions.set(partition, meter);
  try {
    for (let failures = 0; !signal.aborted; failures++) {
      try {
        await run(term, signal, bridge, meter, () => {
          failures = 0;
        });
      } catch (error) {
        if (error instanceof ClusterError && error.code === "STALE_EPOCH") {
          meters.counters.refused += 1;
          report({ type: "refused", partition, epoch, message: error.message });
          if (signal.aborted) return;
          throw error; // the member gives the partition up
        }
        if (signal.aborted) return;
        meters.counters.failures += 1;
        const isFirst = meter.failing === null;
        meter.failing = error instanceof Error ? error.message : String(error);
        if (isFirst) report({ type: "failing", partition, message: meter.failing });
        await pause(backoffMs(failures), undefined, { signal }).catch(() => {});
      }
    }
  } finally {
    // The next term of this partition may be here already, with a meter of its own.
    if (meters.partitions.get(partition) === meter) meters.partitions.delete(partition);
  }
}

async function run(
  term: ResourceTerm,
  signal: AbortSignal,
  bridge: Bridge,
  meter: PartitionMeter,
  onProgress: () => void,
): Promise<void> {
  const { config, names, nats, sink, meters, report } = bridge;
  const { resource: partition, epoch } = term;
  const at = await sink.open(term); // the fence first, then the position
  if (signal.aborted) return;
  meter.position = at.position;
  report({ type: "open", partition, epoch, position: at.position });
  const readAhead = Math.ceil(config.maxPending / 2);
  const messages = await partitionConsumer(term, {
    connection: nats,
    stream: names.ticks,
    subject: `${names.subject}.${partition}.*`,
    after: at.position,
    // Back-pressure: while a batch is being stored nothing is taken. With more than this here the consumer asks for no more, so that at
    // most twice as many are in memory, and the rest waits in the stream.
    batch: readAhead,
    signal,
  });
  meter.reader = { readAhead, messages };
  try {
    for await (const some of messages.batches({ max: config.batch })) {
      const batch = await workOn(some, at.position, signal, bridge);
      if (batch === null) return;
      if (bridge.slowMs() > 0) await pause(bridge.slowMs(), undefined, { signal }).catch(() => {});
      // Whether the term is still held is not asked before the write. The answer could be out of date when the write arrives; the sink
      // refuses the write of a term that is over.
      const { stored, duplicates } = await at.write(batch);
      meters.counters.stored += stored;
      meters.counters.duplicates += duplicates;
      meters.counters.dead += batch.dead.length;
      for (const { seq, tries, error } of batch.dead) report({ type: "dead", partition, seq, tries, error });
      meter.position = at.position;
      meter.failing = null;
      onProgress();
    }
  } finally {
    meter.reader = null;
    await messages.close();
  }
}

interface Message {
  readonly sequence: number;
  readonly data: Uint8Array;
}

/** In the order of the stream: a message that fails is tried again before the next one. `null`: the term has ended. */
async function workOn(
  messages: readonly Message[],
  prev: number,
  signal: AbortSignal,
  { config, meters }: Bridge,
): Promise<Batch | null> {
  const ticks: SeqTick[] = [];
  const dead: DeadLetter[] = [];
  for (const { sequence: seq, data } of messages) {
    for (let tries = 1; ; tries++) {
      try {
        ticks.push({ ...(await work(data)), seq });
        break;
      } catch (error) {
        if (tries >= config.tries) {
          dead.push({ seq, data, tries, error: error instanceof Error ? error.message : String(error) });
          break;
        }
        meters.counters.retries += 1;
        await pause(backoffMs(tries - 1), undefined, { signal }).catch(() => {});
        if (signal.aborted) return null; // the next owner begins here
      }
    }
  }
  return { prev, last: messages.at(-1)?.sequence ?? prev, ticks, dead };
}

function backoffMs(failures: number): number {
  return Math.min(FIRST_RETRY_MS * 2 ** failures, LONGEST_RETRY_MS);
}
