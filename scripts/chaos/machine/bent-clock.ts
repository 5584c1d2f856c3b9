/** libfaketime, which bends every clock a process sees, the monotonic one too. */
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";

const PLACES = [
  "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
  "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
  "/usr/lib/faketime/libfaketimeMT.so.1",
];

/** Path of the library, or `null`: apt-get install libfaketime. */
export function findFaketime(): string | null {
  return PLACES.find((path) => existsSync(path)) ?? null;
}

/** The clock of one process. */
export class BentClock {
  readonly #file: string;
  readonly #library: string;
  #rate = 1;
  #wallOnly = false;

  constructor(library: string, file: string) {
    this.#file = file;
    this.#library = library;
    this.begin();
  }

  /** For a process that is started now. */
  get env(): Readonly<Record<string, string>> {
    return {
      LD_PRELOAD: this.#library,
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_NO_CACHE: "1",
      ...(this.#wallOnly ? { FAKETIME_DONT_FAKE_MONOTONIC: "1" } : {}),
    };
  }

  /** Whether the monotonic clock of processes that are started from now on stays straight. */
  wallOnly(on: boolean): void {
    this.#wallOnly = on;
  }

  /** For a process about to start: Node aborts when its clock shows a time before its start, so it starts in the past. */
  begin(): void {
    this.bend(-30);
  }

  /** How fast it runs in processes that are started from now on. */
  runAt(rate: number): void {
    this.#rate = rate;
  }

  /** From now on the process sees a time this many seconds from the true one. Works also while it is frozen. */
  bend(seconds: number): void {
    const next = `${this.#file}.next`;
    const rate = this.#rate === 1 ? "" : ` x${this.#rate}`;
    writeFileSync(next, `${seconds < 0 ? "" : "+"}${seconds}${rate}\n`);
    renameSync(next, this.#file);
  }
}

/**
 * Nanoseconds from the host's uptime, as the kernel's file says it, to the monotonic clock of this process. Looked for at an
 * edge of the file's coarse steps.
 */
export function uptimeOffsetNs(): number {
  const read = (): string => readFileSync("/proc/uptime", "utf8").split(" ")[0] ?? "";
  const first = read();
  for (;;) {
    const next = read();
    if (next !== first) return Number(process.hrtime.bigint()) - Number(next) * 1e9;
  }
}
