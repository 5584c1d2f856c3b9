/** A progress bar on stderr if that is a terminal, otherwise no output. */
const WIDTH = 30;

export interface ProgressBar {
  /** `bad`: total number of failures so far. */
  advance(by: number, bad?: number): void;
  end(): void;
}

export function progressBar(total: number): ProgressBar {
  const shown = process.stderr.isTTY === true;
  const began = performance.now();
  let done = 0;
  return {
    advance(by, bad = 0) {
      done += by;
      if (!shown) return;
      const filled = Math.round((done / total) * WIDTH);
      const rate = Math.round(done / ((performance.now() - began) / 1000));
      const bar = `${"#".repeat(filled)}${".".repeat(WIDTH - filled)}`;
      process.stderr.write(`\r[${bar}] ${done}/${total}, ${rate}/s${bad > 0 ? `, ${bad} failed` : ""}  `);
    },
    end() {
      if (shown) process.stderr.write("\r\u001b[K");
    },
  };
}
