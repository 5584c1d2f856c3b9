/** Work of `runOwned()`: each worker runs once per resource and term, and work of two terms of a resource never runs at the same time. */
import type { Outcome } from "../../application/types.ts";
import { type Draft, emit, nextNumber, notify, runningTerm, termWith } from "./draft.ts";
import { failTerm } from "./failures.ts";
import type { GroupApplicationState, Run, Slot, TermState, Worker, WorkerSettlement } from "./types.ts";

/**
 * Registers a worker. Application code that registers one may wait for it, and gets a worker of its own term only: a hook or work that
 * waits for a worker of all terms would never return.
 */
export function addWorker(draft: Draft, worker: number, scope: Worker["scope"]): void {
  const { state, touched } = draft;
  const added: Worker = { worker, scope, ended: false, aborted: false, running: 0 };
  if (scope === null) {
    state.workers.set(worker, added);
    for (const slot of state.slots.values()) touched.add(slot);
    return;
  }
  state.scoped.set(worker, added);
  const slot = state.slots.get(scope.resource);
  if (slot === undefined) return settleWorker(draft, added, { kind: "done" });
  slot.scoped = [...(slot.scoped ?? []), added];
  touched.add(slot);
}

export function abortWorker(draft: Draft, worker: number): void {
  const { state, touched } = draft;
  const one = state.workers.get(worker) ?? state.scoped.get(worker);
  if (one === undefined || one.aborted) return;
  one.ended = true;
  one.aborted = true;
  for (const slot of one.scope === null ? state.slots.values() : slotsOf(state, one.scope.resource)) {
    touched.add(slot);
    for (const run of slot.runs) if (run.worker === worker) emit(draft, { type: "abort-run", run: run.run });
  }
}

function slotsOf({ slots }: GroupApplicationState, resource: string): readonly Slot[] {
  const slot = slots.get(resource);
  return slot === undefined ? [] : [slot];
}

/** Starts what may run in the resource's running term, and settles workers of a term that is over. */
export function startWork(draft: Draft, slot: Slot): void {
  const term = runningTerm(slot);
  if (term !== null) startIn(draft, slot, term);
  if (slot.scoped === null) return;
  for (const worker of slot.scoped) {
    const isOver = worker.ended || worker.scope?.epoch !== term?.epoch;
    if (worker.running === 0 && isOver) settleWorker(draft, worker, { kind: "done" });
  }
  const left = slot.scoped.filter(({ worker }) => draft.state.scoped.has(worker));
  slot.scoped = left.length === 0 ? null : left;
}

function startIn(draft: Draft, slot: Slot, term: TermState): void {
  const due = dueWorkers(draft.state, slot, term);
  if (due.length === 0 || runOfEarlierTerm(slot) !== null) {
    if (due.length === 0) slot.blocked = null;
    else slot.blocked ??= { sinceMono: draft.now.mono, reported: false };
    return;
  }
  slot.blocked = null;
  for (const worker of due) {
    if (worker.scope === null) slot.ranUpTo = Math.max(slot.ranUpTo, worker.worker);
    else worker.ended = true;
    start(draft, slot, worker, term);
  }
}

/** Work of a term that has ended, and has not returned: no other work of the resource may start. */
export function runOfEarlierTerm(slot: Slot): Run | null {
  const epoch = runningTerm(slot)?.epoch;
  return slot.runs.find((run) => run.epoch !== epoch) ?? null;
}

function dueWorkers({ workers }: GroupApplicationState, slot: Slot, term: TermState): readonly Worker[] {
  const due = (slot.scoped ?? []).filter(({ ended, scope }) => !ended && scope?.epoch === term.epoch);
  if (term.own !== "returned") return due;
  for (const worker of workers.values()) if (!worker.ended && worker.worker > slot.ranUpTo) due.push(worker);
  return due;
}

function start(draft: Draft, slot: Slot, worker: Worker, { epoch }: TermState): void {
  const run = nextNumber(draft);
  worker.running += 1;
  slot.runs.push({ run, worker: worker.worker, epoch });
  emit(draft, { type: "start-run", resource: slot.resource, epoch, worker: worker.worker, run });
}

/** Work has returned or thrown. */
export function onRunEnded(draft: Draft, resource: string, run: number, outcome: Outcome): void {
  const { state } = draft;
  const slot = state.slots.get(resource);
  const one = slot?.runs.find((each) => each.run === run);
  if (slot === undefined || one === undefined) return;
  slot.runs = slot.runs.filter((each) => each !== one);
  draft.touched.add(slot);
  const { epoch } = one;
  const term = termWith(slot, epoch);
  const worker = state.workers.get(one.worker) ?? state.scoped.get(one.worker);
  if (worker !== undefined) worker.running -= 1;
  const expected = outcome.kind === "threw" && outcome.abort;
  if (outcome.kind === "returned" || (expected && (term?.ended !== null || worker?.aborted === true))) return;
  notify(draft, { type: "hook-error", hook: "work", resource, epoch, error: outcome.error });
  // Work of all terms goes on for the other resources.
  if (worker?.scope != null) settleWorker(draft, worker, { kind: "failed", error: outcome.error });
  if (term !== null) failTerm(draft, slot, term);
}

function settleWorker(draft: Draft, { worker }: Worker, settlement: WorkerSettlement): void {
  const { workers, scoped } = draft.state;
  if (workers.delete(worker) || scoped.delete(worker))
    emit(draft, { type: "settle-worker", worker, settlement });
}

/** Settles workers of all terms that were aborted and do not run. */
export function settleEndedWorkers(draft: Draft): void {
  for (const worker of draft.state.workers.values())
    if (worker.ended && worker.running === 0) settleWorker(draft, worker, { kind: "done" });
}

/** The member has stopped: no worker runs again. */
export function settleAllWorkers(draft: Draft): void {
  const { workers, scoped } = draft.state;
  for (const worker of [...workers.values(), ...scoped.values()])
    settleWorker(draft, worker, { kind: worker.running === 0 ? "done" : "unfinished" });
}

/** Would work of all terms start in the running term once its hook has returned? */
export function workWaits({ workers }: GroupApplicationState, slot: Slot): boolean {
  for (const { ended, worker } of workers.values()) if (!ended && worker > slot.ranUpTo) return true;
  return false;
}
