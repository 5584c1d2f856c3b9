/**
 * What must hold in every history, judged on true time, from outside: by the bucket, the clocks and what nodes say. The
 * numbers are those of the invariants in the project's fault table.
 */
import { remainingMs } from "../../../src/election/time.ts";
import type { Effect, ElectionEvent, ElectionState, LeaseEntry } from "../../../src/election/types.ts";
import { compareTokens } from "../../../src/fencing/compare.ts";
import type { Output } from "../../../src/runtime/driver.ts";
import type { FakeBucket } from "../../../src/testing/simulation/fakes/fake-bucket.ts";
import type { FakeConnections } from "../../../src/testing/simulation/fakes/fake-session.ts";
import { EXACT_AFTER_PAUSE_MS } from "../../../src/testing/simulation/time/virtual-clock.ts";
import type { VirtualTime } from "../../../src/testing/simulation/time/virtual-time.ts";
import { type Process, timing, type Witness } from "../host.ts";
import type { TraceHash } from "../trace-hash.ts";
import { type TamperingKind, Tamperings } from "./interventions.ts";
import { Notes } from "./observed-process.ts";
import { type ElectionKind, type Tally, TRANSITIONS, transitionName } from "./tally.ts";
import { Strayed, Violation } from "./violation.ts";

/** Every clock is within 2.4 % of true time; a little more, for rounding. */
export const RATE_SLACK = 1.026;
/** A stopped process may be stale for 250 ms, looks every 50 ms, and a few for the turn of the loop. */
const STALE_MS = 320;
/**
 * After a pause a process calls itself leader again without an event, as soon as it has looked at its connection. Less than
 * the time for which every look is made at its time.
 */
const STIRRED_MS = EXACT_AFTER_PAUSE_MS - 100;

/** How late a process that runs may find its term over: a timer is rounded up. */
const LATE_MS = 5;

interface Committed {
  readonly entry: LeaseEntry;
  readonly at: number;
}

/** What the checker looks at. */
export interface Scene {
  readonly time: VirtualTime;
  readonly bucket: FakeBucket;
  readonly connections: FakeConnections;
  readonly tally: Tally;
  readonly hash: TraceHash;
  /** No process forgets what it has seen. */
  readonly remembers: boolean;
}

export class Checker implements Witness {
  readonly #scene: Scene;
  readonly #notes = new Map<Process, Notes>();
  readonly #byIncarnation = new Map<string, Notes>();
  readonly #tamperings = new Tamperings();
  #alive: Notes[] = [];
  #last: Committed | null = null;
  #maxEpoch = 0;
  /** Of all buckets that were deleted. */
  #maxEpochBefore = 0;
  #largestToken = 0;
  #tokensOf = "";
  #stirredUntil = 0;
  #dirty = true;
  #strayed = false;
  #failure: string | null = null;
  /** Heard of everything; for the story of a failed history. */
  tell: ((process: Process, event: ElectionEvent, effects: readonly Effect[]) => void) | null = null;
  becomes = 0;
  /** The largest epoch of a term that has begun. */
  #maxBegun = 0;

  constructor(scene: Scene) {
    this.#scene = scene;
    scene.bucket.watch({
      entry: (entry) => {
        if (this.#last === null || entry.revision > this.#last.entry.revision) this.#committed(entry);
      },
      gone: () => {},
    });
  }

  /** The processes that may act as the leader right now. */
  get held(): Process[] {
    const held: Process[] = [];
    for (const { process } of this.#alive) {
      if (process.alive && process.driver.isHeld()) held.push(process);
    }
    return held;
  }

  /** An operator is about to take the lease away; `recreates`: with everything the bucket knows. */
  beforeTampering(kind: TamperingKind, recreates = false): void {
    this.#tamperings.begin(
      kind,
      this.#alive.map(({ process }) => process),
      this.#scene.bucket.entry,
    );
    if (!recreates) return;
    this.#last = null;
    this.#maxEpochBefore = Math.max(this.#maxEpochBefore, this.#maxEpoch);
    this.#maxEpoch = 0;
    this.#maxBegun = 0;
  }

