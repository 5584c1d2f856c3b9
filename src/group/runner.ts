/**
 * Runs the application side of one incarnation of a member: one queue of events, one timer, and the promises, signals and calls of the
 * application that `src/group/application` decides about.
 *
 * A session that ends takes thousands of terms with it. Each of them is over at once (`OwnTerm.end`), and so is `held`; hooks, work and
 * listeners of their signals are called in slices, so that the connection is served in between.
 */
import type { Outcome } from "../application/types.ts";
import type { Instant } from "../election/time.ts";
import { ClusterError } from "../errors.ts";
import { clockTrueSignal } from "../node/term.ts";
import { callerOf } from "../runtime/application/application-code.ts";
import { attempt, OpenRequests, outcomeOf } from "../runtime/application/open-requests.ts";
import type { Clock } from "../runtime/ports.ts";
import type { WaitOptions } from "../runtime/waiting.ts";
import {
  groupApplicationWakeMs,
  initialGroupApplication,
  stepGroupApplication,
} from "./application/application.ts";
import type {
  GroupApplicationConfig,
  GroupApplicationEffect,
  GroupApplicationEvent,
  GroupApplicationState,
  GroupHookName,
  GroupNotice,
  GroupOutput,
  MemberCall,
  ResourceCall,
  Settlement,
  Worker,
  WorkerSettlement,
} from "./application/types.ts";
import type { GroupEvent, MemberView } from "./core/events.ts";
import type { EndedCall } from "./group-watch.ts";
import type { GroupHooks } from "./hooks.ts";
import { OwnTerm, type ResourceTerm, type TermContext } from "./term.ts";

/** Work of a resource: what `runOwned()` runs in every term of every resource. */
export type ResourceWork = (term: ResourceTerm, run: { readonly signal: AbortSignal }) => unknown;

export interface GroupRunnerOptions {
  /** Of the last incarnation of the member. */
  readonly earlier: GroupRunner | null;
  readonly config: GroupApplicationConfig;
  readonly context: TermContext;
  readonly hooks: GroupHooks;
  readonly clock: Clock;
  /** Carries out what the application wants of the core. */
  readonly toCore: (event: GroupEvent) => void;
  /** Keeps the process alive for as long as a wait with this limit lasts. Returns the end. */
  readonly keepAlive: (limitMs: number) => () => void;
  /** Reports a notice as log line and event. */
  readonly notify: (notice: GroupNotice, term: (resource: string, epoch: number) => ResourceTerm) => void;
  /** Closes what the incarnation opened. */
  readonly close: () => Promise<void>;
  /** A hook that the application has was called, and has ended. */
  readonly hookEnded?: (call: EndedCall) => void;
  /** Reports that a step has failed, which is a defect: the steps after it are carried out. */
  readonly defect: (during: string, error: unknown) => void;
}

/** A settlement; `term`: the one that it names, which may have ended before the caller goes on. */
export type Answer = Settlement & { readonly term?: OwnTerm | undefined };

/** Steps before the event loop gets its turn. */
const SLICE = 256;

type CodeEnded = Extract<GroupApplicationEvent, { type: "call-ended" | "run-ended" }>;

export class GroupRunner {
  /** One object for this incarnation and for earlier ones whose code still runs: that code delays this incarnation as its own does. */
  readonly codeOwner: object;
  readonly #o: GroupRunnerOptions;
  readonly #queue: GroupApplicationEvent[] = [];
  /** Terms that are not over for the application: by resource, oldest first. */
  readonly #terms = new Map<string, OwnTerm[]>();
  readonly #open: OpenRequests<GroupApplicationEvent, Answer, ResourceWork, WorkerSettlement>;
  readonly #runs = new Map<number, OwnRun>();
  /** Hook calls of resources that have not returned. */
  readonly #calls = new Map<number, OwnTerm>();
  readonly #state: GroupApplicationState;
  #members: readonly MemberView[] = [];
  #next = 0;
  #busy = false;
  /** The queue is worked off later in this turn of the event loop, or in the next one. */
  #isWaiting = false;
  #cancelTimer: (() => void) | null = null;
  /** The next incarnation of the member. */
  #successor: GroupRunner | null = null;

