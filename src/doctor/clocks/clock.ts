/**
 * Another machine's clock, as far as round trips can tell: it was read at some moment between question and answer, so half
 * the round trip is how wrong we may be, and nothing better is claimed.
 */

export interface ClockSample {
  /** Our wall clock in the middle of the round trip. */
  readonly wallMs: number;
  /** Our monotonic clock at the same moment. */
  readonly monoMs: number;
  readonly remoteMs: number;
  /** Half of the round trip, and of the remote clock's resolution. Our monotonic clock has no other error worth telling. */
  readonly errorMs: number;
}

/** Against this machine's clocks. */
export interface ClockReading {
  /** Positive: it is ahead of ours. `null`: its wall clock was not seen. */
  readonly offsetMs: number | null;
  readonly offsetErrorMs: number;
  /** Positive: it runs faster. `null`: nothing to compare with yet. */
  readonly ratePpm: number | null;
  readonly rateErrorPpm: number;
}

const SAMPLES_KEPT = 48;
const KEPT_MS = 120_000;

/** When a question was asked. */
export interface Asked {
  readonly wallMs: number;
  readonly monoMs: number;
}

/** Our own wall clock is read in whole milliseconds, rounded down. */
const OWN_RESOLUTION_MS = 1;

export function askedNow(): Asked {
  return { wallMs: Date.now() + OWN_RESOLUTION_MS / 2, monoMs: performance.now() };
}

/** Of an answer that has just arrived. `resolutionMs`: steps of the remote clock, rounded down. */
export function sampleOf(asked: Asked, remoteMs: number, resolutionMs = 0): ClockSample {
  const half = (performance.now() - asked.monoMs) / 2;
  return {
    wallMs: asked.wallMs + half,
    monoMs: asked.monoMs + half,
    remoteMs: remoteMs + resolutionMs / 2,
    errorMs: half + resolutionMs / 2,
  };
}

/** Readings of one remote clock over the time that it is looked at. */
export class ClockHistory {
  #samples: ClockSample[] = [];

  add(sample: ClockSample): void {
    this.#samples = [...this.#samples, sample]
      .filter(({ monoMs }) => sample.monoMs - monoMs <= KEPT_MS)
      .slice(-SAMPLES_KEPT);
  }

  /** By the shortest round trip. */
  get offset(): { readonly offsetMs: number; readonly offsetErrorMs: number } | null {
    const [best] = [...this.#samples].sort((a, b) => a.errorMs - b.errorMs);
    if (best === undefined) return null;
    const offsetErrorMs = best.errorMs + OWN_RESOLUTION_MS / 2;
    return { offsetMs: best.remoteMs - best.wallMs, offsetErrorMs };
  }

  /** By the two samples that together say it best. */
  get rate(): { readonly ratePpm: number; readonly rateErrorPpm: number } | null {
    let best: { readonly ratePpm: number; readonly rateErrorPpm: number } | null = null;
    for (const [index, first] of this.#samples.entries()) {
      for (const last of this.#samples.slice(index + 1)) {
        const elapsed = last.monoMs - first.monoMs;
        if (elapsed <= 0) continue;
        const rateErrorPpm = ((first.errorMs + last.errorMs) / elapsed) * 1e6;
        if (best !== null && best.rateErrorPpm <= rateErrorPpm) continue;
        best = { ratePpm: ((last.remoteMs - first.remoteMs) / elapsed - 1) * 1e6, rateErrorPpm };
      }
    }
    return best;
  }
}

/** Offset by one clock, rate by another one of the same machine. */
export function readingOf(wall: ClockHistory, running: ClockHistory = wall): ClockReading | null {
  const { offset } = wall;
  const { rate } = running;
  if (offset === null && rate === null) return null;
  return {
    offsetMs: offset?.offsetMs ?? null,
    offsetErrorMs: offset?.offsetErrorMs ?? 0,
    ratePpm: rate?.ratePpm ?? null,
    rateErrorPpm: rate?.rateErrorPpm ?? 0,
  };
}
