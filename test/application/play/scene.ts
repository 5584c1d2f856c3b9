/**
 * A play on the bare application side of one node: the script feeds one event after another by hand, and the transcript shows
 * the effects. No election, no promise, no time but the script's. transcripts/README.md explains the lines.
 */
import { expect } from "vitest";
import {
  applicationWakeMs,
  initialApplication,
  stepApplication,
  unfinishedCode,
} from "../../../src/application/application.ts";
import { blockedNow } from "../../../src/application/due.ts";
import {
  type ApplicationConfig,
  type ApplicationEffect,
  type ApplicationEvent,
  type ApplicationState,
  type Blocked,
  type Caller,
  type ElectionOutput,
  HOOK_NAMES,
  type HookName,
  type Notice,
  type Settlement,
  type WaitFor,
} from "../../../src/application/types.ts";
import type { LossReason, ResignReason } from "../../../src/election/types.ts";

const config: ApplicationConfig = {
  drainTimeoutMs: 10_000,
  slowAfterMs: 10_000,
  selfWaitMs: 1_000,
  hooks: new Set<HookName>(HOOK_NAMES),
  failureBackOffMs: 250,
  maxFailureBackOffMs: 8_000,
};

const OUTSIDE: Caller = { inside: [], awaited: false };

export class Scene {
  readonly #lines: string[];
  #state: ApplicationState;
  #now = 0;
  effects: readonly ApplicationEffect[] = [];

