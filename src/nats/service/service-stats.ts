/**
 * Statistics of a service's endpoints. Those of `@nats-io/services` are wrong for a handler that answers later: they count the
 * time until it returns, and no errors. They also omit `last_error` while there is none, and `nats micro info` and `stats` of
 * the nats CLI then show nothing.
 */
import type { Endpoint } from "@nats-io/services";
import { renderedStatsOf } from "../connection/internals.ts";

const NANOS_PER_MS = 1_000_000;

/** Requests, errors and time of one endpoint. */
export class EndpointTally {
  #answers = 0;
  #errors = 0;
  #lastError = "";
  #nanos = 0;

  /** Counts one answered request, with its error if any. */
  count(beganMs: number, error?: string): void {
    this.#answers += 1;
    this.#nanos += Math.round((performance.now() - beganMs) * NANOS_PER_MS);
    if (error === undefined) return;
    this.#errors += 1;
    this.#lastError = error;
  }

  /** Replaces the counters of the library. Does nothing if a version of it keeps them elsewhere. */
  show(endpoint: Endpoint): void {
    const stats = renderedStatsOf(endpoint);
    if (stats === undefined) return;
    stats.num_errors = this.#errors;
    stats.last_error = this.#lastError;
    stats.processing_time = this.#nanos;
    stats.average_processing_time = this.#answers === 0 ? 0 : Math.round(this.#nanos / this.#answers);
  }
}
