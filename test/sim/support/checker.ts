/** What must hold in every history, judged on true time, from outside: by the bucket, the clock and what nodes say. */
import { remainingMs } from "../../../src/election/time.ts";
import type { Effect, ElectionEvent, LeaseEntry } from "../../../src/election/types.ts";
import type { Output } from "../../../src/runtime/driver.ts";
import type { FakeBucket } from "../../../src/sim/fake-bucket.ts";
import type { FakeConnections } from "../../../src/sim/fake-session.ts";
import type { VirtualTime } from "../../../src/sim/virtual-time.ts";
import { type Process, SPAN_MS, timing, type Witness } from "./host.ts";
import { Strayed, Violation } from "./violation.ts";

/** Clock rates are within 0.5 %; a little more, for rounding. */
const RATE_SLACK = 1.006;
const MAX_TICKS_PER_SECOND = 100;
/** A stopped process may be stale for 250 ms, looks every 50 ms, and a few for the turn of the loop. */
const STALE_MS = 320;

interface Committed {
  readonly entry: LeaseEntry;
  readonly at: number;
}

interface TermSeen {
  readonly epoch: number;
  ended: "no" | "drain" | "lose" | "released";
}

/** Somebody tampered with the bucket under a live leader: who may not know of that leader. */
interface Tampering {
  readonly leader: Process;
  readonly epoch: number;
  /** Processes that had the leader's lease before their eyes must have outwaited it all the same. */
  readonly informed: ReadonlySet<Process>;
  /** Somebody who did not know has taken over: two lead, whoever follows *them* makes it no worse. */
  overtaken: boolean;
}

/** Names a write the way it can be recognized when it is committed. */
function sender(incarnation: string, { nonce, write }: Extract<Effect, { type: "write" }>): string {
  if (write.kind === "put" || !("revision" in write.expect)) return `${incarnation}#${nonce}`;
  return `${incarnation} releases ${write.expect.revision}`;
}

export class Checker implements Witness {
  readonly #time: VirtualTime;
  readonly #bucket: FakeBucket;
  readonly #connections: FakeConnections;
  readonly #processes = new Set<Process>();
  readonly #sentAt = new Map<string, number>();
  /** The bucket a write was made for. */
  readonly #sentTo = new Map<string, string | null>();
  /** Newest send time of a committed record, by incarnation and epoch. */
  readonly #confirmedSend = new Map<string, number>();
  readonly #terms = new Map<Process, TermSeen>();
  readonly #linkLostAt = new Map<Process, number>();
  readonly #ticks = new Map<Process, number>();
  readonly #announced = new Map<Process, number>();
  readonly #highest = new Map<Process, number>();
  #ticksSince = 0;
  #last: Committed | null = null;
  #maxEpoch = 0;
  #tamperings: Tampering[] = [];
  #strayed = false;
  #failure: string | null = null;
  /** Heard of everything; for the story of a failed history. */
  tell: ((process: Process, event: ElectionEvent, effects: readonly Effect[]) => void) | null = null;
  becomes = 0;

  constructor(time: VirtualTime, bucket: FakeBucket, connections: FakeConnections) {
    this.#time = time;
    this.#bucket = bucket;
    this.#connections = connections;
    this.watchBucket();
  }

  /** The processes that may act as the leader right now. */
  get held(): Process[] {
    return [...this.#processes].filter((process) => process.alive && process.driver.isHeld());
  }

  watchBucket(): void {
    this.#bucket.watch({
      entry: (entry) => {
        if (this.#last === null || entry.revision > this.#last.entry.revision) this.#committed(entry);
      },
      gone: () => {},
    });
  }

