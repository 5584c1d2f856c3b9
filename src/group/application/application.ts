/**
 * The application side of a group's member: (state, event, now) -> effects. No I/O, no clock, no timer, no promise.
 *
 * GUARANTEED for each resource, whatever the hooks, the work and the callers of the application do:
 *  1. Every wait settles: when its condition holds, at its limit, or when the member has stopped.
 *  2. Hooks of one resource are called one at a time and in order. `onDisown` follows `onOwn` of the same term, exactly once; a term
 *     has both calls or neither. Exception: a stop that reaches its limit leaves out the calls that wait for a hook which has not returned.
 *  3. Each worker runs at most once per resource and term, after `onOwn`, and never beside work of another term of that resource.
 *  4. A hook or work that fails ends its own term and no other one.
 *  5. Every error that the application throws is reported exactly once, unless it only repeats that its signal has aborted.
 *  6. A resource that is given up is kept until its hooks and work have ended. Only `stop()` has a limit: the member waits for the
 *     application for at most `drainTimeoutMs` altogether, and the result says so.
 *  7. Code that may wait for a drain which waits for it delays that drain by `selfWaitMs` at most.
 *  8. Code that keeps other code, or a resource that is given up, waiting for long is reported.
 *  9. The state holds what is owned, and what has not returned or settled.
 *
 * NOT GUARANTEED: that application code ends. JavaScript cannot be interrupted: after a session that was lost, or a stop that timed out,
 * work of an old term may run beside the work of the next owner.
 *
 * ASSUMED: the outputs of one core, in order: at most one term of a resource runs; `drain` or `lose` ends it; `released` or `lose`
 * follows every `drain`; `stopped` is last. Every call and run is answered at most once.
 *
 * It is the application side of a node (`src/application`) with a table instead of one term. A step changes the state in place and
 * does what is due for the resources that it has touched, so that its cost does not depend on how many there are.
 */
import type { Instant } from "../../election/time.ts";
import {
  enqueueMemberCall,
  onMemberCallEnded,
  onResourceCallEnded,
  startNextCall,
  startNextMemberCall,
} from "./calls.ts";
import { type Draft, initialState, notify } from "./draft.ts";
import {
  beginStop,
  finishStop,
  limitStop,
  onClosed,
  requestStop,
  setDraining,
  touchAtDeadline,
} from "./leaving.ts";
import { reportBlocked, watchSlot } from "./reports.ts";
import { answerSelfWaits, selfWaitAtMono } from "./self-wait.ts";
import { beginTerm, drainTerm, dropIdle, finishDrains, forgetTerms, loseTerm, releaseTerm } from "./terms.ts";
import type {
  GroupApplicationConfig,
  GroupApplicationEffect,
  GroupApplicationEvent,
  GroupApplicationState,
  GroupOutput,
} from "./types.ts";
import { addWait, settle, settleAllWaits, settleWaits } from "./waits.ts";
import {
  abortWorker,
  addWorker,
  onRunEnded,
  settleAllWorkers,
  settleEndedWorkers,
  startWork,
} from "./work.ts";

export function initialGroupApplication(
  config: GroupApplicationConfig,
  earlier: GroupApplicationState | null = null,
): GroupApplicationState {
  return initialState(config, earlier);
}

/** Handles one event. The only entry point. */
export function stepGroupApplication(
  state: GroupApplicationState,
  event: GroupApplicationEvent,
  now: Instant,
): readonly GroupApplicationEffect[] {
  const draft: Draft = { state, now, effects: [], touched: new Set(), added: [] };
  const { held, stage } = state;
  handle(draft, event);
  progress(draft, state.held !== held || state.stage !== stage);
  return draft.effects;
}

/** Milliseconds until the state needs a `tick`; `null` while only an event can change anything. */
export function groupApplicationWakeMs(state: GroupApplicationState, now: Instant): number | null {
  const { stage, stopDeadlineMono, waits } = state;
  // As `progress`: a member that has stopped only learns that code has returned.
  if (stage === "stopped") return null;
  let due = waits.limitMono;
  if (stage !== "closing") due = Math.min(due, state.sweepMono, selfWaitAtMono(state));
  const leaving = stage === "finishing" || (stage === "stopping" && now.mono < stopDeadlineMono);
  if (leaving) due = Math.min(due, stopDeadlineMono);
  return due === Number.POSITIVE_INFINITY ? null : Math.max(0, due - now.mono);
}

