/**
 * Writes lines to stdout or stderr and never waits for the reader: a leader whose log is not read, or whose disk is full, has to
 * go on renewing. Lines wait in a queue of at most 1 MiB; beyond it they are dropped, and the next line that is written is
 * preceded by their number. No failure of a write is thrown. Control characters in a line are escaped.
 *
 * A write to a pipe whose reader is slow blocks the process unless the open file is non-blocking. That flag belongs to the open
 * file, which other processes may share and change, as some do when they start or end. So on Linux pipes and terminals are opened a
 * second time. A socket cannot be, and the flag is set before each write.
 */
import { constants, fstatSync, openSync, write, writeSync } from "node:fs";
import { printable } from "./printable.ts";

export const MAX_QUEUED_BYTES: number = 1024 * 1024;

/** Pause before a full pipe is tried again. */
const RETRY_MS = 20;
const NEWLINE = 0x0a;

/** Formats the line that precedes the next one after `dropped` lines were dropped. */
export type DroppedLine = (dropped: number) => string;

export class LineWriter {
  readonly #fd: 1 | 2;
  readonly #droppedLine: DroppedLine;
  /** `undefined`: not opened yet. */
  #target: Target | undefined;
  #closed = false;
  #queue: Buffer[] = [];
  #queuedBytes = 0;
  /** What is being written, of which a part may have been written. */
  #chunk: Buffer = Buffer.alloc(0);
  #inFlight = false;
  #retry: NodeJS.Timeout | null = null;
  #dropped = 0;
  /** A part of a line of `#chunk` was written. */
  #midLine = false;
  /** The last line in the output is incomplete. */
  #torn = false;

  constructor(fd: 1 | 2, droppedLine: DroppedLine) {
    this.#fd = fd;
    this.#droppedLine = droppedLine;
    process.on("exit", () => this.#flush());
  }

  /** `urgent`: is written at once if that is possible without waiting. */
  write(line: string, urgent = false): void {
    if (this.#closed) return;
    const bytes = Buffer.from(`${printable(line)}\n`);
    if (this.#queuedBytes + this.#chunk.length + bytes.length > MAX_QUEUED_BYTES) {
      this.#dropped += 1;
      return;
    }
    this.#reportDropped();
    this.#push(bytes);
    if (!this.#inFlight && this.#retry === null) this.#pump(urgent);
  }

  #reportDropped(): void {
    if (this.#dropped === 0) return;
    this.#push(Buffer.from(`${this.#torn ? "\n" : ""}${this.#droppedLine(this.#dropped)}\n`));
    this.#dropped = 0;
    this.#torn = false;
  }

  #push(bytes: Buffer): void {
    this.#queue.push(bytes);
    this.#queuedBytes += bytes.length;
  }

  #pump(urgent: boolean): void {
    try {
      this.#target ??= open(this.#fd);
      while (this.#take()) {
        if (this.#target.kind === "file" && !urgent) return this.#writeLater(this.#target.fd);
        this.#target.unblock?.();
        this.#written(writeSync(this.#target.fd, this.#chunk));
      }
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Whether there is something to write. */
  #take(): boolean {
    if (this.#chunk.length === 0 && this.#queue.length > 0) {
      this.#chunk = Buffer.concat(this.#queue);
      this.#queue = [];
      this.#queuedBytes = 0;
    }
    return this.#chunk.length > 0;
  }

  /** Also a file can be slow: its disk may hang. */
  #writeLater(fd: number): void {
    this.#inFlight = true;
    write(fd, this.#chunk, (error, bytes) => {
      this.#inFlight = false;
      if (error !== null) this.#failed(error);
      else {
        this.#written(bytes);
        this.#pump(false);
      }
    });
  }

  #written(bytes: number): void {
    if (bytes > 0) this.#midLine = this.#chunk[bytes - 1] !== NEWLINE;
    this.#chunk = this.#chunk.subarray(bytes);
  }

  #failed(error: unknown): void {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "EAGAIN" || code === "EBUSY" || code === "EINTR") {
      this.#retry = setTimeout(() => {
        this.#retry = null;
        this.#pump(false);
      }, RETRY_MS);
      this.#retry.unref();
      return;
    }
    // The reader has exited or the file is closed. After any other error, such as a full disk, a later line may succeed.
    if (code === "EPIPE" || code === "EBADF" || code === "ENXIO") this.#closed = true;
    this.#torn = this.#midLine;
    for (const bytes of [this.#chunk, ...this.#queue]) this.#dropped += linesIn(bytes);
    this.#chunk = Buffer.alloc(0);
    this.#queue = [];
    this.#queuedBytes = 0;
  }

  /** A write to a file that is in flight is completed before the process ends. */
  #flush(): void {
    if (this.#closed) return;
    this.#reportDropped();
    if (this.#inFlight) this.#chunk = Buffer.alloc(0);
    this.#pump(true);
  }
}

interface Target {
  /** `direct`: a write returns at once, with `EAGAIN` if nothing is accepted. `file`: it may take as long as the disk does. */
  readonly kind: "direct" | "file";
  readonly fd: number;
  /** Makes writes return at once. */
  readonly unblock?: () => void;
}

function open(fd: 1 | 2): Target {
  const stats = fstatSync(fd);
  if (stats.isFile()) return { kind: "file", fd };
  if (process.platform === "linux" && !stats.isSocket()) {
    try {
      const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants;
      return { kind: "direct", fd: openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_NONBLOCK | O_NOCTTY) };
    } catch {
      // Refused where the pipe belongs to another user, as in some containers.
    }
  }
  // Node makes a pipe or socket non-blocking when its stream is first used.
  const stream = (fd === 1 ? process.stdout : process.stderr) as Handled;
  return { kind: "direct", fd, unblock: () => stream._handle?.setBlocking?.(false) };
}

/** libuv's handle of a stream. Not documented; without it the flag is set only once. */
interface Handled {
  readonly _handle?: { setBlocking?(blocking: boolean): void };
}

function linesIn(bytes: Buffer): number {
  let lines = 0;
  for (const byte of bytes) if (byte === NEWLINE) lines += 1;
  return lines;
}
