/** libfaketime, which bends every clock a process sees, the monotonic one too. */
import { existsSync, renameSync, writeFileSync } from "node:fs";

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
  readonly env: Readonly<Record<string, string>>;

  constructor(library: string, file: string) {
    this.#file = file;
    // Node aborts when its clock shows a time before its start: it starts in the past, so that there is room to go back.
    this.bend(-30);
    this.env = { LD_PRELOAD: library, FAKETIME_TIMESTAMP_FILE: file, FAKETIME_NO_CACHE: "1" };
  }

  /** From now on the process sees a time this many seconds from the true one. Works also while it is frozen. */
  bend(seconds: number): void {
    const next = `${this.#file}.next`;
    writeFileSync(next, `${seconds < 0 ? "" : "+"}${seconds}\n`);
    renameSync(next, this.#file);
  }
}
