/** Waits of the application: every one settles, at the latest when the member has stopped. */
import type { DrainOutcome } from "../../application/types.ts";
import { type Draft, emit, runningTerm, termWith } from "./draft.ts";
import type { GroupApplicationState, Settlement, Unfinished, Wait, WaitFor } from "./types.ts";

/** Adds a wait. `progress` settles it in the same step if there is nothing to wait for. */
export function addWait(
  { state, now, added }: Draft,
  wait: number,
  what: WaitFor,
  timeoutMs: number,
  inside: readonly number[] = [],
): void {
  const { waits } = state;
  const beganMono = now.mono;
  const limitMono = beganMono + timeoutMs;
  const one: Wait = { wait, for: what, inside, beganMono, limitMono, selfSinceMono: null };
  waits.all.set(wait, one);
  waits.limitMono = Math.min(waits.limitMono, limitMono);
  added.push(one);
  if (!("resource" in what)) {
    waits.ofMember.add(one);
    return;
  }
  const others = waits.ofResource.get(what.resource);
  if (others === undefined) waits.ofResource.set(what.resource, new Set([one]));
  else others.add(one);
}

/** Settles a wait and forgets it. A wait that is not there has been settled before. */
export function settle(draft: Draft, wait: number, settlement: Settlement): void {
  const { all, ofResource, ofMember } = draft.state.waits;
  const one = all.get(wait);
  if (one === undefined) return;
  all.delete(wait);
  if ("resource" in one.for) {
    const others = ofResource.get(one.for.resource);
    others?.delete(one);
    if (others?.size === 0) ofResource.delete(one.for.resource);
  } else ofMember.delete(one);
  emit(draft, { type: "settle", wait, settlement });
}

/** Settles the waits whose condition holds, or whose limit has passed. `all`: what all of them depend on has changed. */
export function settleWaits(draft: Draft, all: boolean): void {
  const { state, now, touched, added } = draft;
  const { waits } = state;
  if (all || now.mono >= waits.limitMono) {
    for (const wait of waits.all.values()) settleOne(draft, wait);
    waits.limitMono = Number.POSITIVE_INFINITY;
    for (const { limitMono } of waits.all.values()) waits.limitMono = Math.min(waits.limitMono, limitMono);
    return;
  }
  for (const wait of added) settleOne(draft, wait);
  for (const { resource } of touched)
    for (const wait of waits.ofResource.get(resource) ?? []) settleOne(draft, wait);
  for (const wait of waits.ofMember) settleOne(draft, wait);
}

function settleOne(draft: Draft, { wait, for: what, limitMono }: Wait): void {
  const settlement = settlementOf(draft.state, what);
  if (settlement !== null) settle(draft, wait, settlement);
  else if (draft.now.mono >= limitMono) settle(draft, wait, { kind: "timeout" });
}

function settlementOf(state: GroupApplicationState, what: WaitFor): Settlement | null {
  switch (what.kind) {
    case "owned": {
      const term = runningTerm(state.slots.get(what.resource));
      if (term !== null && state.held) return { kind: "owned", resource: what.resource, epoch: term.epoch };
      return state.stage === "running" ? null : stopping(state);
    }
    case "held": {
      const { resource, epoch } = what;
      const term = termWith(state.slots.get(resource), epoch);
      if (term === null || term.ended !== null) return { kind: "term-over", resource, epoch };
      return state.held ? { kind: "held" } : null;
    }
    case "drained":
      return state.slots.size === 0 ? { kind: "nothing" } : null;
    case "stop":
      return state.stage === "stopped" ? stopped(state) : null;
    default:
      return what satisfies never;
  }
}

/** The member has stopped: what has not settled never would. */
export function settleAllWaits(draft: Draft): void {
  settleWaits(draft, true);
  for (const wait of draft.state.waits.all.keys()) settle(draft, wait, stopping(draft.state));
}

/** For a wait that is not for the stop: why it is in vain. What has not returned concerns it not. */
function stopping({ stopReason }: GroupApplicationState): Settlement {
  return { kind: "stopped", reason: stopReason ?? "requested", drain: "complete", unfinished: [] };
}

function stopped({ stopReason, active, slots, timedOut }: GroupApplicationState): Settlement {
  const unfinished: Unfinished[] = active === null ? [] : [{ code: active.hook, resource: null }];
  for (const { resource, active: call, runs } of slots.values()) {
    if (call !== null) unfinished.push({ code: call.hook, resource });
    for (const _run of runs) unfinished.push({ code: "work", resource });
  }
  const drain: DrainOutcome = timedOut ? "timed-out" : "complete";
  return { kind: "stopped", reason: stopReason ?? "requested", drain, unfinished };
}
