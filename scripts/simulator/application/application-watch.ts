/** Checks every step of an application side against its guarantees, by a bookkeeping of its own. */
import type {
  ApplicationConfig,
  ApplicationEffect,
  ApplicationEvent,
  ApplicationState,
  Notice,
  Outcome,
} from "../../../src/application/types.ts";
import type { Instant } from "../../../src/election/time.ts";

/** Timers fire on whole milliseconds, rounded up. */
const TIMER_SLACK_MS = 2;
/** Terms whose code has not ended: one hook call and one run per worker, and the present term. */
const MAX_WORKERS_OF_A_HISTORY = 200;

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
}

interface CodeRecord {
  readonly kind: "call" | "run";
  readonly epoch: number | null;
  readonly worker: number | null;
}

export class ApplicationWatch {
  readonly #config: ApplicationConfig;
  readonly #violated: (what: string) => void;
  readonly #terms = new Map<number, TermRecord>();
  readonly #waits = new Map<
    number,
    { limitMono: number; readonly stop: boolean; readonly release: number | null }
  >();
  readonly #workers = new Map<
    number,
    {
      run: number | null;
      lastEpoch: number;
      aborted: boolean;
      readonly scoped: boolean;
      readonly scope: number | null;
    }
  >();
  readonly #codes = new Map<number, CodeRecord>();
  /** Errors that must be reported, in order. */
  readonly #errors: unknown[] = [];
  #activeCall: number | null = null;
  #current: number | null = null;
  #stopBeganMono: number | null = null;
  #stopLimitMono = Number.POSITIVE_INFINITY;
  #electionEnded = false;
  #electionEndedMono = Number.POSITIVE_INFINITY;
  #closedMono: number | null = null;
  /** Since when the present term has had application code that cannot run, and whether that was reported. */
  /** The present step reports blocked code. */
  #noticed = false;
  /** The run whose signal the present step aborts. */
  #abortedRun: number | null = null;
  #closed = false;
  #failures = 0;
  #lastLeader: unknown = undefined;
  #calledLeader: unknown = undefined;
  #starved: { readonly sinceMono: number; reported: boolean } | null = null;

  constructor(config: ApplicationConfig, violated: (what: string) => void) {
    this.#config = config;
    this.#violated = violated;
  }

