/** Changes the clocks of one process through libfaketime, including the monotonic clock. */
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";

const PLACES = [
  "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
  "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
  "/usr/lib/faketime/libfaketimeMT.so.1",
];

/** Path of the library, `null` if it is not installed (apt-get install libfaketime). */
export function findFaketime(): string | null {
  return PLACES.find((path) => existsSync(path)) ?? null;
}

/** The clocks of one process. */
export class FakeClock {
  readonly #file: string;
  readonly #library: string;
  #rate = 1;
  #wallOnly = false;

  constructor(library: string, file: string) {
    this.#file = file;
    this.#library = library;
    this.begin();
  }

  /** Environment of a process that is started now. */
  get env(): Readonly<Record<string, string>> {
    return {
      LD_PRELOAD: this.#library,
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_NO_CACHE: "1",
      ...(this.#wallOnly ? { FAKETIME_DONT_FAKE_MONOTONIC: "1" } : {}),
    };
  }

  /** Whether processes that are started from now on keep the true monotonic clock. */
  wallOnly(on: boolean): void {
    this.#wallOnly = on;
  }

  /** Node aborts when its clock shows a time before its start, so a process starts with clocks set back. */
  begin(): void {
    this.set(-30);
  }

  /** Clock rate of processes that are started from now on. */
  runAt(rate: number): void {
    this.#rate = rate;
  }

  /** Sets the clocks this many seconds ahead of true time. Works while the process is frozen, too. */
  set(seconds: number): void {
    const next = `${this.#file}.next`;
    const rate = this.#rate === 1 ? "" : ` x${this.#rate}`;
    writeFileSync(next, `${seconds < 0 ? "" : "+"}${seconds}${rate}\n`);
    renameSync(next, this.#file);
  }
}

/**
 * Nanoseconds from the uptime in /proc/uptime to the monotonic clock of this process. Measured when the file's value, which
 * has steps of 10 ms, changes.
 */
export function uptimeOffsetNs(): number {
  const read = (): string => readFileSync("/proc/uptime", "utf8").split(" ")[0] ?? "";
  const first = read();
  for (;;) {
    const next = read();
    if (next !== first) return Number(process.hrtime.bigint()) - Number(next) * 1e9;
  }
}
