/** What one instance counts: the source of its reports, of `/health` and of `/metrics`. */
import type { PartitionConsumer } from "nats-leader/group";
import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";

/** What is shown of the consumer of a partition. */
interface Reader {
  readonly messages: Pick<PartitionConsumer, "buffered" | "pending">;
  /** With more messages in the buffer nothing is asked for. */
  readonly readAhead: number;
}

export class PartitionMeter {
  readonly epoch: number;
  position = 0;
  /** Why the partition does not move, in the words of the error; `null`: it does. */
  failing: string | null = null;
  reader: Reader | null = null;
  /** As last reported. */
  wasPaused = false;

  constructor(epoch: number) {
    this.epoch = epoch;
  }

  /** Messages after the last one that was taken. */
  get lag(): number {
    return this.reader === null ? 0 : this.reader.messages.pending + this.reader.messages.buffered;
  }

  get paused(): boolean {
    return this.reader !== null && this.reader.messages.buffered > this.reader.readAhead;
  }
}

/** Counters, since the start of this process. */
export interface Counters {
  stored: number;
  duplicates: number;
  dead: number;
  retries: number;
  pauses: number;
  /** Writes that the sink has refused, because the partition has a newer owner. */
  refused: number;
  failures: number;
}

export class Meters {
  readonly counters: Counters = {
    stored: 0,
    duplicates: 0,
    dead: 0,
    retries: 0,
    pauses: 0,
    refused: 0,
    failures: 0,
  };
  /** Only of partitions that this instance owns. */
  readonly partitions: Map<string, PartitionMeter> = new Map<string, PartitionMeter>();
}

export function addCounters(a: Counters, b: Counters | undefined): Counters {
  const sum = { ...a };
  for (const name of Object.keys(b ?? {}) as (keyof Counters)[]) sum[name] += b?.[name] ?? 0;
  return sum;
}

const HELP: Record<keyof Counters, string> = {
  stored: "Ticks stored in the sink.",
  duplicates: "Ticks that were stored already.",
  dead: "Messages that became dead letters.",
  retries: "Repeated attempts to work on a message.",
  pauses: "Partitions paused because the sink is slower than the stream.",
  refused: "Writes refused by the sink because the partition has a newer owner.",
  failures: "Failed writes, opens of the sink and reads of the stream.",
};

const PARTITION: readonly (readonly [
  name: string,
  help: string,
  value: (meter: PartitionMeter) => number,
])[] = [
  ["owned", "The instance owns this partition.", () => 1],
  ["epoch", "Fencing token of the term.", ({ epoch }) => epoch],
  ["position", "Sequence of the last message that is dealt with.", ({ position }) => position],
  ["lag", "Messages that wait, here and in the stream.", ({ lag }) => lag],
  ["paused", "1: the partition is paused.", ({ paused }) => Number(paused)],
  [
    "failing",
    "1: the partition does not move, because of an error.",
    ({ failing }) => Number(failing !== null),
  ],
];

export interface Instance {
  readonly instance: string;
  readonly number: number;
  readonly isConnected: () => boolean;
}

/**
 * The metrics of one instance, read when they are asked for. Every series has the id and the number of the instance; partitions that it does
 * not own have none. The metrics of the process, such as CPU and memory, are those of prom-client.
 */
export function metricsOf(meters: Meters, { instance, number, isConnected }: Instance): Registry {
  const registry = new Registry();
  registry.setDefaultLabels({ instance_id: instance, instance_number: String(number) });
  collectDefaultMetrics({ register: registry });
  for (const name of Object.keys(HELP) as (keyof Counters)[]) {
    new Counter({
      name: `bridge_${name}_total`,
      help: HELP[name],
      registers: [registry],
      collect() {
        this.reset();
        this.inc(meters.counters[name]);
      },
    });
  }
  const gauge = (name: string, help: string, value: () => number): void => {
    new Gauge({
      name: `bridge_${name}`,
      help,
      registers: [registry],
      collect() {
        this.set(value());
      },
    });
  };
  gauge("partitions", "Number of partitions that the instance owns.", () => meters.partitions.size);
  gauge("connected", "1: the instance has a connection to NATS.", () => Number(isConnected()));
  for (const [name, help, value] of PARTITION) {
    new Gauge({
      name: `bridge_partition_${name}`,
      help,
      labelNames: ["partition"],
      registers: [registry],
      collect() {
        this.reset();
        for (const [partition, meter] of meters.partitions) this.set({ partition }, value(meter));
      },
    });
  }
  return registry;
}