  constructor(options: GroupRunnerOptions) {
    this.#o = options;
    this.#open = new OpenRequests((event) => this.dispatch(event), options.keepAlive);
    this.codeOwner = options.earlier?.codeOwner ?? {};
    this.#state = initialGroupApplication(options.config, options.earlier?.handOver(this));
  }

  /** Whether all hooks and work have returned. */
  get isIdle(): boolean {
    return this.#state.active === null && this.#state.slots.size === 0;
  }

  get members(): readonly MemberView[] {
    return this.#members;
  }

  /** Application code of this incarnation, which has stopped, may still run: its end is an event of the next one, too. */
  handOver(successor: GroupRunner): GroupApplicationState {
    this.#successor = successor;
    return this.#state;
  }

  /** The running terms. */
  *running(): Generator<OwnTerm> {
    for (const terms of this.#terms.values()) {
      const last = terms.at(-1);
      if (last !== undefined && last.lossReason === null) yield last;
    }
  }

  runningTerm(resource: string): OwnTerm | null {
    const last = this.#terms.get(resource)?.at(-1);
    return last !== undefined && last.lossReason === null ? last : null;
  }

  /** An output of the core. What it says about terms holds as soon as this returns. */
  output(output: GroupOutput): void {
    switch (output.type) {
      case "own":
        this.#addTerm(output.resource, output.epoch);
        break;
      case "drain":
        this.#term(output.resource, output.epoch).end(output.reason);
        break;
      case "lose": {
        const term = this.#term(output.resource, output.epoch);
        term.end(output.reason);
        term.close();
        break;
      }
      case "released":
        this.#term(output.resource, output.epoch).close();
        break;
      case "members":
        this.#members = output.members;
        break;
      default:
    }
    this.#queue.push({ type: "core", output });
    // A step of the core may have thousands of outputs: the first slice begins when it has ended.
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    queueMicrotask(() => this.#continue());
  }

  /** Queues an event, and handles the queue unless that is being done. Never throws. */
  dispatch(event: GroupApplicationEvent): void {
    this.#queue.push(event);
    if (!this.#isWaiting) this.#work();
  }

  #continue(): void {
    this.#isWaiting = false;
    this.#work();
  }

  #work(): void {
    if (this.#busy) return;
    this.#busy = true;
    for (let steps = 0; steps < SLICE && this.#next < this.#queue.length; steps++) {
      const event = this.#queue[this.#next] as GroupApplicationEvent;
      this.#next += 1;
      this.#attempt(event.type, () => this.#step(event));
    }
    this.#busy = false;
    if (this.#next < this.#queue.length) {
      if (this.#isWaiting) return;
      this.#isWaiting = true;
      this.#o.clock.afterTurn(() => this.#continue());
      return;
    }
    this.#queue.length = 0;
    this.#next = 0;
    this.#attempt("timer", () => this.#setTimer());
  }

  /** A lost effect would leave hooks uncalled. */
  #attempt(what: string, act: () => void): void {
    attempt(what, act, this.#o.defect);
  }

  // ------------------------------------------------------------------------------------------ terms

  #addTerm(resource: string, epoch: number): void {
    const { context, clock } = this.#o;
    const added = new OwnTerm(context, resource, epoch, clock.now().wall);
    this.#terms.set(resource, [...(this.#terms.get(resource) ?? []), added]);
  }

  #term(resource: string, epoch: number): OwnTerm {
    const term = this.#terms.get(resource)?.find((one) => one.epoch === epoch);
    if (term === undefined) throw new Error(`bug: no term of "${resource}" with epoch ${epoch}`);
    return term;
  }

  #forgetTerm(resource: string, epoch: number): void {
    const left = (this.#terms.get(resource) ?? []).filter((one) => one.epoch !== epoch);
    if (left.length === 0) this.#terms.delete(resource);
    else this.#terms.set(resource, left);
  }

  // ------------------------------------------------------------------------------------------ waits and work

