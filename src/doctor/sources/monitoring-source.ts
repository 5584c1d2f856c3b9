/** Reads servers through their monitoring ports, which have all documents and need no login. */
import { askedNow } from "../clocks/clock.ts";
import type { ClockBook } from "../clocks/clock-book.ts";
import type { ServerFacts } from "../facts.ts";
import { timeIn } from "./json.ts";
import type { MonitoringPorts } from "./monitoring-ports.ts";
import { eachStream, type FoundStream, serverOf } from "./read-server.ts";

/** What one source found out. */
export interface SourceFacts {
  readonly servers: readonly ServerFacts[];
  /** From server ids to names. */
  readonly ids: ReadonlyMap<string, string>;
  /** Streams of all accounts, with their configuration. */
  readonly streams: readonly FoundStream[];
}

export const NOTHING_FOUND: SourceFacts = { servers: [], ids: new Map(), streams: [] };

export class MonitoringSource {
  readonly #ports: MonitoringPorts;
  readonly #book: ClockBook;

  constructor(ports: MonitoringPorts, book: ClockBook) {
    this.#ports = ports;
    this.#book = book;
  }

  async read(): Promise<SourceFacts> {
    const readings = await this.#ports.read();
    await this.clocks();
    const answered = readings.filter(({ error }) => error === null);
    return {
      servers: readings.map((reading) => serverOf(reading, reading.source)),
      ids: new Map(
        answered.flatMap(({ serverId, server }) => (serverId === null ? [] : [[serverId, server] as const])),
      ),
      streams: answered.flatMap(({ documents: { jsz } }) => (jsz === null ? [] : eachStream(jsz))),
    };
  }

  /** Samples every clock again, by the smallest document that has the time. */
  async clocks(): Promise<void> {
    await Promise.all(
      this.#ports.named().map(async ({ url, name }) => {
        const asked = askedNow();
        const answer = await this.#ports.get(url, "gatewayz").catch(() => null);
        if (answer !== null) this.#book.server(name, asked, timeIn(answer, "now"));
      }),
    );
  }

  close(): void {
    this.#ports.close();
  }
}