  /** Application code ends; called before the event that says so. */
  codeEnds(
    code: { readonly id: number; readonly epoch: number | null; readonly worker: number | null },
    outcome: Outcome,
  ): void {
    if (outcome.kind !== "threw") return;
    const term = code.epoch === null ? undefined : this.#terms.get(code.epoch);
    const aborted =
      term?.running === false || (code.worker !== null && this.#workers.get(code.worker)?.aborted !== false);
    if (!outcome.abort || !aborted) this.#errors.push(outcome.error);
  }

  step(
    before: ApplicationState,
    event: ApplicationEvent,
    effects: readonly ApplicationEffect[],
    after: ApplicationState,
    now: Instant,
  ): void {
    this.#noticed = false;
    this.#abortedRun = null;
    this.#take(event, now);
    for (const effect of effects) this.#check(effect, event, now);
    if (
      after.stage !== "stopped" &&
      after.stage !== "closing" &&
      after.active === null &&
      after.waiting.length === 0
    ) {
      this.#checkComplete();
    }
    this.#checkErrors();
    this.#checkSignals(event);
    this.#checkLimits(after, now);
    this.#checkScopes(after);
    this.#checkReleases();
    this.#checkStarvation(after, now);
    this.#checkSize(after);
    if (before.stage === "stopped" && after.stage !== "stopped")
      this.#violated("the node is no longer stopped");
  }

  /** After the history: the node has stopped. */
  assertEnded(state: ApplicationState): void {
    if (state.stage !== "stopped") this.#violated(`the application side ends in stage "${state.stage}"`);
    if (this.#waits.size > 0) this.#violated(`${this.#waits.size} waits never settle`);
    if (state.waits.length > 0) this.#violated("settled waits are kept");
    for (const [id, { run }] of this.#workers) if (run === null) this.#violated(`worker ${id} never settles`);
  }

  /** Every call has been made and has returned: nothing may be missing. */
  #checkComplete(): void {
    const { hooks } = this.#config;
    if (hooks.has("onLeaderChange") && this.#calledLeader !== this.#lastLeader) {
      this.#violated("the application has not been notified of the last leader");
    }
    if (!hooks.has("onBecomeLeader") || !hooks.has("onLoseLeadership")) return;
    for (const [epoch, { becomeCalled, loseCalled, running }] of this.#terms) {
      if (!running && becomeCalled !== loseCalled)
        this.#violated(`term ${epoch} has one hook and not the other`);
    }
  }

  // ------------------------------------------------------------------------------------------ what happens

  #take(event: ApplicationEvent, now: Instant): void {
    switch (event.type) {
      case "wait":
        this.#waits.set(event.wait, { limitMono: now.mono + event.timeoutMs, stop: false, release: null });
        return;
      case "step-down":
      case "compete":
        this.#waits.set(event.wait, {
          limitMono: now.mono + event.timeoutMs,
          stop: false,
          release: this.#current,
        });
        return;
      case "stop":
        this.#waits.set(event.wait, { limitMono: Number.POSITIVE_INFINITY, stop: true, release: null });
        this.#stopBeganMono ??= now.mono;
        this.#stopLimitMono = Math.min(
          this.#stopLimitMono,
          this.#stopBeganMono + this.#config.drainTimeoutMs,
          now.mono + event.timeoutMs,
        );
        return;
      case "abort-wait":
        if (this.#waits.get(event.wait)?.stop === true)
          this.#stopLimitMono = Math.min(this.#stopLimitMono, now.mono);
        return;
      case "add-worker": {
        const code = event.inside === null ? undefined : this.#codes.get(event.inside);
        const scoped = code !== undefined && code.epoch !== null;
        const scope = code?.epoch ?? null;
        this.#workers.set(event.worker, { run: null, lastEpoch: 0, aborted: false, scoped, scope });
        return;
      }
      case "abort-worker": {
        const worker = this.#workers.get(event.worker);
        if (worker !== undefined) worker.aborted = true;
        return;
      }
      case "closed":
        this.#closed = true;
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
        this.#current = output.epoch;
        this.#terms.set(output.epoch, {
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
        });
        return;
      case "drain":
      case "lose-leadership": {
        const term = this.#term(output.epoch);
        term.running = false;
        this.#current = null;
        this.#starved = null;
        if (output.type === "drain") term.drainBeganMono = now.mono;
        return;
      }
      case "suspended":
      case "resumed":
        this.#term(output.epoch).suspended = output.type === "suspended";
        return;
      case "leader-change":
        this.#lastLeader = output.leader;
        return;
      case "stopped":
        this.#electionEnded = true;
        this.#electionEndedMono = now.mono;
        return;
      default:
    }
  }

  #onCallEnded(call: number): void {
    const code = this.#codes.get(call);
    this.#codes.delete(call);
    if (this.#activeCall === call) this.#activeCall = null;
    if (code?.epoch == null) return;
    const term = this.#term(code.epoch);
    if (term.loseCalled) term.loseEnded = true;
    else term.becomeEnded = true;
  }

  #onRunEnded(run: number): void {
    const code = this.#codes.get(run);
    this.#codes.delete(run);
    if (code?.epoch == null || code.worker === null) return;
    this.#term(code.epoch).runs -= 1;
    const worker = this.#workers.get(code.worker);
    if (worker !== undefined) worker.run = null;
  }

  #term(epoch: number): TermRecord {
    const term = this.#terms.get(epoch);
    if (term === undefined) throw new Error(`no term ${epoch}`);
    return term;
  }

  // ------------------------------------------------------------------------------------------ what is done about it

  #check(effect: ApplicationEffect, event: ApplicationEvent, now: Instant): void {
    switch (effect.type) {
      case "call-hook":
        return this.#checkCall(effect);
      case "start-run":
        return this.#checkRun(effect);
      case "settle": {
        const wait = this.#waits.get(effect.wait);
        if (wait === undefined) return this.#violated(`wait ${effect.wait} settles twice`);
        if (effect.settlement.kind === "timeout" && now.mono < wait.limitMono)
          this.#violated("a wait times out early");
        if (effect.settlement.kind === "leading") {
          const term = this.#terms.get(effect.settlement.epoch);
          if (term?.running !== true || term.suspended)
            this.#violated("a wait is answered by a term that may not be acted on");
        }
        if (effect.settlement.kind === "stopped" && wait.stop && this.#closed !== true) {
          this.#violated("stop() is answered before everything is closed");
        }
        if (effect.settlement.kind === "nothing" && event.type === "step-down" && this.#isDraining()) {
          this.#violated("a step-down that joins another one is not answered by it");
        }
        if (effect.settlement.kind === "released") {
          const term = this.#terms.get(effect.settlement.epoch);
          const complete = term !== undefined && this.#hasEnded(term);
          if (effect.settlement.drain === "complete" && !complete)
            this.#violated("a drain that is called complete is not");
        }
        this.#waits.delete(effect.wait);
        return;
      }
      case "settle-worker": {
        const worker = this.#workers.get(effect.worker);
        if (worker === undefined) return this.#violated(`worker ${effect.worker} settles twice`);
        if (worker.run !== null && effect.settlement.kind !== "unfinished")
          this.#violated(`worker ${effect.worker} settles while it runs`);
        this.#workers.delete(effect.worker);
        return;
      }
      case "resign":
        if (effect.reason === "hook-failed") this.#checkFailure(event, effect.pauseMs, now);
        return;
      case "end-term": {
        const term = this.#term(effect.epoch);
        if (term.signalEnded || term.running)
          this.#violated(`the signal of term ${effect.epoch} aborts out of place`);
        term.signalEnded = true;
        return;
      }
      case "abort-run":
        this.#abortedRun = effect.run;
        return;
      case "drained":
        return this.#checkDrained(now);
      case "close":
        if (!this.#electionEnded) this.#violated("closes before the election has ended");
        if (this.#codes.size > 0 && now.mono < this.#stopLimitMono)
          this.#violated("closes while application code runs");
        this.#closedMono = now.mono;
        return;
      case "notify":
        return this.#checkNotice(effect.notice);
      default:
    }
  }

  #checkCall(effect: Extract<ApplicationEffect, { type: "call-hook" }>): void {
    if (this.#activeCall !== null) this.#violated(`${effect.hook} is called while another hook runs`);
    this.#activeCall = effect.call;
    const epoch = "epoch" in effect ? effect.epoch : null;
    this.#codes.set(effect.call, { kind: "call", epoch, worker: null });
    if (effect.hook === "onLeaderChange") this.#calledLeader = effect.leader;
    if (epoch === null) return;
    const term = this.#term(epoch);
    if (effect.hook === "onBecomeLeader") {
      if (term.becomeCalled || !term.running)
        this.#violated(`onBecomeLeader of term ${epoch} is called out of place`);
      term.becomeCalled = true;
      return;
    }
    const given = this.#config.hooks.has("onBecomeLeader");
    if (term.loseCalled || term.running || (given && !term.becomeEnded)) {
      this.#violated(`onLoseLeadership of term ${epoch} is called out of place`);
    }
    term.loseCalled = true;
  }

  #checkRun({ run, worker: id, epoch }: Extract<ApplicationEffect, { type: "start-run" }>): void {
    const worker = this.#workers.get(id);
    const term = this.#term(epoch);
    this.#codes.set(run, { kind: "run", epoch, worker: id });
    term.runs += 1;
    if (worker === undefined) return this.#violated(`worker ${id} runs after it has settled`);
    if (worker.run !== null) this.#violated(`worker ${id} runs twice at the same time`);
    if (worker.lastEpoch === epoch) this.#violated(`worker ${id} runs twice in term ${epoch}`);
    if (worker.aborted) this.#violated(`worker ${id} starts after its abort`);
    if (!term.running) this.#violated(`worker ${id} starts in term ${epoch}, which is over`);
    const announced = term.becomeEnded || !this.#config.hooks.has("onBecomeLeader");
    if (!worker.scoped && !announced)
      this.#violated(`worker ${id} starts before onBecomeLeader has returned`);
    worker.run = run;
    worker.lastEpoch = epoch;
  }

  #isDraining(): boolean {
    return [...this.#terms.values()].some(
      ({ drainBeganMono, released }) => drainBeganMono !== null && !released,
    );
  }

  /** Only the code of the running term may end it, and terms that fail as they begin follow each other ever more slowly. */
  #checkFailure(event: ApplicationEvent, pauseMs: number, now: Instant): void {
    const failing = event.type === "call-ended" || event.type === "run-ended" ? event.outcome : null;
    const { failureBackOffMs, maxFailureBackOffMs, slowAfterMs } = this.#config;
    const term = this.#current === null ? undefined : this.#terms.get(this.#current);
    const lasted = term !== undefined && now.mono - term.beganMono >= slowAfterMs;
    this.#failures = lasted ? 1 : this.#failures + 1;
    const least = Math.min(maxFailureBackOffMs, failureBackOffMs * 2 ** (this.#failures - 1));
    if (pauseMs < least)
      this.#violated(`after ${this.#failures} failures the node pauses for ${pauseMs} ms only`);
    if (failing?.kind !== "threw") return this.#violated("a term ends by a failure, and nothing has failed");
    if (this.#failedEpoch !== this.#current)
      this.#violated(`a failure in term ${this.#failedEpoch} ends term ${this.#current}`);
  }

  #failedEpoch: number | null = null;

  #hasEnded(term: TermRecord): boolean {
    const called = term.becomeCalled || term.loseCalled;
    const owed = called && this.#config.hooks.has("onLoseLeadership") && !term.loseEnded;
    return term.runs === 0 && !(term.becomeCalled && !term.becomeEnded) && !owed;
  }

  #checkDrained(now: Instant): void {
    const term = [...this.#terms.values()].find(
      ({ drainBeganMono, drained }) => drainBeganMono !== null && !drained,
    );
    if (term?.drainBeganMono == null) return this.#violated("drained without a drain");
    term.drained = true;
    // Without onBecomeLeader it cannot be seen from outside whether onLoseLeadership is still to be called.
    const visible = this.#config.hooks.has("onBecomeLeader") || !this.#config.hooks.has("onLoseLeadership");
    term.endedInTime = visible ? this.#hasEnded(term) : null;
    const late = now.mono >= Math.min(term.drainBeganMono + this.#config.drainTimeoutMs, this.#stopLimitMono);
    if (!late && (term.runs > 0 || (term.becomeCalled && !term.becomeEnded)))
      this.#violated("drained while code of the term runs");
    if (!late && term.loseCalled && !term.loseEnded)
      this.#violated("drained before onLoseLeadership has returned");
  }

  #checkNotice(notice: Notice): void {
    if (notice.type === "blocked") this.#noticed = true;
    if (notice.type === "released") {
      const term = this.#term(notice.epoch);
      if (notice.drain === "timed-out" && term.endedInTime === true)
        this.#violated("a drain that was complete is called timed out");
      term.drained = true;
      term.released = true;
    }
    if (notice.type !== "hook-error") return;
    this.#failedEpoch = notice.epoch;
    if (this.#errors.shift() !== notice.error)
      this.#violated("an error is reported that was not thrown, or twice");
  }

  /** Signals abort in the step that ends their term or worker. */
  #checkSignals(event: ApplicationEvent): void {
    for (const [epoch, { running, signalEnded }] of this.#terms) {
      if (!running && !signalEnded) this.#violated(`the signal of term ${epoch} does not abort`);
    }
    if (event.type !== "abort-worker") return;
    const run = this.#workers.get(event.worker)?.run ?? null;
    if (run !== null && run !== this.#abortedRun && !this.#abortedBefore.has(run))
      this.#violated(`run ${run} is not aborted with its worker`);
    if (run !== null) this.#abortedBefore.add(run);
  }

  readonly #abortedBefore = new Set<number>();

  /** A step-down whose term was lost instead has nothing to wait for. */
  #checkReleases(): void {
    for (const [wait, { release }] of this.#waits) {
      const term = release === null ? undefined : this.#terms.get(release);
      if (term?.running === false && term.drainBeganMono === null)
        this.#violated(`wait ${wait} outlives its term`);
    }
  }

  /** A worker of one term ends with it. */
  #checkScopes({ stage }: ApplicationState): void {
    if (stage === "stopped" || stage === "closing") return;
    for (const [id, { scope, run }] of this.#workers) {
      if (scope !== null && run === null && this.#terms.get(scope)?.running !== true)
        this.#violated(`worker ${id} outlives its term`);
    }
  }

  #checkErrors(): void {
    if (this.#errors.length > 0)
      this.#violated(`an error of the application is not reported: ${String(this.#errors[0])}`);
  }

  #checkLimits(state: ApplicationState, now: Instant): void {
    if (state.stage === "stopped") return;
    for (const [wait, { limitMono }] of this.#waits) {
      if (now.mono >= limitMono) this.#violated(`wait ${wait} outlasts its limit`);
    }
    const over = Math.max(this.#stopLimitMono, this.#electionEndedMono);
    if (this.#closedMono === null && now.mono > over + TIMER_SLACK_MS && state.stage === "finishing") {
      this.#violated("the stop waits longer than its limit for the application");
    }
    for (const [epoch, { drainBeganMono, drained }] of this.#terms) {
      if (drainBeganMono === null || drained) continue;
      if (now.mono >= Math.min(drainBeganMono + this.#config.drainTimeoutMs, this.#stopLimitMono)) {
        this.#violated(`the drain of term ${epoch} outlasts its limit`);
      }
    }
  }

  /** A leader whose application code cannot run has to say so in time. */
  #checkStarvation({ stage, waiting }: ApplicationState, now: Instant): void {
    const term = this.#current === null ? undefined : this.#terms.get(this.#current);
    if (term === undefined || stage === "stopped") return;
    const hookDue = this.#config.hooks.has("onBecomeLeader") && !term.becomeCalled && waiting.length > 0;
    const announced = term.becomeEnded || !this.#config.hooks.has("onBecomeLeader");
    const workDue =
      announced &&
      [...this.#workers.values()].some(
        ({ run, lastEpoch, aborted, scoped }) =>
          !scoped && !aborted && run !== null && lastEpoch !== this.#current,
      );
    if (!hookDue && !workDue) this.#starved = null;
    else if (this.#starved === null) this.#starved = { sinceMono: now.mono, reported: this.#noticed };
    else if (this.#noticed) this.#starved.reported = true;
    else if (
      !this.#starved.reported &&
      now.mono > this.#starved.sinceMono + this.#config.slowAfterMs + TIMER_SLACK_MS
    ) {
      this.#violated("a leader whose work cannot run does not say so");
    }
  }

  #checkSize({ terms, waiting, workers, waits }: ApplicationState): void {
    const live = 2 + workers.filter(({ run }) => run !== null).length;
    if (terms.length > live + 1) this.#violated(`${terms.length} terms are kept`);
    if (waiting.length > 256) this.#violated(`${waiting.length} calls wait`);
    if (waits.length > this.#waits.size) this.#violated("settled waits are kept");
    if (workers.length > MAX_WORKERS_OF_A_HISTORY) this.#violated(`${workers.length} workers are kept`);
  }
}