  /** Dispatches an event that adds a wait; resolves with its settlement. */
  ask(
    options: WaitOptions,
    event: (wait: number, timeoutMs: number) => GroupApplicationEvent,
  ): Promise<Answer> {
    return this.#open.ask(options, event);
  }

  /**
   * Adds work; resolves when it is over, or at once with the name of a hook without a term that has called this. `signal` has not
   * aborted.
   */
  addWorker(
    work: ResourceWork,
    signal: AbortSignal | undefined,
  ): Promise<WorkerSettlement | { readonly kind: "refused"; readonly hook: GroupHookName }> {
    const [inside = null] = callerOf(this.codeOwner).inside;
    const scope = inside === null ? null : this.#scopeOf(inside);
    if (typeof scope === "string") return Promise.resolve({ kind: "refused", hook: scope });
    return this.#open.register({ work, inside, signal }, (worker) => ({ type: "add-worker", worker, scope }));
  }

  /** The term of this code; the name of a hook that has none. */
  #scopeOf(code: number): Worker["scope"] | GroupHookName {
    const term = this.#runs.get(code)?.term ?? this.#calls.get(code);
    if (term !== undefined) return { resource: term.resource, epoch: term.epoch };
    return this.#state.active?.call === code ? this.#state.active.hook : null;
  }

  // ------------------------------------------------------------------------------------------ effects

  #step(event: GroupApplicationEvent): void {
    const effects = stepGroupApplication(this.#state, event, this.#o.clock.now());
    for (const effect of effects) this.#attempt(effect.type, () => this.#carryOut(effect));
  }

  #carryOut(effect: GroupApplicationEffect): void {
    const { toCore } = this.#o;
    switch (effect.type) {
      case "notify":
        return this.#o.notify(effect.notice, (resource, epoch) => this.#term(resource, epoch));
      case "call-resource-hook":
        return this.#callResourceHook(effect.resource, effect.call);
      case "call-member-hook":
        return this.#callMemberHook(effect.call);
      case "start-run":
        return this.#startRun(effect);
      case "abort-run": {
        const run = this.#runs.get(effect.run);
        const { signal } = this.#open.registered(run?.worker ?? 0) ?? {};
        const message = "the signal that was passed to runOwned() has aborted";
        return run?.abort(new ClusterError("ABORTED", message, { cause: signal?.reason }));
      }
      case "end-term":
        return this.#term(effect.resource, effect.epoch).abort();
      case "forget-term":
        return this.#forgetTerm(effect.resource, effect.epoch);
      case "settle":
        return this.#settle(effect.wait, effect.settlement);
      case "settle-worker":
        return this.#open.endWork(effect.worker, effect.settlement);
      case "refuse":
        return toCore({ type: "refuse", resource: effect.resource, forMs: effect.forMs });
      case "drained":
        return toCore({ type: "drained", resource: effect.resource, epoch: effect.epoch });
      case "set-draining":
        return toCore({ type: "draining", draining: effect.drains });
      case "stop-core":
        return toCore({ type: "stop", restarting: effect.restarting });
      case "close":
        void this.#close();
        return;
      default:
        effect satisfies never;
    }
  }

  #settle(wait: number, settlement: Settlement): void {
    const isOwned = settlement.kind === "owned";
    this.#open.answer(
      wait,
      isOwned ? { ...settlement, term: this.#term(settlement.resource, settlement.epoch) } : settlement,
    );
  }

  /** A failure to close is reported, and the member stops all the same. */
  async #close(): Promise<void> {
    try {
      await this.#o.close();
    } catch (error) {
      this.#attempt("close", () => this.#o.defect("close", error));
    }
    this.dispatch({ type: "closed" });
  }

  #callResourceHook(resource: string, { call, hook, epoch, reason }: ResourceCall): void {
    const { hooks } = this.#o;
    const term = this.#term(resource, epoch);
    const enter = (): unknown =>
      hook === "onOwn" ? hooks.onOwn?.(term) : hooks.onDisown?.(term, reason ?? "expired");
    this.#calls.set(call, term);
    const began = this.#o.clock.now();
    void outcomeOf(this.codeOwner, call, () => [term.givenSignal], enter).then((outcome) => {
      this.#calls.delete(call);
      this.#codeEnded({ type: "call-ended", resource, call, outcome });
      this.#hookEnded({ hook, epoch, resource }, outcome, began);
    });
  }

  #callMemberHook(call: MemberCall): void {
    const enter = (): unknown => callMemberHook(this.#o.hooks, call, this.#members);
    const began = this.#o.clock.now();
    void outcomeOf(this.codeOwner, call.call, () => [], enter).then((outcome) => {
      this.#codeEnded({ type: "call-ended", resource: null, call: call.call, outcome });
      this.#hookEnded({ hook: call.hook, epoch: null, resource: null }, outcome, began);
    });
  }

  #hookEnded(call: Pick<EndedCall, "hook" | "epoch" | "resource">, outcome: Outcome, began: Instant): void {
    const { config, clock, hookEnded } = this.#o;
    if (!config.hooks.has(call.hook)) return;
    const failed = outcome.kind === "threw" && !outcome.abort;
    hookEnded?.({ ...call, failed, durationMs: clock.now().mono - began.mono });
  }

  #startRun({
    resource,
    epoch,
    worker,
    run: id,
  }: Extract<GroupApplicationEffect, { type: "start-run" }>): void {
    const pending = this.#open.registered(worker);
    const run = new OwnRun(this.#term(resource, epoch), worker, pending?.signal !== undefined);
    this.#runs.set(id, run);
    const signals = (): readonly (AbortSignal | undefined)[] => [...run.givenSignals(), pending?.signal];
    const enter = (): unknown => pending?.work(run.term, run);
    void outcomeOf(this.codeOwner, id, signals, enter, pending?.inside).then((outcome) => {
      this.#runs.delete(id);
      run.release();
      this.#codeEnded({ type: "run-ended", resource, run: id, outcome });
    });
  }

  #codeEnded(event: CodeEnded): void {
    this.dispatch(event);
    // Its error has been reported.
    if (this.#successor !== null) this.#successor.#codeEnded({ ...event, outcome: { kind: "returned" } });
  }

  #setTimer(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    const delayMs = groupApplicationWakeMs(this.#state, this.#o.clock.now());
    if (delayMs === null) return;
    this.#cancelTimer = this.#o.clock.setTimer(delayMs, () => {
      this.#cancelTimer = null;
      this.dispatch({ type: "tick" });
    });
  }
}

