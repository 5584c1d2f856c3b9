/**
 * The application side of a node: (state, event, now) -> (state, effects). No I/O, no clock, no timer, no promise.
 *
 * GUARANTEED, whatever the hooks, the work and the callers of the application do:
 *  1. Every wait settles: when its condition holds, at its limit, or when the node has stopped.
 *  2. Hooks are called one at a time and in order. `onLoseLeadership` follows `onBecomeLeader` of the same term, exactly once;
 *     a term has both calls or neither. Exception: a stop that reaches its limit leaves out the calls that wait for a hook which has not returned.
 *  3. A hook or work that fails ends its own term and no other one.
 *  4. Every error that the application throws is reported exactly once, unless it only repeats that its signal has aborted.
 *  5. A worker runs at most once per term. Work of two terms never runs at the same time, not even of two incarnations. Work of a term
 *     starts after its `onBecomeLeader` has returned, except work that this hook itself registers.
 *  6. A term that is given up keeps its lease until its hooks and work have ended or `drainTimeoutMs` has passed, and the result
 *     says which. `stop()` waits for the application for at most `drainTimeoutMs` altogether.
 *  7. Code that may wait for a drain which waits for it delays that drain by `selfWaitMs` at most.
 *  8. Application code that keeps other application code waiting for `slowAfterMs` is reported.
 *  9. The state holds what has not returned or settled, and nothing of what has.
 *
 * NOT GUARANTEED: that application code ends. JavaScript cannot be interrupted: after a drain that timed out, work of an old term
 * may run beside the work of the next leader.
 *
 * ASSUMED: the outputs of one election, in order: at most one term runs; `drain` or `lose-leadership` ends it; `released` follows
 * every `drain`; `stopped` is last. Every `call-hook` and `start-run` is answered at most once.
 *
 * The shape is the election's: an event first changes what is known (`handle`), then one level-triggered pass (`progress`) does
 * whatever is due.
 */
import type { Instant } from "../election/time.ts";
import { enqueue, onCallEnded, startNextCall } from "./calls.ts";
import { type Draft, draftOf, notify, settle, stateOf } from "./draft.ts";
import { dueAtMono, reportBlocked } from "./due.ts";
import {
  beginStop,
  finishStop,
  limitStop,
  onClosed,
  requestStop,
  setCompeting,
  stepDown,
} from "./leaving.ts";
import { answerSelfWaits } from "./self-wait.ts";
import {
  beginTerm,
  drainTerm,
  finishDrains,
  forgetTerms,
  loseTerm,
  releaseTerm,
  suspendTerm,
} from "./terms.ts";
import type {
  ApplicationConfig,
  ApplicationEvent,
  ApplicationState,
  ApplicationStep,
  EarlierCode,
  ElectionOutput,
} from "./types.ts";
import { addWait, settleAllWaits, settleWaits } from "./waits.ts";
import { abortWorker, addWorker, earlierWorker, onRunEnded, settleWorkers, startWork } from "./work.ts";

const NO_EARLIER_CODE: EarlierCode = { active: null, runs: [], lastNumber: 0 };

export function initialApplication(
  config: ApplicationConfig,
  { active, runs, lastNumber }: EarlierCode = NO_EARLIER_CODE,
): ApplicationState {
  return {
    config,
    stage: "running",
    stopReason: null,
    stopDeadlineMono: Number.POSITIVE_INFINITY,
    terms: [],
    waiting: [],
    active: active === null ? null : { ...active, reported: false },
    workers: runs.map(earlierWorker),
    waits: [],
    selfWaitSinceMono: null,
    lastNumber,
    failures: 0,
    givenUp: null,
  };
}

/** What the next incarnation of the node has to know of this one, which has stopped. */
export function unfinishedCode({ active, workers, lastNumber }: ApplicationState): EarlierCode {
  return { active, runs: workers.flatMap(({ run }) => (run === null ? [] : [run])), lastNumber };
}

/** Handles one event. The only entry point. */
export function stepApplication(
  state: ApplicationState,
  event: ApplicationEvent,
  now: Instant,
): ApplicationStep {
  const draft = draftOf(state, now);
  handle(draft, event);
  progress(draft);
  return { state: stateOf(draft), effects: draft.effects };
}

/** Milliseconds until the state needs a `tick`; `null` while only an event can change anything. */
export function applicationWakeMs(state: ApplicationState, now: Instant): number | null {
  const due = dueAtMono(state);
  return due === Number.POSITIVE_INFINITY ? null : Math.max(0, due - now.mono);
}

function handle(draft: Draft, event: ApplicationEvent): void {
  switch (event.type) {
    case "tick":
      return;
    case "election":
      return onElection(draft, event.output);
    case "nats-disconnect":
      notify(draft, event);
      return enqueue(draft, { hook: "onNatsDisconnect", error: event.error, server: event.server });
    case "nats-reconnect":
      notify(draft, event);
      return enqueue(draft, { hook: "onNatsReconnect", server: event.server });
    case "connection-closed":
      if (draft.stage !== "running") return;
      notify(draft, { type: "connection-closed", error: event.error });
      return beginStop(draft, "connection-closed");
    case "call-ended":
      return onCallEnded(draft, event.call, event.outcome);
    case "run-ended":
      return onRunEnded(draft, event.run, event.outcome);
    case "add-worker":
      return addWorker(draft, event.worker, event.inside);
    case "abort-worker":
      return abortWorker(draft, event.worker);
    case "wait":
      return addWait(draft, event.wait, event.for, event.timeoutMs);
    case "abort-wait":
      return abortWait(draft, event.wait);
    case "step-down":
      return stepDown(draft, event, event.successor);
    case "compete":
      return setCompeting(draft, event, event.competes);
    case "stop":
      return requestStop(draft, event);
    case "closed":
      return onClosed(draft);
    default:
      return event satisfies never;
  }
}

function onElection(draft: Draft, output: ElectionOutput): void {
  switch (output.type) {
    case "become-leader":
      return beginTerm(draft, output.epoch, output.acquiredAt);
    case "suspended":
      return suspendTerm(draft, output.epoch, true);
    case "resumed":
      return suspendTerm(draft, output.epoch, false);
    case "drain":
      return drainTerm(draft, output.epoch, output.reason);
    case "lose-leadership":
      return loseTerm(draft, output.epoch, output.reason, output.by ?? null);
    case "released":
      return releaseTerm(draft, output.epoch, output.deleted);
    case "leader-change":
      notify(draft, output);
      return enqueue(draft, { hook: "onLeaderChange", leader: output.leader });
    case "warning":
      return notify(draft, output);
    case "stopped":
      draft.stage = "finishing";
      return;
    default:
      return output satisfies never;
  }
}

/** An aborted `stop()` ends the wait for the application, not the stop. */
function abortWait(draft: Draft, wait: number): void {
  const one = draft.waits.find((each) => each.wait === wait);
  if (one?.for.kind === "stop") limitStop(draft, draft.now.mono);
  else settle(draft, wait, { kind: "aborted" });
}

/** Does what is due, whatever led to it. */
function progress(draft: Draft): void {
  if (draft.stage === "stopped") {
    settleAllWaits(draft);
    return settleWorkers(draft);
  }
  if (draft.stage === "closing") return settleWaits(draft);
  startNextCall(draft);
  startWork(draft);
  finishDrains(draft);
  settleWaits(draft);
  answerSelfWaits(draft);
  finishStop(draft);
  reportBlocked(draft);
  forgetTerms(draft);
}
