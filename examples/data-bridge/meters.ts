/** What one instance counts: the source of its reports, of `/health` and of `/metrics`. */
import type { PartitionConsumer } from "nats-leader/group";

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

/** The text format of Prometheus. Every line has the id and the number of the instance. */
export function metricsText(
  meters: Meters,
  labels: { readonly instance: string; readonly number: number },
): string {
  const own = `instance_id="${labels.instance}",instance_number="${labels.number}"`;
  const lines: string[] = [];
  for (const name of Object.keys(HELP) as (keyof Counters)[]) {
    lines.push(`# HELP bridge_${name}_total ${HELP[name]}`, `# TYPE bridge_${name}_total counter`);
    lines.push(`bridge_${name}_total{${own}} ${meters.counters[name]}`);
  }
  const gauges: readonly (readonly [string, string, (meter: PartitionMeter) => number])[] = [
    ["owned", "The instance owns this partition.", () => 1],
    ["epoch", "Fencing token of the term.", ({ epoch }) => epoch],
    ["position", "Sequence of the last message that is dealt with.", ({ position }) => position],
    ["lag", "Messages that wait, here and in the stream.", ({ lag }) => lag],
    ["paused", "1: the partition is paused.", ({ paused }) => Number(paused)],
  ];
  for (const [name, help, value] of gauges) {
    lines.push(`# HELP bridge_partition_${name} ${help}`, `# TYPE bridge_partition_${name} gauge`);
    for (const [partition, meter] of meters.partitions)
      lines.push(`bridge_partition_${name}{${own},partition="${partition}"} ${value(meter)}`);
  }
  return `${lines.join("\n")}\n`;
}