  /**
   * Is a smaller epoch wrong in this bucket? Not if somebody forgets and the bucket does not know: it was made anew by an
   * operator, or by a node that had not seen everything.
   */
  get #epochsMustRise(): boolean {
    const { remembers, bucket } = this.#scene;
    if (remembers || this.#maxEpochBefore === 0) return true;
    const maker = [...this.#notes.values()].find(({ process }) => process.store === bucket.madeBy);
    return maker !== undefined && maker.knewAtOpen >= this.#maxEpochBefore;
  }

  /** The message on the key has vanished without a marker. */
  afterPurge(): void {
    this.#last = null;
  }

  event(process: Process, event: ElectionEvent, effects: readonly Effect[], state: ElectionState): void {
    const { time, tally, hash } = this.#scene;
    const notes = this.#notesOf(process);
    this.#dirty = true;
    const before = notes.role;
    const after = state.role.name;
    notes.role = after;
    if (before !== after) {
      const transition = transitionName(before, after);
      tally.transition(transition);
      if (TRANSITIONS[transition] === undefined)
        this.#fail(`${process.incarnation} goes from ${before} to ${after} in one step`);
    }
    hash.step(time.now, this.#alive.indexOf(notes), event, effects, state);
    for (const effect of effects) {
      if (effect.type === "write") this.#sends(notes, effect, state);
      if (effect.type === "open-bucket") notes.knewAtOpen = state.lease.highestEpoch;
    }
    if (event.type === "tick" && notes.spins(time.now)) this.#fail(`${process.incarnation} spins`);
    const seen = notes.state;
    if (seen !== null && wentBack(seen, state, process.clock.now().mono)) {
      this.#fail(
        `${process.incarnation} goes back from revision ${seen.lease.newestRevision} to ${state.lease.newestRevision}`,
      );
    }
    notes.state = state;
    if (state.lease.highestEpoch < notes.highestEpoch) this.#fail(`${process.incarnation} forgot an epoch`);
    notes.highestEpoch = state.lease.highestEpoch;
    this.tell?.(process, event, effects);
  }

  output(process: Process, output: Output): void {
    const notes = this.#notesOf(process);
    const wrong = notes.hear(output);
    if (wrong !== null) this.#fail(wrong);
    if (output.type !== "become-leader") return;
    // Invariant 5. The driver has taken the step already.
    this.becomes += 1;
    if (output.epoch <= this.#maxBegun && this.#epochsMustRise && !this.#tamperings.any) {
      this.#fail(`${process.incarnation} begins epoch ${output.epoch} after ${this.#maxBegun} has begun`);
    }
    this.#maxBegun = Math.max(this.#maxBegun, output.epoch);
    if (!notes.confirmedSend.has(output.epoch))
      this.#fail(`${process.incarnation} leads without an applied write`);
    if (process.driver.remainingMs(output.epoch) <= 0)
      this.#fail(`${process.incarnation} leads after its deadline`);
  }

  threw(process: Process, thrown: unknown): void {
    this.#fail(`${process.incarnation} threw ${(thrown as Error).stack ?? thrown}`);
  }

  stirred(): void {
    this.#stirredUntil = this.#scene.time.now + STIRRED_MS;
  }

  /** Called after everything that happened. */
  look(): void {
    if (this.#strayed) throw new Strayed();
    if (this.#failure !== null) throw new Violation(this.#failure);
    if (!this.#dirty && this.#scene.time.now > this.#stirredUntil) return;
    this.#dirty = false;
    const settled = this.#scene.time.now > this.#stirredUntil;
    let [holders, dead] = [0, 0];
    for (const notes of this.#alive) {
      if (!notes.process.alive) dead += 1;
      else if (notes.process.driver.isHeld()) {
        holders += 1;
        this.#mayHold(notes);
      } else if (settled) this.#mayBeInTerm(notes.process);
    }
    if (dead > 0) this.#alive = this.#alive.filter(({ process }) => process.alive);
    if (holders < 2) return;
    const { held } = this;
    for (const one of held) {
      for (const other of held) {
        if (one !== other && !this.#tamperings.excuse(one, other) && !this.#tamperings.excuse(other, one)) {
          throw new Violation(`both ${one.incarnation} and ${other.incarnation} hold the lease`);
        }
      }
    }
  }

  /** Invariant 4, the other half: a term that is over is said to be over, without any message. */
  #mayBeInTerm({ clock, driver, incarnation }: Process): void {
    const { role } = driver.state;
    if (!("term" in role) || !clock.caughtUp) return;
    const lateMs = clock.now().mono - role.term.deadline.mono;
    if (lateMs > LATE_MS)
      throw new Violation(`${incarnation} is in its term ${lateMs} ms after its deadline`);
  }

  #notesOf(process: Process): Notes {
    const known = this.#notes.get(process);
    if (known !== undefined) return known;
    const notes = new Notes(process);
    this.#notes.set(process, notes);
    this.#byIncarnation.set(process.incarnation, notes);
    this.#alive.push(notes);
    return notes;
  }

  /** What is wrong is said at the next look. */
  #fail(message: string): void {
    this.#failure ??= message;
    this.#dirty = true;
  }

  #sends(notes: Notes, { write, nonce }: Extract<Effect, { type: "write" }>, state: ElectionState): void {
    const sent = { at: this.#scene.time.now, generation: state.bucket.generation };
    if (write.kind === "put") {
      notes.sent.set(nonce, sent);
      return;
    }
    if ("revision" in write.expect) notes.releases.set(write.expect.revision, sent);
    // Invariant 8: the lease goes only when the work has stopped.
    const { role } = state;
    const working = role.name === "draining" ? !role.drained : role.name !== "follower";
    if (working)
      this.#fail(`${notes.process.incarnation} releases its lease as ${role.name} while work goes on`);
  }

  /** Invariants 1, 4 and 5: a held term must rest on a write that was applied, sent less than S ago. */
  #mayHold({ process, confirmedSend }: Notes): void {
    const { time } = this.#scene;
    const { role } = process.driver.state;
    const who = process.incarnation;
    if (role.name !== "leader") throw new Violation(`${who} holds as ${role.name}`);
    if (!process.driver.state.candidacy.competes) throw new Violation(`${who} holds, but only follows`);
    const { epoch, deadline } = role.term;
    const sent = confirmedSend.get(epoch);
    if (sent === undefined) throw new Violation(`${who} holds without an applied write`);
    const aheadMs = remainingMs(deadline, process.clock.now()) / process.host.options.rate;
    const spanMs = time.now + aheadMs - sent;
    if (spanMs > process.spanMs * RATE_SLACK) {
      throw new Violation(`${who} believes until ${spanMs} ms after its newest applied send`);
    }
    const { lostAt } = process.session;
    if (
      process.host.options.crashDetection === "presence" &&
      lostAt !== null &&
      time.now - lostAt > STALE_MS
    ) {
      throw new Violation(`${who} holds without a connection`);
    }
    this.#mayWrite(process, epoch);
  }

