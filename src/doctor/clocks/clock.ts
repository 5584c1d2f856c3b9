/**
 * Readings of a remote clock by round trips. The clock was read at some moment between request and answer, so the error
 * bound of a reading is half the round trip.
 */

export interface ClockSample {
  /** Our wall clock in the middle of the round trip. */
  readonly wallMs: number;
  /** Our monotonic clock at the same moment. */
  readonly monoMs: number;
  readonly remoteMs: number;
  /** Half the round trip plus half the remote clock's resolution. The error of our monotonic clock is negligible. */
  readonly errorMs: number;
}

/** Relative to this machine's clocks. */
export interface ClockReading {
  /** Positive: ahead of our clock. `null`: its wall clock was not read. */
  readonly offsetMs: number | null;
  readonly offsetErrorMs: number;
  /** Positive: faster than our clock. `null`: there is only one sample. */
  readonly ratePpm: number | null;
  readonly rateErrorPpm: number;
}

const SAMPLES_KEPT = 48;
const KEPT_MS = 120_000;

/** When a request was sent. */
export interface Asked {
  readonly wallMs: number;
  readonly monoMs: number;
}

/** Our own wall clock is read in whole milliseconds, rounded down. */
const OWN_RESOLUTION_MS = 1;

export function askedNow(): Asked {
  return { wallMs: Date.now() + OWN_RESOLUTION_MS / 2, monoMs: performance.now() };
}

/** Call it when the answer arrives. `resolutionMs`: the remote clock is rounded down to multiples of this. */
export function sampleOf(asked: Asked, remoteMs: number, resolutionMs = 0): ClockSample {
  const half = (performance.now() - asked.monoMs) / 2;
  return {
    wallMs: asked.wallMs + half,
    monoMs: asked.monoMs + half,
    remoteMs: remoteMs + resolutionMs / 2,
    errorMs: half + resolutionMs / 2,
  };
}

/** The recent samples of one remote clock. */
export class ClockHistory {
  #samples: ClockSample[] = [];

  add(sample: ClockSample): void {
    this.#samples = [...this.#samples, sample]
      .filter(({ monoMs }) => sample.monoMs - monoMs <= KEPT_MS)
      .slice(-SAMPLES_KEPT);
  }

  /** From the sample with the smallest error. */
  get offset(): { readonly offsetMs: number; readonly offsetErrorMs: number } | null {
    const [best] = [...this.#samples].sort((a, b) => a.errorMs - b.errorMs);
    if (best === undefined) return null;
    const offsetErrorMs = best.errorMs + OWN_RESOLUTION_MS / 2;
    return { offsetMs: best.remoteMs - best.wallMs, offsetErrorMs };
  }

  /** From the pair of samples with the smallest error. */
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

/** Combines the offset of one clock with the rate of another clock of the same machine. */
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
