/** Calls of the application that take time: each is a wait of the application side, and settles with its settlement. */
import type { Settlement, WaitFor } from "../application/types.ts";
import { ClusterError, messageOf } from "../errors.ts";
import { callerOf } from "../runtime/application/application-code.ts";
import { untilHeld, waitEnded } from "../runtime/application/held-wait.ts";
import type { Driver } from "../runtime/driver.ts";
import type { Clock } from "../runtime/ports.ts";
import type { WaitOptions } from "../runtime/waiting.ts";
import type { Answer, ApplicationRunner, LeaderWork } from "./application-runner.ts";
import type { Term } from "./term.ts";

/** How a term that was given up has ended. */
export interface StepDownResult {
  readonly epoch: number;
  /**
   * Whether the lease was deleted. `false`: it expires within `leaseTtlMs`. `null`: not known yet, because the call was made by
   * a hook or leader work that the step-down waits for.
   */
  readonly leaseDeleted: boolean | null;
  /**
   * `timed-out`: hooks or work had not ended after `drainTimeoutMs` and may still run. `pending`: the call was made by a hook or
   * leader work, which has to end first.
   */
  readonly drain: "complete" | "timed-out" | "pending";
}

export interface StopResult {
  readonly reason: "requested" | "connection-closed";
  /** The last term that this node gave up, by the stop or before; `null` if there was none. */
  readonly term: StepDownResult | null;
  /** Names of hooks, and `work`, that had not returned when the node stopped. */
  readonly unfinished: readonly string[];
  /**
   * `true`: the node has not stopped yet, because the call was made by a hook or leader work that the stop waits for. The stop goes
   * on when that has returned. Do not end the process before: that would end the work wherever it is.
   */
  readonly pending: boolean;
}

/** `what` of a call completes "waiting for ...". */
export class ApplicationCalls {
  readonly #runner: ApplicationRunner;
  readonly #driver: Driver;
  readonly #clock: Clock;

  constructor(runner: ApplicationRunner, driver: Driver, clock: Clock) {
    this.#runner = runner;
    this.#driver = driver;
    this.#clock = clock;
  }

  async campaign(what: string, options: WaitOptions): Promise<Term> {
    // A deadline that has passed ends the term before the wait can be answered with it.
    this.#driver.expire();
    const settlement = await this.#wait({ kind: "leadership" }, options);
    if (settlement.kind === "leading" && settlement.term !== undefined) return settlement.term;
    throw refusal(what, settlement, options);
  }

  /** Resolves when the term may be acted on. */
  async untilHeld(epoch: number, options: WaitOptions): Promise<void> {
    const what = `the term with epoch ${epoch} to be held`;
    const driver = this.#driver;
    const termSignal = this.#runner.termOf(epoch)?.signal;
    await untilHeld(
      {
        what,
        clock: this.#clock,
        isHeld: () => driver.isHeld(),
        untilReported: async (limits) => {
          driver.expire();
          const settlement = await this.#wait({ kind: "held", epoch }, limits);
          // The signal's own reason: work that lets it pass has not failed.
          if (settlement.kind === "term-over") termSignal?.throwIfAborted();
          if (settlement.kind !== "leading") throw refusal(what, settlement, options);
        },
        freshened: (limitMs, signal) => driver.freshened(limitMs, signal),
      },
      options,
    );
  }

  /** `null`: the node does not lead. */
  async stepDown(
    what: string,
    successor: string | undefined,
    options: WaitOptions,
  ): Promise<StepDownResult | null> {
    return this.#giveUp(what, options, { type: "step-down", successor });
  }

  async setCompeting(what: string, competes: boolean, options: WaitOptions): Promise<StepDownResult | null> {
    return this.#giveUp(what, options, { type: "compete", competes });
  }

  async #giveUp(
    what: string,
    options: WaitOptions,
    request:
      | { readonly type: "step-down"; readonly successor: string | undefined }
      | { readonly type: "compete"; readonly competes: boolean },
  ): Promise<StepDownResult | null> {
    const caller = callerOf(this.#runner.codeOwner);
    const settlement = await this.#runner.ask(options, (wait, timeoutMs) => ({
      ...request,
      wait,
      caller,
      timeoutMs,
    }));
    switch (settlement.kind) {
      case "released": {
        const { leaseDeleted, drain } = settlement;
        return { epoch: settlement.epoch, leaseDeleted, drain };
      }
      case "begun":
        return termOfBegun(settlement);
      case "nothing":
      case "term-over":
        return null;
      default:
        throw refusal(what, settlement, options);
    }
  }

  /** Joins a stop that has begun. Never rejects. */
  async stop(options: WaitOptions): Promise<StopResult> {
    const caller = callerOf(this.#runner.codeOwner);
    const settlement = await this.#runner.ask(options, (wait, timeoutMs) => ({
      type: "stop",
      wait,
      caller,
      timeoutMs,
    }));
    switch (settlement.kind) {
      case "stopped": {
        const { reason, givenUp, unfinished } = settlement;
        return { reason, term: givenUp, unfinished, pending: false };
      }
      case "begun":
        return { reason: "requested", term: termOfBegun(settlement), unfinished: [], pending: true };
      default:
        throw new Error(`bug: a stop is settled with "${settlement.kind}"`);
    }
  }

  async runWhileLeader(work: LeaderWork, signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted === true) return;
    const [inside = null] = callerOf(this.#runner.codeOwner).inside;
    const settlement = await this.#runner.addWorker(work, inside, signal);
    switch (settlement.kind) {
      case "done":
        return;
      case "failed":
        throw new ClusterError("HOOK_FAILED", `leader work failed: ${messageOf(settlement.error)}`, {
          cause: settlement.error,
        });
      case "unfinished":
        throw new ClusterError(
          "STOPPED",
          "the node has stopped and leader work has not ended; make it end when its signal aborts",
        );
      case "refused":
        throw refusalIn(settlement.hook);
      default:
        settlement satisfies never;
    }
  }

  #wait(condition: WaitFor, options: WaitOptions): Promise<Answer> {
    return this.#runner.ask(options, (wait, timeoutMs) => ({
      type: "wait",
      wait,
      for: condition,
      timeoutMs,
    }));
  }
}

function termOfBegun(settlement: Extract<Settlement, { kind: "begun" }>): StepDownResult | null {
  const { epoch, givenUp } = settlement;
  return epoch === null ? givenUp : { epoch, leaseDeleted: null, drain: "pending" };
}

function refusalIn(hook: string): ClusterError {
  return new ClusterError(
    "NOT_LEADER",
    `runWhileLeader() was called by ${hook}, and this node has no term whose onBecomeLeader has returned; hooks run one at a time, so no term can begin for the application before ${hook} returns: call runWhileLeader() in onBecomeLeader or outside of hooks`,
  );
}

/** Why a call of the application rejects. */
function refusal(what: string, settlement: Settlement, options: WaitOptions): ClusterError {
  switch (settlement.kind) {
    case "timeout":
    case "aborted":
    case "stopped":
      return waitEnded(what, "node", settlement, options);
    case "term-over":
      return new ClusterError(
        "NOT_LEADER",
        `waiting for ${what}: the term with epoch ${settlement.epoch} has ended`,
      );
    case "leading":
    case "released":
    case "begun":
    case "nothing":
      throw new Error(`bug: the wait for ${what} is settled with "${settlement.kind}"`);
    default:
      return settlement satisfies never;
  }
}
