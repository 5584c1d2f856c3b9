/** The state of one step while it is being made: the only place where it changes. */
import type { Instant } from "../election/time.ts";
import type { ApplicationEffect, ApplicationState, Notice, Settlement, TermState, Worker } from "./types.ts";

type Mutable<T> = { -readonly [Name in keyof T]: T[Name] };

/**
 * A copy of the state that this step may change, field by field. What a field holds is replaced and never changed: the
 * state before the step may share it.
 */
export interface Draft extends Mutable<ApplicationState> {
  readonly now: Instant;
  readonly effects: ApplicationEffect[];
}

export function draftOf(state: ApplicationState, now: Instant): Draft {
  return { ...state, now, effects: [] };
}

export function stateOf(draft: Draft): ApplicationState {
  const { now: _now, effects: _effects, ...state } = draft;
  return state;
}

export function emit(draft: Draft, effect: ApplicationEffect): void {
  draft.effects.push(effect);
}

export function notify(draft: Draft, notice: Notice): void {
  emit(draft, { type: "notify", notice });
}

export function nextNumber(draft: Draft): number {
  draft.lastNumber += 1;
  return draft.lastNumber;
}

/** The term that runs, if one does. */
export function runningTerm(state: ApplicationState): TermState | null {
  const last = state.terms.at(-1);
  return last !== undefined && last.ended === null ? last : null;
}

export function termWith(state: ApplicationState, epoch: number): TermState | null {
  return state.terms.find((term) => term.epoch === epoch) ?? null;
}

export function patchTerm(draft: Draft, epoch: number, patch: Partial<TermState>): void {
  draft.terms = draft.terms.map((term) => (term.epoch === epoch ? { ...term, ...patch } : term));
}

export function patchWorker(draft: Draft, id: number, patch: Partial<Worker>): void {
  draft.workers = draft.workers.map((worker) => (worker.worker === id ? { ...worker, ...patch } : worker));
}

/** Settles a wait and forgets it. A wait that is not there has been settled before. */
export function settle(draft: Draft, wait: number, settlement: Settlement): void {
  if (!draft.waits.some((one) => one.wait === wait)) return;
  draft.waits = draft.waits.filter((one) => one.wait !== wait);
  emit(draft, { type: "settle", wait, settlement });
}
