/** The histories of all sampled clocks, by name, over all examinations. */
import { type Asked, ClockHistory, type ClockReading, readingOf, sampleOf } from "./clock.ts";

const RESOLUTION_MS = 1;
/** Each restart of a node adds a clock. Beyond this limit the oldest is discarded. */
const CLOCKS_KEPT = 4_096;

export class ClockBook {
  readonly #histories = new Map<string, ClockHistory>();

  /** `remoteMs`: nanosecond resolution; `null` is ignored. */
  server(name: string, asked: Asked, remoteMs: number | null): void {
    if (remoteMs !== null) this.#of(`server ${name}`).add(sampleOf(asked, remoteMs));
  }

  /** `remoteMs`: the node's wall clock, in whole milliseconds. */
  nodeWall(process: string, asked: Asked, remoteMs: number): void {
    this.#of(`wall ${process}`).add(sampleOf(asked, remoteMs, RESOLUTION_MS));
  }

  /** `uptimeMs`: time since the node's start by the clock that measures its leases, rounded to the nearest millisecond. */
  nodeUptime(process: string, asked: Asked, uptimeMs: number): void {
    const sample = sampleOf(asked, uptimeMs - RESOLUTION_MS / 2, RESOLUTION_MS);
    this.#of(`uptime ${process}`).add(sample);
  }

  ofServer(name: string): ClockReading | null {
    return readingOf(this.#of(`server ${name}`));
  }

  /** `process`: one incarnation. A restarted node's uptime would otherwise count as a clock that went back. */
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
