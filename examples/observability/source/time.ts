/** Durations in rules. They can be shortened as a whole, so that alerts fire within seconds where a fault is made for a check. */

export interface Times {
  /** Of a range in a query. Never less than four scrapes: a rate needs two samples, and one may be late. */
  range(seconds: number): string;
  /** How long a condition has to hold: `for`. Never less than three scrapes: samples of two nodes are up to one apart. */
  hold(seconds: number): string;
  /** A limit in seconds that a value is compared with, such as the duration of a hook. Not shortened. */
  readonly scrapeSeconds: number;
}

/** As they are written. */
export const REAL: Times = times(1, 5);

/** @param factor What every duration is multiplied with. */
export function times(factor: number, scrapeSeconds: number): Times {
  return {
    range: (seconds) => duration(Math.max(seconds * factor, 4 * scrapeSeconds)),
    hold: (seconds) => duration(seconds === 0 ? 0 : Math.max(seconds * factor, 3 * scrapeSeconds)),
    scrapeSeconds,
  };
}

/** As Prometheus writes it: `90s`, `5m`, `1500ms`. */
export function duration(seconds: number): string {
  const ms = Math.round(seconds * 1_000);
  if (ms % 3_600_000 === 0 && ms > 0) return `${ms / 3_600_000}h`;
  if (ms % 60_000 === 0 && ms > 0) return `${ms / 60_000}m`;
  return ms % 1_000 === 0 ? `${ms / 1_000}s` : `${ms}ms`;
}
