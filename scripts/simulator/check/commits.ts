/** Checks what the bucket has committed: who wrote it, its epoch, and whether a takeover was allowed. */
import { maxEpochAt } from "../../../src/election/epochs.ts";
import type { ConnectionId, LeaseEntry, SilencePromise } from "../../../src/election/types.ts";
import type { CheckedWorld } from "./checked-world.ts";
import type { Interventions } from "./interventions.ts";
import type { ObservedProcess, ObservedProcesses } from "./observed-process.ts";
import type { ElectionKind } from "./tally.ts";

/** Every clock is within 2.4 % of true time; the rest allows for rounding. */
export const RATE_SLACK = 1.026;

/** Least time between two answers that confirm a silence. Not the function of the election: a mutant changes that one. */
export function leastSilenceMs(silenceMs: number): number {
  return silenceMs + Math.max(250, silenceMs / 20);
}

/** The newest record of a process in the present bucket, if it promises silence. */
export interface CommittedPromise {
  readonly at: number;
  readonly connection: ConnectionId;
  readonly silence: SilencePromise;
}

interface Committed {
  readonly entry: LeaseEntry;
  readonly at: number;
}

/** How the checker reacts to a commit. */
export interface CommitReports {
  fail(message: string): void;
  /** A write for a deleted bucket was applied to the next one, see `StrayWrite`. */
  stray(): void;
}

export class Commits {
  readonly #world: CheckedWorld;
  readonly #processes: ObservedProcesses;
  readonly #interventions: Interventions;
  readonly #reports: CommitReports;
  /** What is committed now is forged by a client that is no node. */
  forging = false;
  /** Nothing fails: see `Checker.orderly`. */
  orderly = false;
  #last: Committed | null = null;
  /** The last record of a node that was not released. If garbage replaces it, its holder may renew it until its deadline. */
  #lastRecord: LeaseEntry | null = null;
  #maxEpoch = 0;
  /** Of all buckets that were deleted. */
  #maxEpochBefore = 0;
  /** A forged record whose epoch lies above its revision was believed: the revision bounds no epoch any more. */
  #forgedAbove = false;
  /** After that, such an epoch was overwritten with garbage or deleted, and a node without memory took over. */
  #forgedEpochLost = false;
  #aged = false;
  #strayed = false;
  /** By incarnation. */
  readonly #promises = new Map<string, CommittedPromise | null>();

