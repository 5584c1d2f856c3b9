/** Percentiles and histograms of samples. */

/** Percentiles in milliseconds, to three decimals. All 0 without samples. */
export interface Summary {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

/** The smallest sample that at least `percent` percent of all samples do not exceed (nearest rank). 0 without samples. */
export function percentile(samples: readonly number[], percent: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const rank = Math.max(1, Math.ceil((percent / 100) * sorted.length));
  return sorted[rank - 1] ?? 0;
}

export function summarize(samples: readonly number[]): Summary {
  const at = (percent: number): number => round(percentile(samples, percent));
  return { p50: at(50), p90: at(90), p99: at(99), max: at(100) };
}

/** Rounds to microseconds; finer digits are noise. */
export function round(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000;
}

/** One bar: the number of samples in [from, to); the last bar includes `to`. */
export interface Bin {
  readonly from: number;
  readonly to: number;
  readonly count: number;
}

/** At most `most` bars of equal, round width; the first starts at or just below the smallest sample. */
export function bins(samples: readonly number[], most = 20): Bin[] {
  if (samples.length === 0) return [];
  const smallest = Math.min(...samples);
  const largest = Math.max(...samples);
  const width = roundWidth((largest - smallest) / most || Math.max(1, largest) / most);
  const first = Math.floor(smallest / width);
  const number = Math.max(1, Math.ceil(largest / width - first));
  const counts = new Array<number>(number).fill(0);
  for (const sample of samples) {
    const index = Math.min(number - 1, Math.max(0, Math.floor(sample / width) - first));
    counts[index] = (counts[index] ?? 0) + 1;
  }
  return counts.map((count, index) => ({
    from: round((first + index) * width),
    to: round((first + index + 1) * width),
    count,
  }));
}

/** The smallest of 1, 2, 5 times a power of ten that is at least `atLeast`. */
function roundWidth(atLeast: number): number {
  const power = 10 ** Math.floor(Math.log10(atLeast));
  for (const step of [1, 2, 5]) if (step * power >= atLeast) return step * power;
  return 10 * power;
}

const BAR_CHARS = 50;

/** A histogram for a terminal, one bar per line. */
export function textHistogram(samples: readonly number[], most = 20): string {
  const bars = bins(samples, most);
  const tallest = Math.max(1, ...bars.map((bar) => bar.count));
  const labels = bars.map(({ from, to }) => `${from}-${to} ms`);
  const wide = Math.max(0, ...labels.map((label) => label.length));
  return bars
    .map(({ count }, index) => {
      const bar = "#".repeat(Math.ceil((count / tallest) * BAR_CHARS));
      return `${labels[index]?.padStart(wide)} | ${bar}${bar === "" ? "" : " "}${count}`;
    })
    .join("\n");
}
