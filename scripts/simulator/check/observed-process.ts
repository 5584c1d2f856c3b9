/** What the checker has observed of each process. */
import type { Instant } from "../../../src/election/time.ts";
import type { ElectionEvent, ElectionState, RoleName } from "../../../src/election/types.ts";
import { ID } from "../../../src/nats/identity.ts";
import type { Output } from "../../../src/runtime/driver.ts";
import type { Process } from "../host.ts";
import { ObservedInquiries } from "./observed-inquiries.ts";

export interface ObservedTerm {
  readonly epoch: number;
  ended: "no" | "drain" | "lose-leadership" | "released";
}

/** When a write was handed to the network, and for which bucket. */
export interface SentWrite {
  readonly at: number;
  readonly generation: string | null;
}

const TICKS_PER_SECOND = 100;
/** Each message may cause a read if it is true. A false one makes the next wait for a retry delay. */
const READS_PER_SECOND = 30;
/** A holder is suspended until a renewal on its connection is acknowledged. So many more of them are too many, in a row. */
const ACKS_WHILE_SUSPENDED = 5;
/** So many suspensions in so many times F are too many while the connection lasts. */
const SUSPENSIONS = 8;
const SUSPENSIONS_WITHIN = 12;
/** Each question costs the servers work for every connection that they hold. */
const QUESTIONS_PER_SECOND = 10;

export class ObservedProcess {
  readonly process: Process;
  /** Lease records by nonce. */
  readonly sent: Map<number, SentWrite> = new Map();
  /** Releases by the revision that they delete. */
  readonly releases: Map<number, SentWrite> = new Map();
  /** Newest send time of a committed record, by epoch. */
  readonly confirmedSend: Map<number, number> = new Map();
  readonly inquiries: ObservedInquiries = new ObservedInquiries();
  role: RoleName = "follower";
  /** `stop()` was called. */
  stops = false;
  /** After its last step, and the time of that by its clocks. */
  state: ElectionState | null = null;
  at: Instant = { mono: 0, boot: 0, wall: 0 };
  term: ObservedTerm | null = null;
  highestEpoch = 0;
  /** The largest epoch that it remembered when it last opened or created a bucket. */
  epochAtOpen = 0;
  #announcedEpoch = 0;
  #acksInVain = 0;
  /** When the term was suspended on the present connection. */
  #suspendedAt: number[] = [];
  #ticks = 0;
  #ticksSince = 0;
  #reads = 0;
  #readsSince = 0;
  #questions = 0;
  #questionsSince = 0;

  constructor(process: Process) {
    this.process = process;
  }

  /** Checks the order of the outputs to the application. Returns the violation, or `null`. */
  output(output: Output): string | null {
    const { term } = this;
    const { incarnation } = this.process;
    const open = term !== null && term.ended === "no";
    switch (output.type) {
      case "become-leader":
        this.term = { epoch: output.epoch, ended: "no" };
        if (open) return `${incarnation} becomes leader within its epoch ${term.epoch}`;
        if (this.stops) return `${incarnation} becomes leader although it was stopped`;
        return term !== null && output.epoch <= term.epoch
          ? `${incarnation}: epoch ${output.epoch} after ${term.epoch}`
          : null;
      case "suspended":
      case "resumed":
        return open && term.epoch === output.epoch ? null : `${incarnation}: ${output.type} out of order`;
      case "drain":
      case "lose-leadership":
        if (!open || term.epoch !== output.epoch) return `${incarnation}: ${output.type} out of order`;
        term.ended = output.type;
        return null;
      case "released":
        if (term?.ended !== "drain") return `${incarnation}: released without a drain`;
        term.ended = "released";
        return null;
      case "stopped":
        return open || term?.ended === "drain" ? `${incarnation} stopped within its term` : null;
      case "leader-change":
        if (output.leader === null) return null;
        if (!ID.test(output.leader.nodeId)) return `${incarnation} announces a leader whose id is none`;
        if (output.leader.epoch < this.#announcedEpoch) {
          return `${incarnation} goes back to ${output.leader.nodeId}, epoch ${output.leader.epoch}`;
        }
        this.#announcedEpoch = output.leader.epoch;
        return null;
      case "warning":
        // The epoch that a node has seen may decrease only with the bucket, and only with this warning.
        if (output.code === "EPOCH_REGRESSED") this.#announcedEpoch = 0;
        return null;
      default:
        return output satisfies never;
    }
  }

  /** Invariant 17: a holder whose renewals are acknowledged is held again and stays so. Returns the violation, or `null`. */
  staysSuspended(event: ElectionEvent, { role, config }: ElectionState, now: number): string | null {
    const { incarnation } = this.process;
    if (event.type === "disconnected") this.#suspendedAt = [];
    if (role.name !== "suspended") this.#acksInVain = 0;
    else {
      if (event.type === "written" && event.outcome.kind === "applied") this.#acksInVain += 1;
      if (this.#acksInVain > ACKS_WHILE_SUSPENDED)
        return `${incarnation} is suspended although ${this.#acksInVain} renewals were acknowledged`;
      if (this.role === "leader") this.#suspendedAt.push(now);
    }
    if (this.#suspendedAt.length < SUSPENSIONS) return null;
    const since = this.#suspendedAt.shift() ?? now;
    if (now - since > SUSPENSIONS_WITHIN * config.silenceMs) return null;
    return `${incarnation} is suspended again and again`;
  }

  /** Counts the reads of the process. Returns whether there are too many. */
  floods(now: number): boolean {
    if (now - this.#readsSince >= 1_000) {
      this.#reads = 0;
      this.#readsSince = now;
    }
    this.#reads += 1;
    return this.#reads > READS_PER_SECOND;
  }

  /** Counts the questions of the process about holders. Returns whether there are too many. */
  asksTooOften(now: number): boolean {
    if (now - this.#questionsSince >= 1_000) {
      this.#questions = 0;
      this.#questionsSince = now;
    }
    this.#questions += 1;
    return this.#questions > QUESTIONS_PER_SECOND;
  }

  /** Counts the ticks of the process. Returns whether there are too many: the process schedules ticks in a busy loop. */
  spins(now: number): boolean {
    if (now - this.#ticksSince >= 1_000) {
      this.#ticks = 0;
      this.#ticksSince = now;
    }
    this.#ticks += 1;
    return this.#ticks > TICKS_PER_SECOND;
  }
}

export class ObservedProcesses {
  readonly #all = new Map<Process, ObservedProcess>();
  readonly #byIncarnation = new Map<string, ObservedProcess>();
  #alive: ObservedProcess[] = [];

  get all(): IterableIterator<ObservedProcess> {
    return this.#all.values();
  }

  /** In the order of their start. May contain processes that have ended since the last `dropDead()`. */
  get alive(): readonly ObservedProcess[] {
    return this.#alive;
  }

  dropDead(): void {
    this.#alive = this.#alive.filter(({ process }) => process.alive);
  }

  of(process: Process): ObservedProcess {
    const known = this.#all.get(process);
    if (known !== undefined) return known;
    const observed = new ObservedProcess(process);
    this.#all.set(process, observed);
    this.#byIncarnation.set(process.incarnation, observed);
    this.#alive.push(observed);
    return observed;
  }

  withIncarnation(incarnation: string | undefined): ObservedProcess | undefined {
    return this.#byIncarnation.get(incarnation ?? "");
  }
}
