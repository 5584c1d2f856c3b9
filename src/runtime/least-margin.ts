/** For so long a small margin is remembered, at least: two readers that come every minute see the same value, and miss none. */
const WINDOW_MS = 60_000;
const SLICES = 12;
const SLICE_MS = WINDOW_MS / SLICES;

/** The least of the values noted in the last minute. Bounded: one value for each slice of it. */
export class LeastMargin {
  readonly #slices: { readonly number: number; ms: number }[] = [];

  note(ms: number, mono: number): void {
    const number = Math.floor(mono / SLICE_MS);
    const last = this.#slices.at(-1);
    if (last?.number === number) last.ms = Math.min(last.ms, ms);
    else this.#slices.push({ number, ms });
    this.#forget(number);
  }

  /** `null`: none was noted. */
  read(mono: number): number | null {
    this.#forget(Math.floor(mono / SLICE_MS));
    if (this.#slices.length === 0) return null;
    return Math.min(...this.#slices.map(({ ms }) => ms));
  }

  /** The oldest slice is kept until all of it is older than the window. */
  #forget(number: number): void {
    while ((this.#slices[0]?.number ?? number) < number - SLICES) this.#slices.shift();
  }
}
