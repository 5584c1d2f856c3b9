/** What the watch knows of an application side: the events that it was given, kept in records of their own. */
import type { ApplicationConfig, ApplicationEvent } from "../../../src/application/types.ts";
import type { Instant } from "../../../src/election/time.ts";

interface TermRecord {
  readonly beganMono: number;
  running: boolean;
  suspended: boolean;
  signalEnded: boolean;
  becomeCalled: boolean;
  becomeEnded: boolean;
  loseCalled: boolean;
  loseEnded: boolean;
  drainBeganMono: number | null;
  drained: boolean;
  released: boolean;
  /** Whether everything of the term had ended when `drained` was reported. */
  endedInTime: boolean | null;
  runs: number;
  /** The calls before it have ended. */
  reached: boolean;
  /** It is given up because the application failed. */
  failed: boolean;
}

interface WaitRecord {
  readonly limitMono: number;
  readonly stop: boolean;
  /** The term whose release it waits for. */
  readonly release: number | null;
}

interface WorkerRecord {
  run: number | null;
  lastEpoch: number;
  aborted: boolean;
  /** It was added by application code, and ends with the term `scope`. */
  readonly scoped: boolean;
  readonly scope: number | null;
  /** It was added by code of that term, and need not wait for `onBecomeLeader`. */
  readonly early: boolean;
}

interface CodeRecord {
  readonly kind: "call" | "run";
  readonly epoch: number | null;
  readonly worker: number | null;
}

export class ApplicationBook {
  readonly #config: ApplicationConfig;
  readonly terms: Map<number, TermRecord> = new Map();
  readonly waits: Map<number, WaitRecord> = new Map();
  readonly workers: Map<number, WorkerRecord> = new Map();
  readonly codes: Map<number, CodeRecord> = new Map();
  /** The hook call that has not ended. */
  activeCall: number | null = null;
  /** Epoch of the running term. */
  current: number | null = null;
  lastLeader: unknown = undefined;
  /** Terms in a row that failed soon after they began. */
  failures = 0;
  stopLimitMono: number = Number.POSITIVE_INFINITY;
  electionEnded = false;
  electionEndedMono: number = Number.POSITIVE_INFINITY;
  closed = false;
  #stopBeganMono: number | null = null;

  constructor(config: ApplicationConfig) {
    this.#config = config;
  }

  take(event: ApplicationEvent, now: Instant): void {
    switch (event.type) {
      case "wait":
        this.waits.set(event.wait, { limitMono: now.mono + event.timeoutMs, stop: false, release: null });
        return;
      case "step-down":
      case "compete":
        this.waits.set(event.wait, {
          limitMono: now.mono + event.timeoutMs,
          stop: false,
          release: this.current,
        });
        return;
      case "stop":
        this.waits.set(event.wait, { limitMono: Number.POSITIVE_INFINITY, stop: true, release: null });
        this.#stopBeganMono ??= now.mono;
        this.stopLimitMono = Math.min(
          this.stopLimitMono,
          this.#stopBeganMono + this.#config.drainTimeoutMs,
          now.mono + event.timeoutMs,
        );
        return;
      case "abort-wait":
        if (this.waits.get(event.wait)?.stop === true)
          this.stopLimitMono = Math.min(this.stopLimitMono, now.mono);
        return;
      case "add-worker": {
        const code = event.inside === null ? undefined : this.codes.get(event.inside);
        const scoped = code !== undefined;
        const early = code !== undefined && code.epoch !== null;
        const scope = early ? code.epoch : scoped ? this.current : null;
        this.workers.set(event.worker, { run: null, lastEpoch: 0, aborted: false, scoped, scope, early });
        return;
      }
      case "abort-worker": {
        const worker = this.workers.get(event.worker);
        if (worker !== undefined) worker.aborted = true;
        return;
      }
      case "closed":
        this.closed = true;
        return;
      case "call-ended":
        return this.#onCallEnded(event.call);
      case "run-ended":
        return this.#onRunEnded(event.run);
      case "election":
        return this.#onElection(event, now);
      default:
    }
  }

  #onElection({ output }: Extract<ApplicationEvent, { type: "election" }>, now: Instant): void {
    switch (output.type) {
      case "become-leader":
        this.current = output.epoch;
        this.terms.set(output.epoch, {
          beganMono: now.mono,
          running: true,
          suspended: false,
          signalEnded: false,
          becomeCalled: false,
          becomeEnded: false,
          loseCalled: false,
          loseEnded: false,
          drainBeganMono: null,
          drained: false,
          released: false,
          endedInTime: null,
          runs: 0,
          reached: false,
          failed: false,
        });
        return;
      case "drain":
      case "lose-leadership": {
        const term = this.term(output.epoch);
        term.running = false;
        this.current = null;
        if (!term.failed) this.failures = 0;
        if (output.type === "drain") term.drainBeganMono = now.mono;
        return;
      }
      case "suspended":
      case "resumed":
        this.term(output.epoch).suspended = output.type === "suspended";
        return;
      case "leader-change":
        this.lastLeader = output.leader;
        return;
      case "stopped":
        this.electionEnded = true;
        this.electionEndedMono = now.mono;
        return;
      default:
    }
  }

  #onCallEnded(call: number): void {
    const code = this.codes.get(call);
    this.codes.delete(call);
    if (this.activeCall === call) this.activeCall = null;
    if (code?.epoch == null) return;
    const term = this.term(code.epoch);
    if (term.loseCalled) term.loseEnded = true;
    else term.becomeEnded = true;
  }

  #onRunEnded(run: number): void {
    const code = this.codes.get(run);
    this.codes.delete(run);
    if (code?.epoch == null || code.worker === null) return;
    this.term(code.epoch).runs -= 1;
    const worker = this.workers.get(code.worker);
    if (worker !== undefined) worker.run = null;
  }

  term(epoch: number): TermRecord {
    const term = this.terms.get(epoch);
    if (term === undefined) throw new Error(`no term ${epoch}`);
    return term;
  }

  hasEnded(term: TermRecord): boolean {
    const called = term.becomeCalled || term.loseCalled;
    const owed = called && this.#config.hooks.has("onLoseLeadership") && !term.loseEnded;
    return term.runs === 0 && !(term.becomeCalled && !term.becomeEnded) && !owed;
  }

  get isDraining(): boolean {
    return [...this.terms.values()].some(
      ({ drainBeganMono, released }) => drainBeganMono !== null && !released,
    );
  }
}