function handle(draft: Draft, event: GroupApplicationEvent): void {
  switch (event.type) {
    case "tick":
      return;
    case "core":
      return onCore(draft, event.output);
    case "nats-disconnect":
      notify(draft, event);
      return enqueueMemberCall(draft, {
        hook: "onNatsDisconnect",
        error: event.error,
        server: event.server,
      });
    case "nats-reconnect":
      notify(draft, event);
      return enqueueMemberCall(draft, { hook: "onNatsReconnect", server: event.server });
    case "connection-closed":
      if (draft.state.stage !== "running") return;
      notify(draft, { type: "connection-closed", error: event.error });
      return beginStop(draft, "connection-closed");
    case "call-ended":
      if (event.resource === null) return onMemberCallEnded(draft, event.call, event.outcome);
      return onResourceCallEnded(draft, event.resource, event.call, event.outcome);
    case "run-ended":
      return onRunEnded(draft, event.resource, event.run, event.outcome);
    case "add-worker":
      return addWorker(draft, event.worker, event.scope);
    case "abort-worker":
      return abortWorker(draft, event.worker);
    case "wait":
      return addWait(draft, event.wait, event.for, event.timeoutMs);
    case "abort-wait":
      return abortWait(draft, event.wait);
    case "drain":
      return setDraining(draft, event, event.drains);
    case "stop":
      return requestStop(draft, event);
    case "closed":
      return onClosed(draft);
    default:
      return event satisfies never;
  }
}

function onCore(draft: Draft, output: GroupOutput): void {
  switch (output.type) {
    case "own":
      return beginTerm(draft, output.resource, output.epoch);
    case "drain":
      return drainTerm(draft, output.resource, output.epoch, output.reason);
    case "lose":
      return loseTerm(draft, output.resource, output.epoch, output.reason);
    case "released":
      return releaseTerm(draft, output.resource, output.epoch, output.successor ?? null);
    case "session-begun":
    case "resumed":
      draft.state.held = true;
      return notify(draft, output);
    case "session-ended":
    case "suspended":
      draft.state.held = false;
      return notify(draft, output);
    case "members":
      notify(draft, output);
      return enqueueMemberCall(draft, { hook: "onMembersChange" });
    case "plan":
    case "coordinating":
    case "move-refused":
    case "warning":
      return notify(draft, output);
    case "stopped":
      draft.state.stage = "finishing";
      return;
    default:
      return output satisfies never;
  }
}

/** An aborted `stop()` ends the wait for the application, not the stop. */
function abortWait(draft: Draft, wait: number): void {
  const one = draft.state.waits.all.get(wait);
  if (one?.for.kind === "stop") limitStop(draft, draft.now.mono);
  else settle(draft, wait, { kind: "aborted" });
}

/** Does what is due for the resources that were touched, then what concerns the member. `changed`: whether the member is held, or stops. */
function progress(draft: Draft, changed: boolean): void {
  const { state, touched } = draft;
  if (state.stage === "closing" || state.stage === "stopped") return end(draft);
  touchAtDeadline(draft);
  for (const slot of touched) {
    startNextCall(draft, slot);
    startWork(draft, slot);
    finishDrains(draft, slot);
    forgetTerms(draft, slot);
    watchSlot(draft, slot);
  }
  startNextMemberCall(draft);
  settleEndedWorkers(draft);
  settleWaits(draft, changed);
  answerSelfWaits(draft);
  reportBlocked(draft);
  finishStop(draft);
}

/** Nothing starts any more. */
function end(draft: Draft): void {
  for (const slot of draft.touched) dropIdle(draft, slot);
  if (draft.state.stage === "closing") return settleWaits(draft, true);
  settleAllWaits(draft);
  settleAllWorkers(draft);
}