  constructor(
    world: CheckedWorld,
    processes: ObservedProcesses,
    interventions: Interventions,
    reports: CommitReports,
  ) {
    this.#world = world;
    this.#processes = processes;
    this.#interventions = interventions;
    this.#reports = reports;
    world.bucket.watch({
      entry: (entry) => {
        if (this.#last !== null && entry.revision <= this.#last.entry.revision) return;
        this.#committed(entry);
        if (this.forging) return;
        if (entry.kind === "record") this.#lastRecord = entry;
        else if (entry.kind === "released") this.#lastRecord = null;
      },
      gone: () => {},
    });
  }

  /** The message on the key was removed without a marker. */
  purged(): void {
    this.#last = null;
  }

  /** The server has removed the message on the key because of its age: no node can read the epoch in it any more. */
  aged(): void {
    this.#aged = true;
  }

  /** `null`: the newest record of this process in the present bucket promises nothing, or there is none. */
  promiseOf(incarnation: string): CommittedPromise | null {
    return this.#promises.get(incarnation) ?? null;
  }

  bucketDeleted(): void {
    this.#promises.clear();
    this.#last = null;
    this.#lastRecord = null;
    this.#maxEpochBefore = Math.max(this.#maxEpochBefore, this.#maxEpoch);
    this.#maxEpoch = 0;
    this.#forgedAbove = false;
    this.#forgedEpochLost = false;
  }

  /**
   * Whether a smaller epoch is a violation in this bucket. It is not if processes forget epochs and the bucket was recreated
   * by an operator, or by a node that had not seen every epoch; and not after a forged epoch above its revision was lost.
   */
  get epochsMustRise(): boolean {
    const { remembers, bucket } = this.#world;
    if (this.#forgedEpochLost) return false;
    if (remembers || this.#maxEpochBefore === 0) return true;
    const creator = [...this.#processes.all].find(({ process }) => process.store === bucket.createdBy);
    return creator !== undefined && creator.epochAtOpen >= this.#maxEpochBefore;
  }

  #committed(entry: LeaseEntry): void {
    const { time, bucket, tally } = this.#world;
    const before = this.#last;
    const aged = this.#aged;
    this.#aged = false;
    this.#last = { entry, at: time.now };
    if (entry.kind === "released") return this.#released(entry, before);
    if (entry.kind !== "record") return;
    const { incarnation, nonce, epoch } = entry.record;
    if (this.forging) {
      this.#forgedAbove ||= epoch > entry.revision;
      return;
    }
    const writer = this.#processes.withIncarnation(incarnation);
    const sent = writer?.sent.get(nonce ?? 0);
    if (writer === undefined || sent === undefined)
      return this.#reports.fail(`revision ${entry.revision} was never sent`);
    if (sent.generation !== bucket.generation) this.#stray();
    // Every other node takes it for garbage, and so does its writer when it reads it.
    else if (epoch > maxEpochAt(entry.revision))
      this.#reports.fail(`revision ${entry.revision}: epoch ${epoch} is impossible`);
    const { session } = entry.record;
    const silence = session?.silence;
    this.#promises.set(
      incarnation ?? "",
      session === undefined || silence === undefined ? null : { at: time.now, connection: session, silence },
    );
    writer.confirmedSend.set(epoch, Math.max(sent.at, writer.confirmedSend.get(epoch) ?? 0));
    const held = this.#held(before);
    const renews =
      held?.kind === "record" && held.record.incarnation === incarnation && held.record.epoch === epoch;
    if (renews || this.#strayed) return;
    const chained = !aged && (before?.entry.kind === "record" || before?.entry.kind === "released");
    if (epoch <= this.#maxEpoch && this.#forgedAbove && !chained) this.#forgedEpochLost = true;
    if (epoch <= this.#maxEpoch && this.epochsMustRise)
      this.#reports.fail(`revision ${entry.revision}: epoch ${epoch} after ${this.#maxEpoch}`);
    this.#maxEpoch = Math.max(this.#maxEpoch, epoch);
    this.#interventions.elected(writer.process);
    const kind = this.#takeover(before, writer, sent.at);
    if (this.orderly && kind !== "released")
      this.#reports.fail(`${incarnation} leads (${kind}) although nothing has failed`);
    tally.election(kind);
  }

  #released(entry: Extract<LeaseEntry, { kind: "released" }>, before: Committed | null): void {
    const sent = this.#processes
      .withIncarnation(entry.incarnation)
      ?.releases.get(before?.entry.revision ?? 0);
    if (sent !== undefined && sent.generation !== this.#world.bucket.generation) this.#stray();
    const held = this.#held(before);
    if (held?.kind !== "record" || held.record.incarnation !== entry.incarnation) {
      this.#reports.fail(`revision ${entry.revision} releases a lease that is not its own`);
    }
  }

  /** What was committed, or the record under the garbage that was. */
  #held(before: Committed | null): LeaseEntry | null {
    return before?.entry.kind === "garbage" ? this.#lastRecord : (before?.entry ?? null);
  }

  /** Invariant 11. Returns how the term came about. */
  #takeover(before: Committed | null, writer: ObservedProcess, sentAt: number): ElectionKind {
    const { process } = writer;
    if (before === null) return "empty bucket";
    const { entry, at } = before;
    if (entry.kind === "released") return "released";
    if (entry.kind === "deleted") return "deleted by an operator";
    if (entry.kind === "record" && entry.record.incarnation === process.incarnation) return "own lease";
    const waitedMs = this.#world.time.now - at;
    const ttlMs = Math.max(
      process.host.options.leaseTtlMs,
      (entry.kind === "record" && entry.record.ttlMs) || 0,
    );
    if (waitedMs * RATE_SLACK >= ttlMs) return entry.kind === "record" ? "lease expired" : "garbage expired";
    const binding = entry.kind === "record" ? entry.record.session : undefined;
    const dead = binding !== undefined && !this.#world.connections.open.has(binding.clientId);
    if (dead && binding.presence !== undefined && process.host.options.crashDetection === "presence")
      return "death confirmed";
    if (binding?.silence === undefined) {
      this.#reports.fail(`${process.incarnation} took over after only ${waitedMs} ms`);
      return "silence confirmed";
    }
    const leastMs = leastSilenceMs(binding.silence.ms);
    const silentMs = dead ? waitedMs : this.#world.connections.longestSilence(binding, at);
    if (Math.min(waitedMs, silentMs) * RATE_SLACK < leastMs)
      this.#reports.fail(`${process.incarnation} took over after only ${waitedMs} ms`);
    else if (!writer.inquiries.areEnough(binding, leastMs, at, sentAt))
      this.#reports.fail(`${process.incarnation} took over without two answers that are far enough apart`);
    return "silence confirmed";
  }

  #stray(): void {
    this.#strayed = true;
    this.#reports.stray();
  }
}
