/**
 * What a process records about its leadership, readable even after SIGKILL: one file per process, one line of fixed width
 * per interval in which it called itself leader. The end of the interval is overwritten at every sample.
 *
 *   held NODE PROCESS INCARNATION EPOCH FROM UNTIL SAMPLED   nanoseconds of the host's monotonic clock
 *   stall FROM UNTIL                                         the process itself did not run
 *   event NODE PROCESS TEXT AT                               node event
 *
 * FROM is read just after the first `isLeader()` that returned true and UNTIL just before the last one, so an overlap in
 * these files is a real one. SAMPLED is the last sample with a whole turn of the event loop between it and UNTIL: a process
 * may be descheduled after its loop has polled the sockets, and the rest of that turn cannot see a closed connection.
 */
import { closeSync, openSync, readdirSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";

/** A process called itself leader in this term without interruption. Milliseconds of the host's clock. */
export interface HeldInterval {
  /** The lane: a node id, with an apostrophe for a second process with the same id. */
  readonly node: string;
  /** Number of the process in its lane, from 1. */
  readonly processNumber: number;
  readonly incarnation: string;
  readonly epoch: number;
  readonly fromMs: number;
  readonly untilMs: number;
  /** The last sample before the whole turn of the event loop that precedes `untilMs`. The loop may have been blocked since. */
  readonly sampledMs: number;
}

export interface Stall {
  readonly fromMs: number;
  readonly untilMs: number;
}

/** An event of a node: its type and, after a hyphen, its reason or code. */
export interface RecordedEvent {
  readonly node: string;
  readonly processNumber: number;
  readonly text: string;
  readonly atMs: number;
}

export interface Recording {
  readonly held: readonly HeldInterval[];
  readonly stalls: readonly Stall[];
  readonly events: readonly RecordedEvent[];
}

const DIGITS = 20;

export class RecordingWriter {
  readonly #file: number;
  readonly #process: string;
  #size = 0;
  #open: {
    readonly epoch: number;
    readonly fromNs: number;
    /** Position of UNTIL in the file. */
    readonly untilAt: number;
    untilNs: number;
    sampledNs: number;
    /** The last sample in an earlier turn. */
    earlierNs: number;
    turn: number;
  } | null = null;

  constructor(path: string, node: string, processNumber: number) {
    this.#file = openSync(path, "w");
    this.#process = `${node} ${processNumber}`;
  }

  /** `isLeader()` returned true between `beforeNs` and `afterNs`, in this turn of the event loop. */
  held(incarnation: string, epoch: number, beforeNs: number, afterNs: number, turn: number): void {
    const open = this.#open;
    if (open?.epoch === epoch) {
      if (beforeNs <= open.fromNs) return;
      if (turn !== open.turn) {
        const { untilNs, earlierNs } = open;
        Object.assign(open, {
          turn,
          earlierNs: untilNs,
          sampledNs: turn - open.turn > 1 ? untilNs : earlierNs,
        });
      }
      writeSync(this.#file, `${digits(beforeNs)} ${digits(open.sampledNs)}`, open.untilAt);
      open.untilNs = beforeNs;
      return;
    }
    const head = `held ${this.#process} ${incarnation} ${epoch} ${digits(afterNs)} `;
    const untilAt = this.#size + Buffer.byteLength(head);
    this.#open = {
      epoch,
      fromNs: afterNs,
      untilAt,
      untilNs: afterNs,
      sampledNs: afterNs,
      earlierNs: afterNs,
      turn,
    };
    this.#append(`${head}${digits(afterNs)} ${digits(afterNs)}\n`);
  }

  /** `isLeader()` returned false. */
  notHeld(): void {
    this.#open = null;
  }

  stall(fromNs: number, untilNs: number): void {
    this.#append(`stall ${digits(fromNs)} ${digits(untilNs)}\n`);
  }

  event(text: string, atNs: number): void {
    this.#append(`event ${this.#process} ${text} ${digits(atNs)}\n`);
  }

  close(): void {
    closeSync(this.#file);
  }

  #append(line: string): void {
    this.#size += writeSync(this.#file, line, this.#size);
  }
}

function digits(ns: number): string {
  return String(Math.round(ns)).padStart(DIGITS, "0");
}

/** Reads the files of a world whose names begin with `prefix`. Ignores a line that a SIGKILL truncated. */
export function readRecording(folder: string, prefix = ""): Recording {
  const texts = readdirSync(folder)
    .filter((name) => name.startsWith(prefix) && name.endsWith(".held"))
    .map((name) => readFileSync(join(folder, name), "utf8"));
  return parseRecording(texts.join("\n"));
}

export function parseRecording(text: string): Recording {
  const held: HeldInterval[] = [];
  const stalls: Stall[] = [];
  const events: RecordedEvent[] = [];
  for (const line of text.split("\n")) {
    const [kind, ...rest] = line.split(" ");
    if (rest.at(-1)?.length !== DIGITS) continue;
    if (kind === "stall") stalls.push({ fromMs: toMs(rest[0]), untilMs: toMs(rest[1]) });
    if (kind !== "held" && kind !== "event") continue;
    const [node = "", processNumber] = rest;
    if (kind === "event") {
      const [, , text = "", at] = rest;
      events.push({ node, processNumber: Number(processNumber), text, atMs: toMs(at) });
      continue;
    }
    const [, , incarnation = "", epoch, from, until, sampled] = rest;
    const times = { fromMs: toMs(from), untilMs: toMs(until), sampledMs: toMs(sampled) };
    held.push({ node, processNumber: Number(processNumber), incarnation, epoch: Number(epoch), ...times });
  }
  held.sort((one, other) => one.fromMs - other.fromMs);
  stalls.sort((one, other) => one.fromMs - other.fromMs);
  events.sort((one, other) => one.atMs - other.atMs);
  return { held, stalls, events };
}

function toMs(ns: string | undefined): number {
  return Number(ns) / 1e6;
}
