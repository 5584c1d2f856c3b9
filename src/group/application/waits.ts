/** Waits of the application: every one settles, at the latest when the member has stopped. */
import type { DrainOutcome } from "../../application/types.ts";
import { type Draft, runningTerm, settle, termWith } from "./draft.ts";
import type { GroupApplicationState, Settlement, Unfinished, Wait, WaitFor } from "./types.ts";

/** Adds a wait. `progress` settles it in the same step if there is nothing to wait for. */
export function addWait(
  { state, now }: Draft,
  wait: number,
  what: WaitFor,
  timeoutMs: number,
  inside: readonly number[] = [],
): void {
  const beganMono = now.mono;
  const limitMono = beganMono + timeoutMs;
  state.waits = [...state.waits, { wait, for: what, inside, beganMono, limitMono, selfSinceMono: null }];
}

/** Settles the waits whose condition holds, or whose limit has passed. */
export function settleWaits(draft: Draft): void {
  for (const wait of draft.state.waits) {
    const settlement = settlementOf(draft.state, wait);
    if (settlement !== null) settle(draft, wait.wait, settlement);
    else if (draft.now.mono >= wait.limitMono) settle(draft, wait.wait, { kind: "timeout" });
  }
}

function settlementOf(state: GroupApplicationState, { for: what }: Wait): Settlement | null {
  switch (what.kind) {
    case "owned": {
      const term = runningTerm(state.slots.get(what.resource));
      if (term !== null && state.held) return { kind: "owned", resource: what.resource, epoch: term.epoch };
      return state.stage === "running" ? null : stopped(state);
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
  settleWaits(draft);
  for (const { wait } of draft.state.waits) settle(draft, wait, stopped(draft.state));
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
