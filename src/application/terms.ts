/** How a term begins and ends for the application, and when it is forgotten. */
import type { Leader, LossReason, ResignReason } from "../election/types.ts";
import { cancelCall, enqueue } from "./calls.ts";
import { type Draft, emit, notify, patchTerm, runningTerm, termWith } from "./draft.ts";
import type { ApplicationState, DrainOutcome, TermState } from "./types.ts";

/** The election has acquired the lease. */
export function beginTerm(draft: Draft, epoch: number, acquiredAt: number): void {
  if (runningTerm(draft) !== null) throw new Error(`bug: term ${epoch} begins while another one runs`);
  draft.terms = [
    ...draft.terms,
    {
      epoch,
      beganMono: draft.now.mono,
      suspended: false,
      ended: null,
      become: "queued",
      lose: "none",
      drain: null,
      released: false,
      starvedReported: false,
      failed: false,
    },
  ];
  notify(draft, { type: "become-leader", epoch, acquiredAt });
  enqueue(draft, { hook: "onBecomeLeader", epoch });
}

/** The connection was lost (`true`), or the lease was renewed on a new one. */
export function suspendTerm(draft: Draft, epoch: number, suspended: boolean): void {
  if (termWith(draft, epoch)?.ended !== null) return;
  patchTerm(draft, epoch, { suspended });
  notify(draft, { type: suspended ? "suspended" : "resumed", epoch });
}

/** The election lost the lease: other nodes may lead already. */
export function loseTerm(draft: Draft, epoch: number, reason: LossReason, by: Leader | null): void {
  endTerm(draft, epoch, reason, by);
  patchTerm(draft, epoch, { released: true });
}

/**
 * The term is given up. The election keeps the lease until `drained`, so that the next leader starts after the work of this one
 * has ended, or the time limit has passed.
 */
export function drainTerm(draft: Draft, epoch: number, reason: ResignReason): void {
  notify(draft, { type: "drain", epoch, reason });
  endTerm(draft, epoch, reason, null);
  const deadlineMono = Math.min(draft.now.mono + draft.config.drainTimeoutMs, draft.stopDeadlineMono);
  patchTerm(draft, epoch, { drain: { deadlineMono, outcome: null } });
}

function endTerm(draft: Draft, epoch: number, reason: LossReason, by: Leader | null): void {
  const term = termWith(draft, epoch);
  if (term === null || term.ended !== null) throw new Error(`bug: term ${epoch} ends and does not run`);
  patchTerm(draft, epoch, { ended: reason });
  if (!term.failed) draft.failures = 0;
  emit(draft, { type: "end-term", epoch, reason });
  notify(draft, { type: "lose-leadership", epoch, reason, by });
  // Hooks of a term come in pairs, or not at all. Calls of terms that nothing has announced must not pile up behind a slow hook.
  if (term.become === "queued") {
    cancelCall(draft, epoch);
    patchTerm(draft, epoch, { become: "skipped", lose: "skipped" });
  } else {
    patchTerm(draft, epoch, { lose: "queued" });
    enqueue(draft, { hook: "onLoseLeadership", epoch, reason });
  }
}

/** The election has finished with the lease of a term that was given up: it is deleted, or expires by itself. */
export function releaseTerm(draft: Draft, epoch: number, deleted: boolean): void {
  const term = termWith(draft, epoch);
  if (term?.drain == null) throw new Error(`bug: term ${epoch} is released and was not given up`);
  // The lease may expire while the work still runs: then the drain did not do what it is for.
  const outcome: DrainOutcome = term.drain.outcome ?? (hasDrained(draft, term) ? "complete" : "timed-out");
  patchTerm(draft, epoch, { released: true, drain: { ...term.drain, outcome } });
  draft.givenUp = { epoch, leaseDeleted: deleted, drain: outcome };
  notify(draft, { type: "released", epoch, deleted, drain: outcome });
}

/** Has the application finished with the term? */
export function hasDrained(draft: Draft, term: TermState): boolean {
  return !hookHoldsDrain(draft, term) && !draft.workers.some(({ run }) => run?.epoch === term.epoch);
}

/** Has a hook of the term not returned, or not been called yet? */
export function hookHoldsDrain({ config }: ApplicationState, term: TermState): boolean {
  // A hook that the application does not have does not have to wait for its turn.
  const owed = config.hooks.has("onLoseLeadership") || term.become === "running";
  const called = term.lose === "returned" || term.lose === "skipped" || (term.lose === "queued" && !owed);
  return !called;
}

/** Ends drains whose work has ended or whose time is up. */
export function finishDrains(draft: Draft): void {
  for (const term of draft.terms) {
    const { drain } = term;
    if (drain === null || drain.outcome !== null) continue;
    const drained = hasDrained(draft, term);
    if (!drained && draft.now.mono < Math.min(drain.deadlineMono, draft.stopDeadlineMono)) continue;
    patchTerm(draft, term.epoch, { drain: { ...drain, outcome: drained ? "complete" : "timed-out" } });
    if (!drained) notify(draft, { type: "drain-timeout", epoch: term.epoch });
    emit(draft, { type: "drained" });
  }
}

/** Forgets terms that are over for the election and for the application. */
export function forgetTerms(draft: Draft): void {
  const over = (term: TermState): boolean => term.ended !== null && term.released && hasDrained(draft, term);
  if (draft.terms.some(over)) draft.terms = draft.terms.filter((term) => !over(term));
}