/** One run of work. Its signal is the term's, unless the work was registered with a signal. */
class OwnRun {
  readonly term: OwnTerm;
  readonly worker: number;
  readonly #controller: AbortController | null;

  constructor(term: OwnTerm, worker: number, hasSignal: boolean) {
    this.term = term;
    this.worker = worker;
    this.#controller = hasSignal ? new AbortController() : null;
    if (this.#controller === null) return;
    clockTrueSignal(this.#controller, () => term.over());
    term.signal.addEventListener("abort", this.#follow, { once: true });
  }

  readonly #follow = (): void => this.#controller?.abort(this.term.signal.reason);

  /** It has ended: nothing of it is left on the term, which may last for months. */
  release(): void {
    if (this.#controller !== null) this.term.signal.removeEventListener("abort", this.#follow);
  }

  get signal(): AbortSignal {
    return this.#controller?.signal ?? this.term.signal;
  }

  givenSignals(): readonly (AbortSignal | undefined)[] {
    return [this.term.givenSignal, this.#controller?.signal];
  }

  abort(reason: Error): void {
    this.#controller?.abort(reason);
  }
}

function callMemberHook(hooks: GroupHooks, call: MemberCall, members: readonly MemberView[]): unknown {
  switch (call.hook) {
    case "onMembersChange":
      return hooks.onMembersChange?.(members);
    case "onNatsDisconnect":
      return hooks.onNatsDisconnect?.(call.error, call.server);
    case "onNatsReconnect":
      return hooks.onNatsReconnect?.(call.server);
    default:
      return call satisfies never;
  }
}
