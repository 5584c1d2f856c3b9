/**
 * Which readings are of the same server. A name alone does not identify a server: two NATS systems may both have a server "nats-0". Its id
 * does, but it is new after each start, so that what was once the same server stays it while one of its sources fails.
 */
import type { SourceReading } from "../sources/read-server.ts";
import type { ServerReading } from "./samples.ts";

interface Entry {
  readonly key: string;
  /** One that has answered wins. */
  best: SourceReading;
  readonly all: SourceReading[];
}

export class OnePerServer {
  /** From each source of a server to the first one: as many as there are servers and ports. */
  readonly #first = new Map<string, string>();

  /** Sorted by name. Those that share a name with another one have their `url`. */
  sort(readings: readonly SourceReading[]): ServerReading[] {
    const byName = new Map<string, Entry[]>();
    for (const reading of readings) {
      const entries = byName.get(reading.server) ?? [];
      byName.set(reading.server, entries);
      this.#add(entries, reading);
    }
    return [...byName.values()]
      .flatMap((entries) => entries.map((entry) => readingOf(entry, entries.length > 1)))
      .sort((a, b) => (a.server < b.server ? -1 : Number(a.server > b.server)));
  }

  #add(entries: Entry[], reading: SourceReading): void {
    const key = JSON.stringify([reading.source, reading.server]);
    const first = this.#first.get(key);
    const entry =
      entries.find(({ all }) => all.some((one) => isSame(one, reading))) ??
      entries.find((one) => one.key === first && (one.best.error !== null || reading.error !== null));
    if (entry === undefined) {
      entries.push({ key, best: reading, all: [reading] });
      if (first === undefined) this.#first.set(key, key);
      return;
    }
    this.#first.set(key, entry.key);
    entry.all.push(reading);
    if (entry.best.error !== null && reading.error === null) entry.best = reading;
  }
}

/** Servers without an id are no real ones: then the system account is taken to have the same as a port. */
function isSame(a: SourceReading, b: SourceReading): boolean {
  if (a.serverId !== null && b.serverId !== null) return a.serverId === b.serverId;
  return (a.source === null) !== (b.source === null);
}

function readingOf({ best, all }: Entry, isShared: boolean): ServerReading {
  const { server, error, tookMs, documents, unread } = best;
  const url = isShared ? (all.find(({ source }) => source !== null)?.source ?? null) : null;
  return { server, url, error, tookMs, documents, unread };
}
