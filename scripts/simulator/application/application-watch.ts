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
import { messageOf } from "../../../src/errors.ts";
import { ApplicationBook } from "./application-book.ts";
import { SelfWaitWatch } from "./self-wait-watch.ts";

/** Timers fire on whole milliseconds, rounded up. */
const TIMER_SLACK_MS = 2;
const MAX_WORKERS_OF_A_HISTORY = 200;

export class ApplicationWatch {
  readonly #config: ApplicationConfig;
  readonly #violated: (what: string) => void;
  readonly #book: ApplicationBook;
  readonly selfWaits: SelfWaitWatch;
  /** Errors that must be reported, in order. */
  readonly #errors: unknown[] = [];
  #closedMono: number | null = null;
  /** The present step reports blocked code. */
  #noticed = false;
  /** The last term that has reported blocked work. Once that work may run, it does so for the rest of the term. */
  #blockedWorkOf: number | null = null;
  /** The run whose signal the present step aborts. */
  #abortedRun: number | null = null;
  #calledLeader: unknown = undefined;
  /** Of the last reported error of application code. */
  #failedEpoch: number | null = null;
  readonly #abortedBefore = new Set<number>();
  /** Since when the present term has had application code that cannot run, and whether that was reported. */
  #starved: { readonly sinceMono: number; reported: boolean } | null = null;