  /** An operator is about to take the lease away. */
  beforeTampering(recreates: boolean): void {
    for (const leader of this.#processes) {
      const epoch = this.#termOf(leader);
      if (!leader.alive || epoch === null) continue;
      const informed = new Set(
        [...this.#processes].filter(({ driver: { state } }) => {
          const { view, outwait } = state;
          return (
            outwait !== null &&
            view.kind === "held" &&
            view.record?.incarnation === leader.incarnation &&
            view.record.epoch === epoch
          );
        }),
      );
      this.#tamperings.push({ leader, epoch, informed, overtaken: false });
    }
    if (recreates) {
      this.#last = null;
      this.#maxEpoch = 0;
    }
  }

  /** The epoch a process leads with, or will as soon as it hears that its write is applied. */
  #termOf({ driver, incarnation }: Process): number | null {
    const { role } = driver.state;
    if (role.name === "leader" || role.name === "suspended") return role.term.epoch;
    const { entry } = this.#bucket;
    return entry?.kind === "record" && entry.record.incarnation === incarnation ? entry.record.epoch : null;
  }

  /** The message on the key has vanished without a marker. */
  afterPurge(): void {
    this.#last = null;
  }

  event(process: Process, event: ElectionEvent, effects: readonly Effect[]): void {
    this.#processes.add(process);
    for (const effect of effects) {
      if (effect.type === "write") {
        this.#sentAt.set(`${process.incarnation}#${effect.nonce}`, this.#time.now);
        this.#sentTo.set(sender(process.incarnation, effect), process.driver.state.generation);
      }
    }
    if (event.type === "tick") this.#countTick(process);
    this.tell?.(process, event, effects);
  }

  output(process: Process, output: Output): void {
    const term = this.#terms.get(process);
    const open = term !== undefined && term.ended === "no";
    const who = process.incarnation;
    switch (output.type) {
      case "become-leader":
        this.becomes += 1;
        if (open) this.#fail(`${who} becomes leader within its epoch ${term.epoch}`);
        if (term !== undefined && output.epoch <= term.epoch) {
          this.#fail(`${who}: epoch ${output.epoch} after ${term.epoch}`);
        }
        this.#terms.set(process, { epoch: output.epoch, ended: "no" });
        break;
      case "suspend":
      case "resume":
        if (!open || term.epoch !== output.epoch) return this.#fail(`${who}: ${output.type} out of order`);
        break;
      case "drain":
      case "lose":
        if (!open || term.epoch !== output.epoch) return this.#fail(`${who}: ${output.type} out of order`);
        term.ended = output.type;
        break;
      case "released":
        if (term?.ended !== "drain") return this.#fail(`${who}: released without a drain`);
        term.ended = "released";
        break;
      case "stopped":
        if (open || term?.ended === "drain") this.#fail(`${who} stopped within its term`);
        break;
      case "leader-changed":
        if (output.leader === null) break;
        if (output.leader.epoch < (this.#announced.get(process) ?? 0)) {
          return this.#fail(`${who} goes back to ${output.leader.nodeId}, epoch ${output.leader.epoch}`);
        }
        this.#announced.set(process, output.leader.epoch);
        break;
      case "warn":
        // What a node has seen goes back only when the bucket did, and never without a word.
        if (output.code === "EPOCH_REGRESSED") this.#announced.delete(process);
        break;
      default:
        output satisfies never;
    }
  }

  threw(process: Process, thrown: unknown): void {
    this.#fail(`${process.incarnation} threw ${(thrown as Error).stack ?? thrown}`);
  }

  /** What is wrong is said at the next look. */
  #fail(message: string): void {
    this.#failure ??= message;
  }

  /** Called after everything that happened. */
  look(): void {
    if (this.#strayed) throw new Strayed();
    if (this.#failure !== null) throw new Violation(this.#failure);
    const { held } = this;
    for (const process of held) this.#mayHold(process);
    for (const one of held) {
      for (const other of held) {
        if (one !== other && !this.#excused(one, other) && !this.#excused(other, one)) {
          throw new Violation(`both ${one.incarnation} and ${other.incarnation} hold the lease`);
        }
      }
    }
    for (const process of this.#processes) {
      if (!process.alive) {
        this.#processes.delete(process);
        continue;
      }
      const { highestEpoch } = process.driver.state;
      if (highestEpoch < (this.#highest.get(process) ?? 0)) {
        throw new Violation(`${process.incarnation} forgot an epoch`);
      }
      this.#highest.set(process, highestEpoch);
      if (process.session.link !== null) this.#linkLostAt.delete(process);
      else if (!this.#linkLostAt.has(process)) this.#linkLostAt.set(process, this.#time.now);
    }
  }

  /** A held term must rest on a write that was applied, sent less than S ago. */
  #mayHold(process: Process): void {
    const { role } = process.driver.state;
    if (role.name !== "leader") throw new Violation(`${process.incarnation} holds as ${role.name}`);
    const sent = this.#confirmedSend.get(`${process.incarnation}/${role.term.epoch}`);
    if (sent === undefined) throw new Violation(`${process.incarnation} holds without an applied write`);
    const aheadMs = remainingMs(role.term.deadline, process.clock.now()) / process.host.options.rate;
    const spanMs = this.#time.now + aheadMs - sent;
    if (spanMs > SPAN_MS * RATE_SLACK) {
      throw new Violation(`${process.incarnation} believes until ${spanMs} ms after its newest applied send`);
    }
    const lostAt = this.#linkLostAt.get(process);
    if (
      process.host.options.crashDetection === "presence" &&
      lostAt !== undefined &&
      this.#time.now - lostAt > STALE_MS &&
      process.session.link === null
    ) {
      throw new Violation(`${process.incarnation} holds without a connection`);
    }
  }

  /** Documented: a node that never saw the leader whose lease was taken away need not wait for it. */
  #excused(deposed: Process, other: Process): boolean {
    const { role } = deposed.driver.state;
    return this.#tamperings.some(
      ({ leader, epoch, informed, overtaken }) =>
        leader === deposed &&
        role.name === "leader" &&
        role.term.epoch === epoch &&
        (overtaken || !informed.has(other)),
    );
  }

  #committed(entry: LeaseEntry): void {
    const before = this.#last;
    this.#last = { entry, at: this.#time.now };
    if (entry.kind === "released") {
      const madeFor = this.#sentTo.get(`${entry.incarnation} releases ${before?.entry.revision}`);
      if (madeFor !== undefined && madeFor !== this.#bucket.generation) this.#strayed = true;
      if (before?.entry.kind !== "record" || before.entry.record.incarnation !== entry.incarnation) {
        this.#fail(`revision ${entry.revision} releases a lease that is not its own`);
      }
      return;
    }
    if (entry.kind !== "record") return;
    const { incarnation, nonce, epoch } = entry.record;
    const sentAt = this.#sentAt.get(`${incarnation}#${nonce}`);
    if (this.#sentTo.get(`${incarnation}#${nonce}`) !== this.#bucket.generation) this.#strayed = true;
    if (sentAt === undefined) return this.#fail(`revision ${entry.revision} was never sent`);
    const key = `${incarnation}/${epoch}`;
    this.#confirmedSend.set(key, Math.max(sentAt, this.#confirmedSend.get(key) ?? 0));
    const renews =
      before?.entry.kind === "record" &&
      before.entry.record.incarnation === incarnation &&
      before.entry.record.epoch === epoch;
    if (renews) return;
    if (this.#strayed) return;
    if (epoch <= this.#maxEpoch)
      this.#fail(`revision ${entry.revision}: epoch ${epoch} after ${this.#maxEpoch}`);
    this.#maxEpoch = epoch;
    for (const tampering of this.#tamperings) {
      const informed = [...tampering.informed].some((process) => process.incarnation === incarnation);
      if (!informed && tampering.leader.incarnation !== incarnation) tampering.overtaken = true;
    }
    if (before !== null) this.#mayTakeOver(before, incarnation);
  }

  #mayTakeOver(before: Committed, incarnation: string | undefined): void {
    const { entry, at } = before;
    if (entry.kind !== "record" && entry.kind !== "garbage") return;
    if (entry.kind === "record" && entry.record.incarnation === incarnation) return;
    const waited = this.#time.now - at;
    if (waited * RATE_SLACK >= timing.leaseTtlMs) return;
    const binding = entry.kind === "record" ? entry.record.session : undefined;
    const dead = binding?.presence !== undefined && !this.#connections.open.has(binding.clientId);
    if (!dead) this.#fail(`${incarnation} took over after only ${waited} ms`);
  }

  #countTick(process: Process): void {
    if (this.#time.now - this.#ticksSince >= 1_000) {
      this.#ticks.clear();
      this.#ticksSince = this.#time.now;
    }
    const ticks = (this.#ticks.get(process) ?? 0) + 1;
    this.#ticks.set(process, ticks);
    if (ticks > MAX_TICKS_PER_SECOND) this.#fail(`${process.incarnation} spins`);
  }
}
