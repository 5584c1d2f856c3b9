/** The clocks that are looked at, by name, over all looks. */
import { type Asked, ClockHistory, type ClockReading, readingOf, sampleOf } from "./clock.ts";

const RESOLUTION_MS = 1;
/** Every restart of a node is another clock; the oldest are forgotten. */
const CLOCKS_KEPT = 4_096;

export class ClockBook {
  readonly #histories = new Map<string, ClockHistory>();

  /** A server's: nanoseconds on the wire. */
  server(name: string, asked: Asked, remoteMs: number | null): void {
    if (remoteMs !== null) this.#of(`server ${name}`).add(sampleOf(asked, remoteMs));
  }

  /** A node's wall clock, in whole milliseconds. */
  nodeWall(process: string, asked: Asked, remoteMs: number): void {
    this.#of(`wall ${process}`).add(sampleOf(asked, remoteMs, RESOLUTION_MS));
  }

  /** The time since a node's start, by the clock that it measures leases with: rounded to milliseconds, not down. */
  nodeUptime(process: string, asked: Asked, uptimeMs: number): void {
    const sample = sampleOf(asked, uptimeMs - RESOLUTION_MS / 2, RESOLUTION_MS);
    this.#of(`uptime ${process}`).add(sample);
  }

  ofServer(name: string): ClockReading | null {
    return readingOf(this.#of(`server ${name}`));
  }

  /** `process`: one incarnation, so that a restart is no clock that went back. */
  ofNode(process: string): ClockReading | null {
    return readingOf(this.#of(`wall ${process}`), this.#of(`uptime ${process}`));
  }

  #of(key: string): ClockHistory {
    let history = this.#histories.get(key);
    if (history === undefined) {
      history = new ClockHistory();
      this.#histories.set(key, history);
      const [oldest = key] = this.#histories.keys();
      if (this.#histories.size > CLOCKS_KEPT) this.#histories.delete(oldest);
    }
    return history;
  }
}
