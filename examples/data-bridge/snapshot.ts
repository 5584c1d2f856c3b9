/** The numbers that the starter shows, from what its instances have reported. */
import type { InstanceProcess } from "./instance.ts";
import type { Producer } from "./producer.ts";
import type { Supervisor } from "./supervisor.ts";
import type { InstanceRow, Snapshot } from "./view.ts";

/** Rates are those of the last second. */
const WINDOW_MS = 1000;

interface Sample {
  readonly at: number;
  readonly sent: number;
  readonly stored: ReadonlyMap<string, number>;
}

export class Snapshots {
  readonly #supervisor: Supervisor;
  readonly #producer: Producer;
  #before: Sample;
  #last: Sample;

  constructor(supervisor: Supervisor, producer: Producer) {
    this.#supervisor = supervisor;
    this.#producer = producer;
    this.#before = { at: performance.now(), sent: 0, stored: new Map() };
    this.#last = this.#before;
  }

  take(): Snapshot {
    const { instances } = this.#supervisor;
    const now = this.#sample(instances);
    if (now.at - this.#last.at >= WINDOW_MS) [this.#before, this.#last] = [this.#last, now];
    const seconds = Math.max(0.001, (now.at - this.#before.at) / 1000);
    const perSecond = (id: string): number => {
      const gained = (now.stored.get(id) ?? 0) - (this.#before.stored.get(id) ?? 0);
      return Math.round(gained / seconds);
    };
    const total = instances.reduce((sum, { id }) => sum + perSecond(id), 0);
    const counted = this.#supervisor.counters();
    const rows = instances.map((one) => this.#row(one, perSecond(one.id), total));
    return {
      sent: this.#producer.sent,
      stored: counted.stored,
      sentPerSecond: Math.round((now.sent - this.#before.sent) / seconds),
      storedPerSecond: total,
      duplicatesRemoved: counted.duplicates,
      deadLetters: counted.dead,
      refused: counted.refused,
      lag: rows.flatMap(({ partitions }) => partitions).reduce((sum, { lag }) => sum + lag, 0),
      instances: rows,
    };
  }

  #row(instance: InstanceProcess, storedPerSecond: number, total: number): InstanceRow {
    const { number, id, status, isFrozen, isStopping, http } = instance;
    const reported = new Map(status?.partitions.map((one) => [one.partition, one]));
    return {
      number,
      instance: id,
      state: isStopping ? "stopping" : isFrozen ? "frozen" : http === null ? "starting" : "ready",
      storedPerSecond,
      share: total === 0 ? 0 : Math.round((100 * storedPerSecond) / total),
      partitions: this.#supervisor.owned(instance).map((partition) => {
        const { lag = 0, paused = false } = reported.get(partition) ?? {};
        return { partition, lag, paused };
      }),
    };
  }

  #sample(instances: readonly InstanceProcess[]): Sample {
    return {
      at: performance.now(),
      sent: this.#producer.sent,
      stored: new Map(instances.map(({ id, status }) => [id, status?.counters.stored ?? 0])),
    };
  }
}
