/** What the checker has noted of one process. */
import type { ElectionState, RoleName } from "../../../src/election/types.ts";
import type { Output } from "../../../src/runtime/driver.ts";
import type { Process } from "../host.ts";

export interface TermSeen {
  readonly epoch: number;
  ended: "no" | "drain" | "lose-leadership" | "released";
}

/** When a write was handed to the network, and for which bucket. */
export interface Sent {
  readonly at: number;
  readonly generation: string | null;
}

const TICKS_PER_SECOND = 100;

export class Notes {
  readonly process: Process;
  /** Lease records by nonce. */
  readonly sent: Map<number, Sent> = new Map();
  /** Releases by the revision they delete. */
  readonly releases: Map<number, Sent> = new Map();
  /** Newest send time of a committed record, by epoch. */
  readonly confirmedSend: Map<number, number> = new Map();
  role: RoleName = "follower";
  /** After its last step. */
  state: ElectionState | null = null;
  term: TermSeen | null = null;
  highestEpoch = 0;
  /** The largest epoch it knew of when it last asked for a bucket. */
  knewAtOpen = 0;
  #announcedEpoch = 0;
  #ticks = 0;
  #ticksSince = 0;

  constructor(process: Process) {
    this.process = process;
  }

  /** Judges the order in which the application hears of things. Returns what is wrong, or `null`. */
  hear(output: Output): string | null {
    const { term } = this;
    const who = this.process.incarnation;
    const open = term !== null && term.ended === "no";
    switch (output.type) {
      case "become-leader":
        this.term = { epoch: output.epoch, ended: "no" };
        if (open) return `${who} becomes leader within its epoch ${term.epoch}`;
        return term !== null && output.epoch <= term.epoch
          ? `${who}: epoch ${output.epoch} after ${term.epoch}`
          : null;
      case "suspended":
      case "resumed":
        return open && term.epoch === output.epoch ? null : `${who}: ${output.type} out of order`;
      case "drain":
      case "lose-leadership":
        if (!open || term.epoch !== output.epoch) return `${who}: ${output.type} out of order`;
        term.ended = output.type;
        return null;
      case "released":
        if (term?.ended !== "drain") return `${who}: released without a drain`;
        term.ended = "released";
        return null;
      case "stopped":
        return open || term?.ended === "drain" ? `${who} stopped within its term` : null;
      case "leader-change":
        if (output.leader === null) return null;
        if (output.leader.epoch < this.#announcedEpoch) {
          return `${who} goes back to ${output.leader.nodeId}, epoch ${output.leader.epoch}`;
        }
        this.#announcedEpoch = output.leader.epoch;
        return null;
      case "warning":
        // What a node has seen goes back only when the bucket did, and never without a word.
        if (output.code === "EPOCH_REGRESSED") this.#announcedEpoch = 0;
        return null;
      default:
        return output satisfies never;
    }
  }

  /** Counts the steps a process takes because it asked for them. Returns whether it spins. */
  spins(now: number): boolean {
    if (now - this.#ticksSince >= 1_000) {
      this.#ticks = 0;
      this.#ticksSince = now;
    }
    this.#ticks += 1;
    return this.#ticks > TICKS_PER_SECOND;
  }
}
