/** Hook calls: one at a time, in order. */
import { type Draft, emit, nextNumber, notify, patchTerm, runningTerm, termWith } from "./draft.ts";
import { failTerm } from "./failures.ts";
import type { ActiveCall, HookCall, Outcome } from "./types.ts";

/** Queue limit. Beyond it, the oldest call that does not belong to a term is discarded. */
const MAX_WAITING = 256;

type Unnumbered<T> = T extends unknown ? Omit<T, "call"> : never;

export function enqueue(draft: Draft, call: Unnumbered<HookCall>): void {
  // Only the newest leader matters to an application that is still busy with an earlier call.
  const last = draft.waiting.at(-1);
  if (call.hook === "onLeaderChange" && last?.hook === "onLeaderChange") {
    draft.waiting = draft.waiting.slice(0, -1);
  }
  if (draft.waiting.length >= MAX_WAITING) {
    const droppable = draft.waiting.findIndex((one) => !("epoch" in one));
    if (droppable >= 0) draft.waiting = draft.waiting.toSpliced(droppable, 1);
  }
  draft.waiting = [...draft.waiting, { ...call, call: nextNumber(draft) } as HookCall];
}

/** Starts the next call, if none is active. The call of a hook that the application does not have is over at once. */
export function startNextCall(draft: Draft): void {
  while (draft.active === null) {
    const [next, ...rest] = draft.waiting;
    if (next === undefined) return;
    draft.waiting = rest;
    const { call, hook } = next;
    const epoch = "epoch" in next ? next.epoch : null;
    if (epoch !== null)
      patchTerm(draft, epoch, hook === "onBecomeLeader" ? { become: "running" } : { lose: "running" });
    draft.active = { call, hook, epoch, sinceMono: draft.now.mono, reported: false };
    if (draft.config.hooks.has(hook)) emit(draft, { type: "call-hook", ...next });
    else finishCall(draft, draft.active, { kind: "returned" });
  }
}

/** Takes back a call of a term that has not begun. */
export function cancelCall(draft: Draft, epoch: number): void {
  draft.waiting = draft.waiting.filter((call) => !("epoch" in call) || call.epoch !== epoch);
}

/** The application has returned from the active call. */
export function onCallEnded(draft: Draft, call: number, outcome: Outcome): void {
  if (draft.active?.call === call) finishCall(draft, draft.active, outcome);
}

function finishCall(draft: Draft, active: ActiveCall, outcome: Outcome): void {
  const { hook, epoch } = active;
  draft.active = null;
  const term = epoch === null ? null : termWith(draft, epoch);
  const failed = outcome.kind === "threw" && !(outcome.abort && term !== null && term.ended !== null);
  if (hook === "onBecomeLeader" && epoch !== null) {
    patchTerm(draft, epoch, { become: failed ? "failed" : "returned" });
  }
  if (hook === "onLoseLeadership" && epoch !== null) patchTerm(draft, epoch, { lose: "returned" });
  if (!failed) return;
  notify(draft, { type: "hook-error", hook, epoch, error: outcome.error });
  // A failure of a hook affects its own term only.
  if (hook === "onBecomeLeader" && runningTerm(draft)?.epoch === epoch) failTerm(draft, epoch);
}
