/**
 * What must hold in every history. The checker judges from outside and on true time: by the bucket, the clocks, and the
 * state and outputs of the nodes. docs/simulator.md lists the invariants with their numbers.
 */
import { remainingStretchMs } from "../../../src/election/election.ts";
import { nextEpoch } from "../../../src/election/outlook.ts";
import { isBound, roundTripMs } from "../../../src/election/silence.ts";
import { type Instant, remainingMs } from "../../../src/election/time.ts";
import type { Effect, ElectionEvent, ElectionState } from "../../../src/election/types.ts";
import { isBeyondReach } from "../../../src/fencing/compare.ts";
import type { Output } from "../../../src/runtime/driver.ts";
import { EXACT_AFTER_PAUSE_MS } from "../../../src/testing/simulation/time/virtual-clock.ts";
import { type Process, timing, type Witness } from "../host.ts";
import type { CheckedWorld } from "./checked-world.ts";
import { Commits, type CommittedPromise, RATE_SLACK } from "./commits.ts";
import { type InterventionKind, Interventions } from "./interventions.ts";
import { type ObservedProcess, ObservedProcesses } from "./observed-process.ts";
import { TRANSITIONS, transitionName } from "./tally.ts";
import { StrayWrite, Violation } from "./violation.ts";

/** A stopped process may be stale for 250 ms, checks every 50 ms, and needs a few for the turn of its event loop. */
const STALE_MS = 320;
/**
 * After a pause a process may call itself leader again without an event, as soon as it has checked its connection. Shorter
 * than the time for which every check has its own timer.
 */
const RECHECK_MS = EXACT_AFTER_PAUSE_MS - 100;

/** How late a running process may end its term: timers are rounded up. */
const LATE_MS = 5;

export class Checker implements Witness {
  readonly #world: CheckedWorld;
  readonly #processes = new ObservedProcesses();
  readonly #interventions = new Interventions();
  readonly #commits: Commits;
  #largestToken = 0;
  /** Generation of the bucket to which `#largestToken` belongs. */
  #tokenGeneration = "";
  /** Of all generations: a resource keeps its token when the bucket is lost, and forged records may raise the epochs in each. */
  #farthestToken = 0;
  #recheckUntil = 0;
  #dirty = true;
  #strayed = false;
  #recreated = false;
  #failure: string | null = null;
  /** Called after every step; writes the trace of a history. */
  onStep: ((process: Process, event: ElectionEvent, effects: readonly Effect[]) => void) | null = null;
  /** Number of terms that have begun. */
  terms = 0;
  /** How often a term was suspended. */
  suspensions = 0;
  /** The largest epoch of a term that has begun, by the generation of its bucket. */
  readonly #maxBegun = new Map<string | null, number>();