  /** Invariant 3, from the leader's side: whoever may act is never refused by a resource that earlier leaders wrote to. */
  #mayWrite(process: Process, epoch: number): void {
    const { generation } = this.#scene.bucket;
    // Epochs of another bucket are larger only if somebody who competes for this one remembers them.
    if (process.driver.state.bucket.generation !== generation) return;
    if (generation !== this.#tokensOf) {
      this.#tokensOf = generation;
      this.#largestToken = 0;
    }
    const { pass, highest } = compareTokens(this.#largestToken, epoch);
    if (!pass && this.#epochsMustRise && !this.#tamperings.concern(process)) {
      throw new Violation(
        `${process.incarnation} holds epoch ${epoch}, but a resource has seen ${this.#largestToken}`,
      );
    }
    this.#largestToken = highest;
  }

  #committed(entry: LeaseEntry): void {
    const { time, bucket, tally } = this.#scene;
    const before = this.#last;
    this.#last = { entry, at: time.now };
    if (entry.kind === "released") {
      const madeFor = this.#byIncarnation
        .get(entry.incarnation ?? "")
        ?.releases.get(before?.entry.revision ?? 0);
      if (madeFor !== undefined && madeFor.generation !== bucket.generation) this.#stray();
      if (before?.entry.kind !== "record" || before.entry.record.incarnation !== entry.incarnation) {
        this.#fail(`revision ${entry.revision} releases a lease that is not its own`);
      }
      return;
    }
    if (entry.kind !== "record") return;
    const { incarnation, nonce, epoch } = entry.record;
    const notes = this.#byIncarnation.get(incarnation ?? "");
    const sent = notes?.sent.get(nonce ?? 0);
    if (notes === undefined || sent === undefined)
      return this.#fail(`revision ${entry.revision} was never sent`);
    if (sent.generation !== bucket.generation) this.#stray();
    notes.confirmedSend.set(epoch, Math.max(sent.at, notes.confirmedSend.get(epoch) ?? 0));
    const renews =
      before?.entry.kind === "record" &&
      before.entry.record.incarnation === incarnation &&
      before.entry.record.epoch === epoch;
    if (renews || this.#strayed) return;
    if (epoch <= this.#maxEpoch && this.#epochsMustRise)
      this.#fail(`revision ${entry.revision}: epoch ${epoch} after ${this.#maxEpoch}`);
    this.#maxEpoch = Math.max(this.#maxEpoch, epoch);
    this.#tamperings.elected(notes.process);
    tally.election(this.#takesOver(before, notes.process));
  }

  /** Invariant 11. Returns how the term came about. */
  #takesOver(before: Committed | null, process: Process): ElectionKind {
    if (before === null) return "empty bucket";
    const { entry, at } = before;
    if (entry.kind === "released") return "released";
    if (entry.kind === "deleted") return "deleted by somebody";
    if (entry.kind === "record" && entry.record.incarnation === process.incarnation) return "own lease";
    const waitedMs = this.#scene.time.now - at;
    const ttlMs = Math.max(
      process.host.options.leaseTtlMs,
      (entry.kind === "record" && entry.record.ttlMs) || 0,
    );
    if (waitedMs * RATE_SLACK >= ttlMs)
      return entry.kind === "record" ? "lease outwaited" : "garbage outwaited";
    const binding = entry.kind === "record" ? entry.record.session : undefined;
    const dead = binding?.presence !== undefined && !this.#scene.connections.open.has(binding.clientId);
    if (!dead) this.#fail(`${process.incarnation} took over after only ${waitedMs} ms`);
    return "death confirmed";
  }

  #stray(): void {
    this.#strayed = true;
    this.#dirty = true;
  }
}

/** How long the quiet end of a history is: enough for the longest wait and a cooldown. */
export const QUIET_MS: number = 3 * timing.leaseTtlMs;
/** How long nothing may change after that: a term that is not renewed ends in it. */
export const STEADY_MS: number = timing.leaseTtlMs;

/**
 * Invariant 9. What was seen may be taken back only where a refused write has disputed it and nothing has confirmed it for a
 * whole lease. Another bucket has other revisions.
 */
function wentBack(before: ElectionState, after: ElectionState, nowMono: number): boolean {
  if (after.bucket.generation !== before.bucket.generation) return false;
  if (after.lease.newestRevision >= before.lease.newestRevision) return false;
  const { disputed, newestAt } = before.lease;
  return !disputed || nowMono - newestAt.mono < before.config.leaseTtlMs;
}