  /** `earlier`: the last incarnation of the same node, which has stopped. */
  constructor(title: string, changes: Partial<ApplicationConfig> = {}, earlier: Scene | null = null) {
    this.#lines = [title];
    const code = earlier === null ? undefined : unfinishedCode(earlier.#state);
    this.#state = initialApplication({ ...config, ...changes }, code);
    if (earlier !== null) this.#now = earlier.#now;
  }

  get state(): ApplicationState {
    return this.#state;
  }

  get blocked(): Blocked | null {
    return blockedNow(this.#state, this.#instant());
  }

  scene(text: string): this {
    this.#lines.push("", text);
    return this;
  }

  /** It is now so many milliseconds after the start; the node is woken whenever it asked to be. */
  until(ms: number): this {
    for (;;) {
      const delayMs = applicationWakeMs(this.#state, this.#instant());
      if (delayMs === null || this.#now + delayMs > ms) break;
      this.#now += delayMs;
      this.send({ type: "tick" });
    }
    this.#now = ms;
    return this;
  }

  send(event: ApplicationEvent): this {
    const { state, effects } = stepApplication(this.#state, event, this.#instant());
    this.#state = state;
    this.effects = effects;
    this.#lines.push(`${String(this.#now).padStart(6)} ms  <- ${eventText(event)}`);
    for (const effect of effects) this.#lines.push(`           -> ${effectText(effect)}`);
    return this;
  }

  election(output: ElectionOutput): this {
    return this.send({ type: "election", output });
  }

  leads(epoch: number): this {
    return this.election({ type: "become-leader", epoch, acquiredAt: 0 });
  }

  loses(epoch: number, reason: LossReason = "expired"): this {
    return this.election({ type: "lose-leadership", epoch, reason });
  }

  drains(epoch: number, reason: ResignReason = "released"): this {
    return this.election({ type: "drain", epoch, reason });
  }

  released(epoch: number, deleted = true): this {
    return this.election({ type: "released", epoch, deleted });
  }

  /** The active hook call returns. */
  hookReturns(): this {
    return this.send({ type: "call-ended", call: this.#activeCall(), outcome: { kind: "returned" } });
  }

  hookThrows(message: string, abort = false): this {
    const outcome = { kind: "threw", error: new Error(message), abort } as const;
    return this.send({ type: "call-ended", call: this.#activeCall(), outcome });
  }

  worker(worker: number, inside: number | null = null): this {
    return this.send({ type: "add-worker", worker, inside });
  }

  workReturns(worker: number): this {
    return this.send({ type: "run-ended", run: this.#runOf(worker), outcome: { kind: "returned" } });
  }

  workThrows(worker: number, message: string, abort = false): this {
    const outcome = { kind: "threw", error: new Error(message), abort } as const;
    return this.send({ type: "run-ended", run: this.#runOf(worker), outcome });
  }

  waits(wait: number, what: WaitFor, timeoutMs: number = Number.POSITIVE_INFINITY): this {
    return this.send({ type: "wait", wait, for: what, timeoutMs });
  }

  stepDown(wait: number, caller: Caller = OUTSIDE): this {
    const timeoutMs = Number.POSITIVE_INFINITY;
    return this.send({ type: "step-down", wait, successor: undefined, caller, timeoutMs });
  }

  stop(wait: number, caller: Caller = OUTSIDE, timeoutMs: number = Number.POSITIVE_INFINITY): this {
    return this.send({ type: "stop", wait, caller, timeoutMs });
  }

  /** The active hook call, as the caller of a call that it certainly awaits, or perhaps. */
  inHook(awaited: boolean): Caller {
    return { inside: [this.#activeCall()], awaited };
  }

  inWork(worker: number, awaited: boolean): Caller {
    return { inside: [this.#runOf(worker)], awaited };
  }

  #activeCall(): number {
    const { active } = this.#state;
    if (active === null) throw new Error("the script ends a hook call, and none is active");
    return active.call;
  }

  #runOf(worker: number): number {
    const run = this.#state.workers.find((one) => one.worker === worker)?.run;
    if (run == null) throw new Error(`the script ends a run of worker ${worker}, which does not run`);
    return run.run;
  }

  #instant(): { mono: number; boot: number; wall: number } {
    return { mono: this.#now, boot: this.#now, wall: this.#now };
  }

  toString(): string {
    return `${this.#lines.join("\n")}\n`;
  }
}

export async function expectTranscript(name: string, ...scenes: readonly Scene[]): Promise<void> {
  await expect(scenes.map(String).join("\n")).toMatchFileSnapshot(`./transcripts/${name}.txt`);
}

function eventText(event: ApplicationEvent): string {
  switch (event.type) {
    case "election":
      return `election: ${outputText(event.output)}`;
    case "call-ended":
      return `hook call ${event.call} ${outcomeText(event.outcome)}`;
    case "run-ended":
      return `run ${event.run} ${outcomeText(event.outcome)}`;
    case "add-worker":
      return `runWhileLeader: worker ${event.worker}${event.inside === null ? "" : `, called by code ${event.inside}`}`;
    case "abort-worker":
      return `abort worker ${event.worker}`;
    case "wait":
      return `wait ${event.wait} for ${waitText(event.for)}${limitText(event.timeoutMs)}`;
    case "abort-wait":
      return `abort wait ${event.wait}`;
    case "step-down":
      return `stepDown: wait ${event.wait}${callerText(event.caller)}`;
    case "compete":
      return `compete ${event.competes}: wait ${event.wait}`;
    case "stop":
      return `stop: wait ${event.wait}${callerText(event.caller)}${limitText(event.timeoutMs)}`;
    case "nats-disconnect":
    case "nats-reconnect":
    case "connection-closed":
    case "closed":
    case "tick":
      return event.type;
    default:
      return event satisfies never;
  }
}

function callerText({ inside, awaited }: Caller): string {
  if (inside.length === 0) return "";
  return `, called in code ${inside.join(" in ")}, which ${awaited ? "awaits it" : "may await it"}`;
}

function outputText(output: ElectionOutput): string {
  switch (output.type) {
    case "leader-change":
      return `leader-change ${output.leader?.nodeId ?? "none"}`;
    case "warning":
      return `warning ${output.code}`;
    case "stopped":
      return "stopped";
    case "released":
      return `released epoch ${output.epoch}${output.deleted ? "" : ", lease not deleted"}`;
    case "drain":
    case "lose-leadership":
      return `${output.type} epoch ${output.epoch}, ${output.reason}`;
    default:
      return `${output.type} epoch ${output.epoch}`;
  }
}

function effectText(effect: ApplicationEffect): string {
  switch (effect.type) {
    case "call-hook": {
      const epoch = "epoch" in effect ? ` epoch ${effect.epoch}` : "";
      return `hook call ${effect.call}: ${effect.hook}${epoch}`;
    }
    case "start-run":
      return `run ${effect.run}: worker ${effect.worker} in epoch ${effect.epoch}`;
    case "abort-run":
      return `abort run ${effect.run}`;
    case "end-term":
      return `abort the signals of epoch ${effect.epoch}: ${effect.reason}`;
    case "notify":
      return `notify ${noticeText(effect.notice)}`;
    case "settle":
      return `settle wait ${effect.wait}: ${settlementText(effect.settlement)}`;
    case "settle-worker":
      return `settle worker ${effect.worker}: ${effect.settlement.kind}`;
    case "resign":
      return `resign: ${effect.reason}, pause ${effect.pauseMs} ms`;
    case "set-competing":
      return `compete ${effect.competes}`;
    default:
      return effect.type;
  }
}

function noticeText(notice: Notice): string {
  switch (notice.type) {
    case "hook-error":
      return `hook-error ${notice.hook}: ${(notice.error as Error).message}`;
    case "blocked": {
      const { code, by, epoch, forMs, waiting } = notice.blocked;
      return `${code}: ${by}${epoch === null ? "" : ` of epoch ${epoch}`} for ${forMs} ms, ${waiting} waiting`;
    }
    case "released":
      return `released epoch ${notice.epoch}, lease ${notice.deleted ? "deleted" : "not deleted"}, drain ${notice.drain}`;
    case "leader-change":
      return `leader-change ${notice.leader?.nodeId ?? "none"}`;
    case "stopped":
      return `stopped (${notice.reason})`;
    default:
      return "epoch" in notice ? `${notice.type} epoch ${notice.epoch}` : notice.type;
  }
}

function settlementText(settlement: Settlement): string {
  switch (settlement.kind) {
    case "leading":
      return `epoch ${settlement.epoch}`;
    case "released":
      return `released, drain ${settlement.drain}`;
    case "stopped": {
      const { unfinished } = settlement;
      return unfinished.length === 0 ? "stopped" : `stopped, unfinished: ${unfinished.join(", ")}`;
    }
    default:
      return settlement.kind;
  }
}

function waitText(what: WaitFor): string {
  return "epoch" in what ? `${what.kind} of epoch ${what.epoch}` : what.kind;
}

function limitText(timeoutMs: number): string {
  return timeoutMs === Number.POSITIVE_INFINITY ? "" : `, at most ${timeoutMs} ms`;
}

function outcomeText(outcome: Extract<ApplicationEvent, { type: "call-ended" }>["outcome"]): string {
  if (outcome.kind === "returned") return "returns";
  return outcome.abort ? "throws its signal's reason" : `throws ${(outcome.error as Error).message}`;
}
