/** How a term of a resource begins and ends for the application, and when it is forgotten. */

import type { DrainReason, TermLossReason } from "../core/events.ts";
import { cancelCall, enqueue } from "./calls.ts";
import { type Draft, emit, notify, runningTerm, slotOf, termWith } from "./draft.ts";
import type { DisownReason, GroupApplicationState, Slot, TermState } from "./types.ts";

/** The claim of this member is applied. */
export function beginTerm(draft: Draft, resource: string, epoch: number): void {
  const slot = slotOf(draft, resource);
  if (runningTerm(slot) !== null)
    throw new Error(`bug: term ${epoch} of "${resource}" begins while another one runs`);
  slot.terms.push({
    epoch,
    beganMono: draft.now.mono,
    ended: null,
    own: "queued",
    disown: "none",
    drain: null,
    released: false,
    failed: false,
  });
  slot.ranUpTo = 0;
  draft.touched.add(slot);
  notify(draft, { type: "own", resource, epoch });
  enqueue(draft, slot, "onOwn", epoch, null);
}

/** The term was lost: another member may own the resource already. */
export function loseTerm(draft: Draft, resource: string, epoch: number, reason: TermLossReason): void {
  const slot = slotOf(draft, resource);
  const term = termWith(slot, epoch);
  if (term === null) throw new Error(`bug: term ${epoch} of "${resource}" is lost and does not exist`);
  // The session may end while the term is given up.
  if (term.ended === null) endTerm(draft, slot, term, reason);
  // Nothing waits for the end of the work any longer.
  if (term.drain !== null)
    term.drain.outcome ??= hasDrained(draft.state, slot, term) ? "complete" : "timed-out";
  term.released = true;
  draft.touched.add(slot);
}

/** The resource is given up. The member remains its owner until `drained`, so that the next owner starts after the work has ended. */
export function drainTerm(draft: Draft, resource: string, epoch: number, reason: DrainReason): void {
  const slot = slotOf(draft, resource);
  const term = termWith(slot, epoch);
  if (term === null || term.ended !== null)
    throw new Error(`bug: term ${epoch} of "${resource}" is given up and does not run`);
  endTerm(draft, slot, term, reason);
  term.drain = { sinceMono: draft.now.mono, outcome: null, reported: false };
}

function endTerm(draft: Draft, slot: Slot, term: TermState, reason: DisownReason): void {
  const { resource } = slot;
  const { epoch } = term;
  term.ended = reason;
  slot.blocked = null;
  draft.touched.add(slot);
  if (!term.failed) draft.state.failures.delete(resource);
  emit(draft, { type: "end-term", resource, epoch, reason });
  notify(draft, { type: "disown", resource, epoch, reason });
  // Hooks of a term come in pairs, or not at all.
  if (term.own === "queued") {
    cancelCall(slot, epoch);
    term.own = "skipped";
    term.disown = "skipped";
  } else {
    term.disown = "queued";
    enqueue(draft, slot, "onDisown", epoch, reason);
  }
}

/** The core has finished with a term that was given up. */
export function releaseTerm(draft: Draft, resource: string, epoch: number, successor: string | null): void {
  const slot = draft.state.slots.get(resource);
  const term = termWith(slot, epoch);
  if (slot === undefined || term?.drain == null)
    throw new Error(`bug: term ${epoch} of "${resource}" is released and was not given up`);
  term.released = true;
  term.drain.outcome ??= hasDrained(draft.state, slot, term) ? "complete" : "timed-out";
  draft.touched.add(slot);
  notify(draft, { type: "released", resource, epoch, drain: term.drain.outcome, successor });
}

/** Has the application finished with the term? */
export function hasDrained(state: GroupApplicationState, slot: Slot, term: TermState): boolean {
  return !hookHoldsDrain(state, term) && !slot.runs.some(({ epoch }) => epoch === term.epoch);
}

/** Has a hook of the term not returned, or not been called yet? */
export function hookHoldsDrain({ config }: GroupApplicationState, term: TermState): boolean {
  // A hook that the application does not have does not have to wait for its turn.
  const owed = config.hooks.has("onDisown") || term.own === "running";
  const called =
    term.disown === "returned" || term.disown === "skipped" || (term.disown === "queued" && !owed);
  return !called;
}

/** Ends drains of the slot whose work has ended. Only `stop()` has a time limit: a resource is not passed on while work of it runs. */
export function finishDrains(draft: Draft, slot: Slot): void {
  const { state, now } = draft;
  for (const term of slot.terms) {
    const { drain } = term;
    if (drain === null || drain.outcome !== null) continue;
    const drained = hasDrained(state, slot, term);
    if (!drained && now.mono < state.stopDeadlineMono) continue;
    drain.outcome = drained ? "complete" : "timed-out";
    if (!drained) state.timedOut = true;
    emit(draft, { type: "drained", resource: slot.resource, epoch: term.epoch });
  }
}

/** Forgets terms that are over for the core and for the application, and a slot that has nothing left. */
export function forgetTerms(draft: Draft, slot: Slot): void {
  const { state } = draft;
  const over = (term: TermState): boolean =>
    term.ended !== null && term.released && hasDrained(state, slot, term);
  for (const term of slot.terms) {
    if (over(term)) emit(draft, { type: "forget-term", resource: slot.resource, epoch: term.epoch });
  }
  slot.terms = slot.terms.filter((term) => !over(term));
  if (slot.terms.length > 0 || slot.waiting.length > 0 || slot.active !== null || slot.runs.length > 0)
    return;
  state.slots.delete(slot.resource);
  state.watched.delete(slot);
}

/** The member has stopped: only code that has not returned is kept, so that its end is known. */
export function dropIdle(draft: Draft, slot: Slot): void {
  slot.waiting = [];
  if (slot.active !== null || slot.runs.length > 0) return;
  for (const { epoch } of slot.terms) emit(draft, { type: "forget-term", resource: slot.resource, epoch });
  slot.terms = [];
  draft.state.slots.delete(slot.resource);
  draft.state.watched.delete(slot);
}