  constructor(config: ApplicationConfig, violated: (what: string) => void) {
    this.#config = config;
    this.#book = new ApplicationBook(config);
    this.selfWaits = new SelfWaitWatch(config, this.#book, violated);
    this.#violated = violated;
  }

  /** Application code ends; called before the event that says so. */
  codeEnds(
    code: { readonly id: number; readonly epoch: number | null; readonly worker: number | null },
    outcome: Outcome,
  ): void {
    if (outcome.kind !== "threw") return;
    const term = code.epoch === null ? undefined : this.#book.terms.get(code.epoch);
    const aborted =
      term?.running === false ||
      (code.worker !== null && this.#book.workers.get(code.worker)?.aborted !== false);
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
    this.#book.take(event, now);
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
    this.selfWaits.step(event, effects, now);
    this.#checkReleases();
    this.#checkStarvation(after, now);
    this.#checkSize(after);
    if (before.stage === "stopped" && after.stage !== "stopped")
      this.#violated("the node is no longer stopped");
  }

  /** After the history: the node has stopped. */
  assertEnded(state: ApplicationState): void {
    if (state.stage !== "stopped") this.#violated(`the application side ends in stage "${state.stage}"`);
    if (this.#book.waits.size > 0) this.#violated(`${this.#book.waits.size} waits never settle`);
    if (state.waits.length > 0) this.#violated("settled waits are kept");
    for (const [id, { run }] of this.#book.workers)
      if (run === null) this.#violated(`worker ${id} never settles`);
  }

  /** Every call has been made and has returned: nothing may be missing. */
  #checkComplete(): void {
    const { hooks } = this.#config;
    if (hooks.has("onLeaderChange") && this.#calledLeader !== this.#book.lastLeader) {
      this.#violated("the application has not been notified of the last leader");
    }
    if (!hooks.has("onBecomeLeader") || !hooks.has("onLoseLeadership")) return;
    for (const [epoch, { becomeCalled, loseCalled, running }] of this.#book.terms) {
      if (!running && becomeCalled !== loseCalled)
        this.#violated(`term ${epoch} has one hook and not the other`);
    }
  }

  // ------------------------------------------------------------------------------------------ what is done about it

  #check(effect: ApplicationEffect, event: ApplicationEvent, now: Instant): void {
    switch (effect.type) {
      case "call-hook":
        return this.#checkCall(effect);
      case "start-run":
        return this.#checkRun(effect);
      case "settle": {
        const wait = this.#book.waits.get(effect.wait);
        if (wait === undefined) return this.#violated(`wait ${effect.wait} settles twice`);
        if (effect.settlement.kind === "timeout" && now.mono < wait.limitMono)
          this.#violated("a wait times out early");
        if (effect.settlement.kind === "leading") {
          const term = this.#book.terms.get(effect.settlement.epoch);
          if (term?.running !== true || term.suspended)
            this.#violated("a wait is answered by a term that may not be acted on");
        }
        if (effect.settlement.kind === "stopped" && wait.stop && this.#book.closed !== true) {
          this.#violated("stop() is answered before everything is closed");
        }
        if (effect.settlement.kind === "nothing" && event.type === "step-down" && this.#book.isDraining) {
          this.#violated("a step-down that joins another one is not answered by it");
        }
        if (effect.settlement.kind === "released") {
          const term = this.#book.terms.get(effect.settlement.epoch);
          const complete = term !== undefined && this.#book.hasEnded(term);
          if (effect.settlement.drain === "complete" && !complete)
            this.#violated("a drain that is called complete is not");
        }
        this.#book.waits.delete(effect.wait);
        return;
      }
      case "settle-worker": {
        const worker = this.#book.workers.get(effect.worker);
        if (worker === undefined) return this.#violated(`worker ${effect.worker} settles twice`);
        if (worker.run !== null && effect.settlement.kind !== "unfinished")
          this.#violated(`worker ${effect.worker} settles while it runs`);
        if (effect.settlement.kind === "refused") this.#checkRefused(event);
        this.#book.workers.delete(effect.worker);
        return;
      }
      case "resign":
        if (effect.reason === "hook-failed") this.#checkFailure(event, effect.pauseMs, now);
        return;
      case "end-term": {
        const term = this.#book.term(effect.epoch);
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
        if (!this.#book.electionEnded) this.#violated("closes before the election has ended");
        if (this.#book.codes.size > 0 && now.mono < this.#book.stopLimitMono)
          this.#violated("closes while application code runs");
        this.#closedMono = now.mono;
        return;
      case "notify":
        return this.#checkNotice(effect.notice);
      default:
    }
  }

  /** Only a hook without a term is refused, and only while no term has been announced. */
  #checkRefused(event: ApplicationEvent): void {
    const code =
      event.type !== "add-worker" || event.inside === null ? undefined : this.#book.codes.get(event.inside);
    if (code === undefined || code.epoch !== null) return this.#violated("a worker is refused without need");
    const term = this.#book.current === null ? undefined : this.#book.terms.get(this.#book.current);
    if (term?.becomeEnded === true && !term.failed) this.#violated("a worker of the running term is refused");
  }

  #checkCall(effect: Extract<ApplicationEffect, { type: "call-hook" }>): void {
    if (this.#book.activeCall !== null) this.#violated(`${effect.hook} is called while another hook runs`);
    this.#book.activeCall = effect.call;
    const epoch = "epoch" in effect ? effect.epoch : null;
    this.#book.codes.set(effect.call, { kind: "call", epoch, worker: null });
    if (effect.hook === "onLeaderChange") this.#calledLeader = effect.leader;
    if (epoch === null) return;
    const term = this.#book.term(epoch);
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
    const worker = this.#book.workers.get(id);
    const term = this.#book.term(epoch);
    this.#book.codes.set(run, { kind: "run", epoch, worker: id });
    term.runs += 1;
    if (worker === undefined) return this.#violated(`worker ${id} runs after it has settled`);
    for (const { kind, epoch: other } of this.#book.codes.values()) {
      if (kind === "run" && other !== epoch)
        this.#violated(`work of terms ${other} and ${epoch} runs at the same time`);
    }
    if (worker.lastEpoch === epoch) this.#violated(`worker ${id} runs twice in term ${epoch}`);
    if (worker.aborted) this.#violated(`worker ${id} starts after its abort`);
    if (!term.running) this.#violated(`worker ${id} starts in term ${epoch}, which is over`);
    const announced = term.becomeEnded || !this.#config.hooks.has("onBecomeLeader");
    if (!worker.early && !announced) this.#violated(`worker ${id} starts before onBecomeLeader has returned`);
    worker.run = run;
    worker.lastEpoch = epoch;
  }

  /** Only the code of the running term may end it, and terms that fail as they begin follow each other ever more slowly. */
  #checkFailure(event: ApplicationEvent, pauseMs: number, now: Instant): void {
    const failing = event.type === "call-ended" || event.type === "run-ended" ? event.outcome : null;
    const { failureBackOffMs, maxFailureBackOffMs, slowAfterMs } = this.#config;
    const term = this.#book.current === null ? undefined : this.#book.terms.get(this.#book.current);
    const lasted = term !== undefined && now.mono - term.beganMono >= slowAfterMs;
    this.#book.failures = lasted ? 1 : this.#book.failures + 1;
    if (term !== undefined) term.failed = true;
    const expected = Math.min(maxFailureBackOffMs, failureBackOffMs * 2 ** (this.#book.failures - 1));
    if (pauseMs !== expected)
      this.#violated(
        `after ${this.#book.failures} failures the node pauses for ${pauseMs} ms, not ${expected}`,
      );
    if (failing?.kind !== "threw") return this.#violated("a term ends by a failure, and nothing has failed");
    if (this.#failedEpoch !== this.#book.current)
      this.#violated(`a failure in term ${this.#failedEpoch} ends term ${this.#book.current}`);
  }

  #checkDrained(now: Instant): void {
    const term = [...this.#book.terms.values()].find(
      ({ drainBeganMono, drained }) => drainBeganMono !== null && !drained,
    );
    if (term?.drainBeganMono == null) return this.#violated("drained without a drain");
    term.drained = true;
    // Without onBecomeLeader it cannot be seen from outside whether onLoseLeadership is still to be called.
    const visible = this.#config.hooks.has("onBecomeLeader") || !this.#config.hooks.has("onLoseLeadership");
    term.endedInTime = visible ? this.#book.hasEnded(term) : null;
    const late =
      now.mono >= Math.min(term.drainBeganMono + this.#config.drainTimeoutMs, this.#book.stopLimitMono);
    if (!late && (term.runs > 0 || (term.becomeCalled && !term.becomeEnded)))
      this.#violated("drained while code of the term runs");
    if (!late && term.loseCalled && !term.loseEnded)
      this.#violated("drained before onLoseLeadership has returned");
  }

  #checkNotice(notice: Notice): void {
    if (notice.type === "blocked") this.#noticed = true;
    if (notice.type === "blocked" && notice.blocked.code === "WORK_BLOCKED")
      this.#blockedWorkOf = this.#book.current;
    if (notice.type === "released") {
      const term = this.#book.term(notice.epoch);
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
    for (const [epoch, { running, signalEnded }] of this.#book.terms) {
      if (!running && !signalEnded) this.#violated(`the signal of term ${epoch} does not abort`);
    }
    if (event.type !== "abort-worker") return;
    const run = this.#book.workers.get(event.worker)?.run ?? null;
    if (run !== null && run !== this.#abortedRun && !this.#abortedBefore.has(run))
      this.#violated(`run ${run} is not aborted with its worker`);
    if (run !== null) this.#abortedBefore.add(run);
  }

  /** A step-down whose term was lost instead has nothing to wait for. */
  #checkReleases(): void {
    for (const [wait, { release }] of this.#book.waits) {
      const term = release === null ? undefined : this.#book.terms.get(release);
      if (term?.running === false && term.drainBeganMono === null)
        this.#violated(`wait ${wait} outlives its term`);
    }
  }

  /** A worker of one term ends with it. */
  #checkScopes({ stage }: ApplicationState): void {
    if (stage === "stopped" || stage === "closing") return;
    for (const [id, { scoped, scope, run }] of this.#book.workers) {
      if (scoped && scope === null) this.#violated(`worker ${id} keeps its own term from beginning`);
      if (scope !== null && run === null && this.#book.terms.get(scope)?.running !== true)
        this.#violated(`worker ${id} outlives its term`);
    }
  }

  #checkErrors(): void {
    if (this.#errors.length > 0)
      this.#violated(`an error of the application is not reported: ${messageOf(this.#errors[0])}`);
  }

  #checkLimits(state: ApplicationState, now: Instant): void {
    if (state.stage === "stopped") return;
    for (const [wait, { limitMono }] of this.#book.waits) {
      if (now.mono >= limitMono) this.#violated(`wait ${wait} outlasts its limit`);
    }
    const over = Math.max(this.#book.stopLimitMono, this.#book.electionEndedMono);
    if (this.#closedMono === null && now.mono > over + TIMER_SLACK_MS && state.stage === "finishing") {
      this.#violated("the stop waits longer than its limit for the application");
    }
    for (const [epoch, { drainBeganMono, drained }] of this.#book.terms) {
      if (drainBeganMono === null || drained) continue;
      if (now.mono >= Math.min(drainBeganMono + this.#config.drainTimeoutMs, this.#book.stopLimitMono)) {
        this.#violated(`the drain of term ${epoch} outlasts its limit`);
      }
    }
  }

  /** A leader whose application code cannot run has to say so in time. */
  #checkStarvation({ stage, waiting }: ApplicationState, now: Instant): void {
    const term = this.#book.current === null ? undefined : this.#book.terms.get(this.#book.current);
    if (term === undefined || stage === "stopped") {
      this.#starved = null;
      return;
    }
    const hookDue = this.#config.hooks.has("onBecomeLeader") && !term.becomeCalled && waiting.length > 0;
    // Without that hook, work waits for the calls before it all the same.
    if (this.#book.activeCall === null) term.reached = true;
    const announced = this.#config.hooks.has("onBecomeLeader") ? term.becomeEnded : term.reached;
    const workDue =
      announced &&
      [...this.#book.codes.values()].some(
        ({ kind, epoch }) => kind === "run" && epoch !== this.#book.current,
      ) &&
      [...this.#book.workers.values()].some(
        ({ lastEpoch, aborted, scoped }) => !scoped && !aborted && lastEpoch !== this.#book.current,
      );
    if (!hookDue && !workDue) this.#starved = null;
    else if (this.#starved === null) {
      const reported = this.#noticed || (!hookDue && this.#blockedWorkOf === this.#book.current);
      this.#starved = { sinceMono: now.mono, reported };
    } else if (this.#noticed) this.#starved.reported = true;
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
    if (waits.length > this.#book.waits.size) this.#violated("settled waits are kept");
    if (workers.length > MAX_WORKERS_OF_A_HISTORY) this.#violated(`${workers.length} workers are kept`);
  }
}