  constructor(world: CheckedWorld) {
    this.#world = world;
    this.#commits = new Commits(world, this.#processes, this.#interventions, {
      fail: (message) => this.#fail(message),
      stray: () => {
        this.#strayed = true;
        this.#dirty = true;
      },
    });
  }

  /** The processes that hold the lease now. */
  get held(): Process[] {
    const held: Process[] = [];
    for (const { process } of this.#processes.alive) {
      if (process.alive && process.driver.isHeld()) held.push(process);
    }
    return held;
  }

  /** From now on nothing fails: a term begins only after the one before has been released. */
  set orderly(orderly: boolean) {
    this.#commits.orderly = orderly;
  }

  /** An operator is about to take the lease away; `recreates`: the whole bucket with it. */
  beforeIntervention(kind: InterventionKind, recreates = false): void {
    this.#interventions.begin(
      kind,
      this.#processes.alive.map(({ process }) => process),
      this.#world.bucket.entry,
    );
    if (!recreates) return;
    this.#recreated = true;
    this.#commits.bucketDeleted();
  }

  /** The message on the key was removed without a marker. */
  afterPurge(): void {
    this.#commits.purged();
  }

  /** The server has removed the message on the key because of its age. */
  aged(): void {
    this.#commits.aged();
  }

  /** Runs what writes a record of no node to the key. */
  forging(write: () => void): void {
    this.#commits.forging = true;
    write();
    this.#commits.forging = false;
  }

  /**
   * No node can lead: a forged epoch at the limit was read, and the bucket was then recreated with small revisions. Documented:
   * `EPOCH_EXHAUSTED`.
   */
  get exhausted(): boolean {
    if (!this.#recreated) return false;
    return this.#processes.alive.some(({ process }) => {
      const { view } = process.driver.state.lease;
      return view.kind !== "unknown" && nextEpoch(process.driver.state, view) === null;
    });
  }

  /** Does its newest record in the bucket promise silence? Until one does, no other node can take its silence for its end. */
  promises(process: Process): boolean {
    return this.#promiseOf(process) !== null;
  }

  event(
    process: Process,
    event: ElectionEvent,
    now: Instant,
    effects: readonly Effect[],
    state: ElectionState,
  ): void {
    const { time, tally, hash } = this.#world;
    const observed = this.#processes.of(process);
    this.#dirty = true;
    const before = observed.role;
    const after = state.role.name;
    if (event.type === "stop") observed.stops = true;
    const suspended = observed.staysSuspended(event, state, time.now);
    if (suspended !== null) this.#fail(suspended);
    observed.role = after;
    if (before !== after) {
      const transition = transitionName(before, after);
      tally.transition(transition);
      if (TRANSITIONS[transition] === undefined)
        this.#fail(`${process.incarnation} goes from ${before} to ${after} in one step`);
    }
    hash.step(time.now, this.#processes.alive.indexOf(observed), event, effects, state);
    for (const effect of effects) {
      if (effect.type === "write") this.#sends(observed, effect, state);
      if (effect.type === "ask") this.#asks(observed, effect, now);
      if (effect.type === "open-bucket") observed.epochAtOpen = state.lease.highestEpoch;
    }
    if (event.type === "answered")
      observed.inquiries.answered(event.question, event.answer, time.now, now.mono);
    if (event.type === "tick" && observed.spins(time.now)) this.#fail(`${process.incarnation} spins`);
    const seen = observed.state;
    if (seen !== null && before === "leader" && after !== "leader") this.#wasHeld(observed, seen, now);
    if (seen !== null && wentBack(seen, state, now.mono)) {
      this.#fail(
        `${process.incarnation} goes back from revision ${seen.lease.newestRevision} to ${state.lease.newestRevision}`,
      );
    }
    if (event.type === "watched" && seen !== null && !sameKnowledge(seen, state))
      this.#fail(`${process.incarnation} believes a hint without a read`);
    if (effects.some(({ type }) => type === "read") && observed.floods(time.now))
      this.#fail(`${process.incarnation} floods the bucket with reads`);
    observed.state = state;
    observed.at = now;
    const { highestEpoch } = state.lease;
    if (highestEpoch < observed.highestEpoch) this.#fail(`${process.incarnation} forgot an epoch`);
    observed.highestEpoch = highestEpoch;
    this.onStep?.(process, event, effects);
  }

  output(process: Process, output: Output): void {
    const observed = this.#processes.of(process);
    const violation = observed.output(output);
    if (violation !== null) this.#fail(violation);
    if (output.type === "suspended") this.suspensions += 1;
    if (output.type !== "become-leader") return;
    // Invariant 5. The driver has taken the step already.
    this.terms += 1;
    const excused = this.#interventions.concern(process) || this.#isUnread(process);
    const { generation } = process.driver.state.bucket;
    const begun = this.#maxBegun.get(generation) ?? 0;
    if (output.epoch <= begun && this.#commits.epochsMustRise && !excused)
      this.#fail(`${process.incarnation} begins epoch ${output.epoch} after ${begun} has begun`);
    this.#maxBegun.set(generation, Math.max(begun, output.epoch));
    if (!observed.confirmedSend.has(output.epoch))
      this.#fail(`${process.incarnation} leads without an applied write`);
    if (process.driver.remainingMs(output.epoch) <= 0)
      this.#fail(`${process.incarnation} leads after its deadline`);
  }

  threw(process: Process, thrown: unknown): void {
    this.#fail(`${process.incarnation} threw ${(thrown as Error).stack ?? thrown}`);
  }

  invalidate(): void {
    this.#recheckUntil = this.#world.time.now + RECHECK_MS;
  }

  /** Called after everything that happened. Throws `Violation` or `StrayWrite`. */
  check(): void {
    if (this.#strayed) throw new StrayWrite();
    if (this.#failure !== null) throw new Violation(this.#failure);
    if (!this.#dirty && this.#world.time.now > this.#recheckUntil) return;
    this.#dirty = false;
    const settled = this.#world.time.now > this.#recheckUntil;
    let [holders, dead] = [0, 0];
    for (const observed of this.#processes.alive) {
      if (!observed.process.alive) dead += 1;
      else if (observed.process.driver.isHeld()) {
        holders += 1;
        this.#checkHolder(observed);
      } else if (settled) this.#checkTermEnd(observed.process);
    }
    if (dead > 0) this.#processes.dropDead();
    if (holders === 0) return;
    const { held } = this;
    if (holders > 1) this.#checkOverlap(held);
    for (const holder of held) if (!this.#isUnread(holder)) this.#checkRemaining(holder);
  }

  /** Invariant 1. */
  #checkOverlap(held: readonly Process[]): void {
    for (const one of held) {
      for (const other of held) {
        if (
          one !== other &&
          !this.#isUnread(one) &&
          !this.#isUnread(other) &&
          !this.#interventions.excuse(one, other) &&
          !this.#interventions.excuse(other, one)
        ) {
          throw new Violation(`both ${one.incarnation} and ${other.incarnation} hold the lease`);
        }
      }
    }
  }

  /**
   * The process has yet to read what arrived before the end of its connection, or no packet notifies it of that end: with a presence it may
   * be held until its last round trip counts no longer. Documented.
   */
  #isUnread(process: Process): boolean {
    const { crashDetection, silenceMs = 0 } = process.host.options;
    const { lostAt, lostUnread } = process.session;
    if (crashDetection !== "presence" || lostAt === null || !lostUnread) return false;
    const countsMs = roundTripMs(this.promises(process) ? silenceMs : 0);
    return this.#world.time.now - lostAt <= countsMs * RATE_SLACK;
  }

  /** Invariants 4 and 14, second halves: no message is needed to end a term at its deadline, and to suspend it after its stretch. */
  #checkTermEnd({ clock, driver, incarnation }: Process): void {
    const { role, link } = driver.state;
    if (!("term" in role) || !clock.caughtUp) return;
    const { mono } = clock.now();
    const lateMs = mono - role.term.deadline.mono;
    if (lateMs > LATE_MS)
      throw new Violation(`${incarnation} is in its term ${lateMs} ms after its deadline`);
    const fallenMs = link.stretch === null ? Number.POSITIVE_INFINITY : mono - link.stretch.deadline.mono;
    if (role.name === "leader" && isBound(driver.state) && fallenMs > LATE_MS)
      throw new Violation(`${incarnation} is not suspended ${fallenMs} ms after the end of its stretch`);
  }

  /** Invariant 16: what has to end by itself, such as a virtual IP, has ended before another node leads. */
  #checkRemaining(holder: Process): void {
    for (const { process } of this.#processes.alive) {
      if (process === holder || !process.alive || process.host.options.crashDetection === "presence")
        continue;
      const { role } = process.driver.state;
      if (
        !("term" in role) ||
        this.#interventions.excuse(process, holder) ||
        this.#interventions.excuse(holder, process)
      )
        continue;
      const remainingMs = process.driver.remainingMs(role.term.epoch);
      if (remainingMs > 0) {
        throw new Violation(
          `${holder.incarnation} holds the lease, and ${process.incarnation} counts on ${remainingMs} ms more`,
        );
      }
    }
  }

  /** The next `check()` throws. */
  #fail(message: string): void {
    this.#failure ??= message;
    this.#dirty = true;
  }

  #asks(
    observed: ObservedProcess,
    { question, binding }: Extract<Effect, { type: "ask" }>,
    { mono }: Instant,
  ): void {
    const { process, inquiries } = observed;
    const { now } = this.#world.time;
    inquiries.asked(question, binding, now, mono);
    if (observed.asksTooOften(now)) this.#fail(`${process.incarnation} floods the servers with questions`);
  }

  #sends(
    observed: ObservedProcess,
    { write, nonce }: Extract<Effect, { type: "write" }>,
    state: ElectionState,
  ): void {
    const sent = { at: this.#world.time.now, generation: state.bucket.generation };
    if (write.kind === "put") {
      observed.sent.set(nonce, sent);
      return;
    }
    if ("revision" in write.expect) observed.releases.set(write.expect.revision, sent);
    // Invariant 8: the lease is released only after the work has stopped.
    const { role } = state;
    const working = role.name === "draining" ? !role.drained : role.name !== "follower";
    if (working)
      this.#fail(`${observed.process.incarnation} releases its lease as ${role.name} while work goes on`);
  }

  /** Invariants 1, 4 and 5: a held term needs an applied write that was sent less than S ago. */
  #checkHolder({ process, confirmedSend }: ObservedProcess): void {
    const { time } = this.#world;
    const { role } = process.driver.state;
    const { incarnation } = process;
    if (role.name !== "leader") throw new Violation(`${incarnation} holds as ${role.name}`);
    if (!process.driver.state.candidacy.competes)
      throw new Violation(`${incarnation} holds, but only follows`);
    const { epoch, deadline } = role.term;
    const sent = confirmedSend.get(epoch);
    if (sent === undefined) throw new Violation(`${incarnation} holds without an applied write`);
    const aheadMs = remainingMs(deadline, process.clock.now()) / process.host.options.rate;
    const spanMs = time.now + aheadMs - sent;
    if (spanMs > process.spanMs * RATE_SLACK) {
      throw new Violation(`${incarnation} holds until ${spanMs} ms after its newest applied send`);
    }
    this.#checkConnection(process);
    const violation = this.#checkSilence(process, time.now);
    if (violation !== null) throw new Violation(violation);
    if (!this.#isUnread(process)) this.#checkToken(process, epoch);
  }

  /** Invariants 15 and 14: with a presence, a process that has lost its connection is not held; with a promise it is for F at most. */
  #checkConnection(process: Process): void {
    const { crashDetection, silenceMs = 0 } = process.host.options;
    const { lostAt } = process.session;
    if (lostAt === null) return;
    const lostMs = this.#world.time.now - lostAt;
    const tooLong =
      crashDetection === "presence"
        ? lostMs > STALE_MS && !this.#isUnread(process)
        : this.promises(process) && lostMs > silenceMs * RATE_SLACK;
    if (tooLong)
      throw new Violation(`${process.incarnation} holds ${lostMs} ms after its connection was lost`);
  }

  /**
   * Invariant 1, from the holder's side: a follower that asked at the worst times has not found it silent since its newest record was
   * applied, if that promises silence. Most histories have no such follower.
   */
  #checkSilence(process: Process, until: number): string | null {
    const promise = this.#promiseOf(process);
    if (promise === null) return null;
    const { at, connection, silence } = promise;
    const silentMs = this.#world.connections.longestSilenceBetween(connection, at, until);
    if (silentMs <= silence.ms * RATE_SLACK) return null;
    return `${process.incarnation} holds, and its server has counted nothing for ${silentMs} ms`;
  }

  #promiseOf({ driver, incarnation }: Process): CommittedPromise | null {
    if (driver.state.bucket.generation !== this.#world.bucket.generation) return null;
    return this.#commits.promiseOf(incarnation);
  }

  /** A term was held in this state, until now or until it ended without an event. Presence limits it further. */
  #wasHeld({ process, at }: ObservedProcess, state: ElectionState, now: Instant): void {
    const { role, config } = state;
    if (role.name !== "leader" || config.crashDetection === "presence") return;
    const heldMs = Math.min(remainingMs(role.term.deadline, at), remainingStretchMs(state, at));
    const lateMs = Math.max(0, now.boot - at.boot - heldMs);
    const until = this.#world.time.now - lateMs / process.host.options.rate;
    const violation = this.#checkSilence(process, until);
    if (violation !== null) this.#fail(violation);
  }

  /** Invariant 3, from the leader's side: a resource that earlier leaders wrote to accepts the holder's token. */
  #checkToken(process: Process, epoch: number): void {
    const { generation } = this.#world.bucket;
    // Epochs of the next bucket are larger only if a node that competes for it remembers those of this one.
    if (process.driver.state.bucket.generation !== generation) return;
    if (generation !== this.#tokenGeneration) {
      this.#tokenGeneration = generation;
      this.#largestToken = 0;
    }
    const isRefused = epoch < this.#largestToken || isBeyondReach(this.#farthestToken, epoch);
    if (isRefused && this.#commits.epochsMustRise && !this.#interventions.concern(process)) {
      throw new Violation(
        `${process.incarnation} holds epoch ${epoch}, but a resource has seen ${this.#largestToken}`,
      );
    }
    if (isRefused) return;
    this.#largestToken = epoch;
    this.#farthestToken = Math.max(this.#farthestToken, epoch);
  }
}

/** A hint changes nothing of what is known about the lease, not even in the same step. */
function sameKnowledge(before: ElectionState, after: ElectionState): boolean {
  return (
    after.lease.view === before.lease.view &&
    after.lease.newestRevision === before.lease.newestRevision &&
    after.lease.highestEpoch === before.lease.highestEpoch &&
    after.holder.takeoverWait === before.holder.takeoverWait
  );
}

/** Length of the quiet end of a history: enough for the longest wait and a cooldown. */
export const QUIET_MS: number = 3 * timing.leaseTtlMs;
/** How long the leader must then stay the same: a term that is not renewed ends in this time. */
export const STEADY_MS: number = timing.leaseTtlMs;

/**
 * Invariant 9. A seen revision may decrease only after a refused write has disputed it and nothing has confirmed it for a
 * whole lease. Another bucket has its own revisions.
 */
function wentBack(before: ElectionState, after: ElectionState, nowMono: number): boolean {
  if (after.bucket.generation !== before.bucket.generation) return false;
  if (after.lease.newestRevision >= before.lease.newestRevision) return false;
  const { disputed, newestAt } = before.lease;
  return !disputed || nowMono - newestAt.mono < before.config.leaseTtlMs;
}
