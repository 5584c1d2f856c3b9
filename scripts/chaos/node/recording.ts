/**
 * What a process leaves behind of its leadership, so that it is there also after SIGKILL: one file for each process, one
 * line of fixed width for each interval in which it called itself leader, whose end is written over at every look.
 *
 *   held NODE PROCESS INCARNATION EPOCH FROM UNTIL LOOKED   nanoseconds of the host's monotonic clock
 *   stall FROM UNTIL                                        the process itself did not run for this long
 *   event NODE PROCESS TEXT AT                              what the node said of itself; for people
 *
 * FROM is read just after the first yes of `isLeader()` and UNTIL just before the last one, so an overlap found in these
 * files was one for certain. LOOKED is when it was last asked with a whole turn of the event loop in between:
 * a process may have been kept from running after a turn has looked at the sockets, and such a turn has seen nothing new.
 */
import { closeSync, openSync, readdirSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";

/** A process called itself leader in this term, without a no in between. Milliseconds of the host's clock. */
export interface HeldInterval {
  /** The lane: a node id, with an apostrophe for a second process under the same id. */
  readonly node: string;
  /** Which process of that lane, from 1. */
  readonly life: number;
  readonly incarnation: string;
  readonly epoch: number;
  readonly fromMs: number;
  readonly untilMs: number;
  /** The last look before the whole turn of the event loop that came before `untilMs`; since then it may have stood still. */
  readonly lookedMs: number;
}

export interface Stall {
  readonly fromMs: number;
  readonly untilMs: number;
}

export interface History {
  readonly held: readonly HeldInterval[];
  readonly stalls: readonly Stall[];
}

const DIGITS = 20;

export class HistoryWriter {
  readonly #file: number;
  readonly #who: string;
  #size = 0;
  #open: {
    readonly epoch: number;
    readonly fromNs: number;
    readonly untilAt: number;
    untilNs: number;
    lookedNs: number;
    /** The last look in an earlier turn. */
    earlierNs: number;
    turn: number;
  } | null = null;

  constructor(path: string, node: string, life: number) {
    this.#file = openSync(path, "w");
    this.#who = `${node} ${life}`;
  }

  /** It has just called itself leader, in this turn of the loop: not before `beforeNs`, not after `afterNs`. */
  yes(incarnation: string, epoch: number, beforeNs: number, afterNs: number, turn: number): void {
    const open = this.#open;
    if (open?.epoch === epoch) {
      if (beforeNs <= open.fromNs) return;
      if (turn !== open.turn) {
        const { untilNs, earlierNs } = open;
        Object.assign(open, {
          turn,
          earlierNs: untilNs,
          lookedNs: turn - open.turn > 1 ? untilNs : earlierNs,
        });
      }
      writeSync(this.#file, `${digits(beforeNs)} ${digits(open.lookedNs)}`, open.untilAt);
      open.untilNs = beforeNs;
      return;
    }
    const head = `held ${this.#who} ${incarnation} ${epoch} ${digits(afterNs)} `;
    const untilAt = this.#size + Buffer.byteLength(head);
    this.#open = {
      epoch,
      fromNs: afterNs,
      untilAt,
      untilNs: afterNs,
      lookedNs: afterNs,
      earlierNs: afterNs,
      turn,
    };
    this.#append(`${head}${digits(afterNs)} ${digits(afterNs)}\n`);
  }

  /** It has just said no. */
  no(): void {
    this.#open = null;
  }

  stall(fromNs: number, untilNs: number): void {
    this.#append(`stall ${digits(fromNs)} ${digits(untilNs)}\n`);
  }

  event(text: string, atNs: number): void {
    this.#append(`event ${this.#who} ${text} ${digits(atNs)}\n`);
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

/** Reads all files of a world. A line that a SIGKILL has cut off is left out. */
export function readHistory(folder: string): History {
  const texts = readdirSync(folder)
    .filter((name) => name.endsWith(".held"))
    .map((name) => readFileSync(join(folder, name), "utf8"));
  return parseHistory(texts.join("\n"));
}

export function parseHistory(text: string): History {
  const held: HeldInterval[] = [];
  const stalls: Stall[] = [];
  for (const line of text.split("\n")) {
    const [kind, ...rest] = line.split(" ");
    if (rest.at(-1)?.length !== DIGITS) continue;
    if (kind === "stall") stalls.push({ fromMs: toMs(rest[0]), untilMs: toMs(rest[1]) });
    if (kind !== "held") continue;
    const [node = "", life, incarnation = "", epoch, from, until, looked] = rest;
    const times = { fromMs: toMs(from), untilMs: toMs(until), lookedMs: toMs(looked) };
    held.push({ node, life: Number(life), incarnation, epoch: Number(epoch), ...times });
  }
  held.sort((one, other) => one.fromMs - other.fromMs);
  stalls.sort((one, other) => one.fromMs - other.fromMs);
  return { held, stalls };
}

function toMs(ns: string | undefined): number {
  return Number(ns) / 1e6;
}
