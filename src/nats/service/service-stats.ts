/**
 * Statistics of a service's endpoints. The library counts the time until a handler returns, which for one that answers
 * later is nothing, does not hear of its errors, and leaves out `last_error` while there is none, which the nats CLI
 * refuses: `nats micro info` and `stats` then show nothing at all.
 */
import type { Endpoint } from "@nats-io/services";
import { renderedStatsOf } from "../connection/internals.ts";

const NANOS_PER_MS = 1_000_000;

/** What one endpoint has done. */
export class EndpointTally {
  #answers = 0;
  #errors = 0;
  #lastError = "";
  #nanos = 0;

  /** One request was answered, with this error if any. */
  count(beganMs: number, error?: string): void {
    this.#answers += 1;
    this.#nanos += Math.round((performance.now() - beganMs) * NANOS_PER_MS);
    if (error === undefined) return;
    this.#errors += 1;
    this.#lastError = error;
  }

  /** Puts what was counted in place of what the library has. Nothing breaks where that keeps it elsewhere. */
  show(endpoint: Endpoint): void {
    const stats = renderedStatsOf(endpoint);
    if (stats === undefined) return;
    stats.num_errors = this.#errors;
    stats.last_error = this.#lastError;
    stats.processing_time = this.#nanos;
    stats.average_processing_time = this.#answers === 0 ? 0 : Math.round(this.#nanos / this.#answers);
  }
}
