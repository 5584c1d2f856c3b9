/** Work of `runWhileLeader()`: each worker runs once per term, and work of two terms never runs at the same time. */
import { type Draft, emit, nextNumber, notify, patchWorker, runningTerm, termWith } from "./draft.ts";
import { failTerm } from "./failures.ts";
import type {
  ApplicationState,
  HookName,
  Outcome,
  Run,
  TermState,
  Worker,
  WorkerSettlement,
} from "./types.ts";

/**
 * Registers a worker. Application code that registers one may wait for it, and gets a worker of one term only: a hook or work that
 * waits for a worker of all terms would never return. That term is the code's own. A hook without a term gets the running one, and
 * is refused if there is none whose `onBecomeLeader` has returned: as long as it waits, no such hook can be called.
 */
export function addWorker(draft: Draft, worker: number, inside: number | null): void {
  const hook = hookWithoutTerm(draft, inside);
  const running = runningTerm(draft);
  if (hook !== null && running?.become !== "returned") {
    emit(draft, { type: "settle-worker", worker, settlement: { kind: "refused", hook } });
    return;
  }
  draft.workers = [
    ...draft.workers,
    {
      worker,
      scope: hook === null ? epochOfCode(draft, inside) : (running?.epoch ?? null),
      lastEpoch: 0,
      run: null,
      ended: false,
      settled: false,
      blockedSinceMono: null,
      reported: false,
    },
  ];
}

function hookWithoutTerm({ active }: Draft, code: number | null): HookName | null {
  return active !== null && active.call === code && active.epoch === null ? active.hook : null;
}

/** The term for which the hook call or run with this number was started. */
function epochOfCode(draft: Draft, number: number | null): number | null {
  if (draft.active?.call === number) return draft.active.epoch;
  return draft.workers.find(({ run }) => run?.run === number)?.run?.epoch ?? null;
}

/** Work of an earlier incarnation: its caller has an answer, and it does not start again. */
export function earlierWorker(run: Run): Worker {
  return {
    worker: -run.run,
    scope: null,
    lastEpoch: run.epoch,
    run,
    ended: true,
    settled: true,
    blockedSinceMono: null,
    reported: false,
  };
}

export function abortWorker(draft: Draft, worker: number): void {
  const one = draft.workers.find((each) => each.worker === worker);
  if (one === undefined || one.ended) return;
  patchWorker(draft, worker, { ended: true });
  if (one.run !== null) emit(draft, { type: "abort-run", run: one.run.run });
}

/** Starts what may run in the present term, and forgets workers that never run again. */
export function startWork(draft: Draft): void {
  const term = runningTerm(draft);
  const isFree = runOfEarlierTerm(draft) === null;
  for (const worker of draft.workers) {
    if (term !== null && isDue(worker, term)) {
      if (isFree) start(draft, worker, term);
      else if (worker.blockedSinceMono === null) {
        patchWorker(draft, worker.worker, { blockedSinceMono: term.beganMono, reported: false });
      }
    } else if (worker.blockedSinceMono !== null) {
      patchWorker(draft, worker.worker, { blockedSinceMono: null, reported: false });
    }
  }
  for (const { worker, scope, run, ended } of draft.workers) {
    const scopeOver = scope !== null && scope !== term?.epoch;
    if (run === null && (ended || scopeOver)) forget(draft, worker, { kind: "done" });
  }
}

/** Work of a term that has ended, and has not returned: no other work may start. */
export function runOfEarlierTerm(state: ApplicationState): Run | null {
  const term = runningTerm(state);
  return state.workers.find(({ run }) => run !== null && run.epoch !== term?.epoch)?.run ?? null;
}

function isDue(worker: Worker, term: TermState): boolean {
  if (worker.ended || worker.lastEpoch === term.epoch) return false;
  if (worker.scope !== null) return worker.scope === term.epoch;
  return term.become === "returned";
}

function start(draft: Draft, { worker }: Worker, { epoch }: TermState): void {
  const run = nextNumber(draft);
  patchWorker(draft, worker, {
    run: { run, epoch, sinceMono: draft.now.mono },
    lastEpoch: epoch,
    blockedSinceMono: null,
    reported: false,
  });
  emit(draft, { type: "start-run", run, worker, epoch });
}

/** Work has returned or thrown. */
export function onRunEnded(draft: Draft, run: number, outcome: Outcome): void {
  const worker = draft.workers.find((one) => one.run?.run === run);
  if (worker?.run == null) return;
  const { epoch } = worker.run;
  const termEnded = termWith(draft, epoch)?.ended !== null;
  patchWorker(draft, worker.worker, { run: null, ended: worker.ended || worker.scope !== null });
  if (outcome.kind === "returned" || (outcome.abort && (termEnded || worker.ended))) return;
  notify(draft, { type: "hook-error", hook: "work", epoch, error: outcome.error });
  forget(draft, worker.worker, { kind: "failed", error: outcome.error });
  failTerm(draft, epoch);
}

function forget(draft: Draft, id: number, settlement: WorkerSettlement): void {
  const settled = draft.workers.find(({ worker }) => worker === id)?.settled;
  draft.workers = draft.workers.filter(({ worker }) => worker !== id);
  if (settled === false) emit(draft, { type: "settle-worker", worker: id, settlement });
}

/** The node has stopped: no worker runs again. One whose run has not ended stays, so that an error of it is reported. */
export function settleWorkers(draft: Draft): void {
  for (const { worker, run, settled } of draft.workers) {
    if (run === null) forget(draft, worker, { kind: "done" });
    else if (!settled) {
      patchWorker(draft, worker, { ended: true, settled: true });
      emit(draft, { type: "settle-worker", worker, settlement: { kind: "unfinished" } });
    }
  }
}
