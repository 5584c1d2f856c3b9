/** The runs of `model/lease.pml`. */
import type { Run } from "./run.ts";

/** Bounds of the model; each is a macro. */
interface Bounds {
  readonly NODES?: 2 | 3;
  /** 0: `crashDetection: "lease"` */
  readonly PRESENCE?: 0 | 1;
  /** Number of writes that are applied. */
  readonly REVISIONS: number;
  /** Ticks until the outcome of a write arrives. */
  readonly DELAY?: number;
  readonly CUTS?: number;
  readonly FREEZES?: number;
  readonly CRASHES?: number;
  readonly DRAINS?: number;
  readonly GARBAGE?: number;
  /** W in ticks, and in how many ticks the slow clock may miss one. */
  readonly WAIT?: number;
  readonly SLIP_EVERY?: number;
}

const run = (run: Omit<Run, "model" | "bounds">, bounds: Bounds): Run => ({
  ...run,
  model: "lease",
  bounds: { ...bounds },
});
const holds = (name: string, bounds: Bounds, size: Run["size"] = "usual"): Run =>
  run({ name, expect: "holds", macros: [], size }, bounds);
const reached = (name: string, probe: string, bounds: Bounds): Run =>
  run({ name, expect: "reached", macros: [`PROBE_${probe}`, "PROBES"], size: "quick" }, bounds);
const violated = (name: string, bug: string, bounds: Bounds, size: Run["size"] = "quick"): Run =>
  run({ name, expect: "violated", macros: [`BUG_${bug}`], size }, bounds);

const calm: Bounds = { REVISIONS: 3, DELAY: 1, CUTS: 0 };
const cut: Bounds = { ...calm, CUTS: 1 };
const frozen: Bounds = { REVISIONS: 2, CUTS: 1, FREEZES: 1 };
const drained: Bounds = { ...calm, DRAINS: 1 };
const garbage: Bounds = { ...calm, GARBAGE: 1 };

export const leaseRuns: readonly Run[] = [
  holds("the protocol, 2 nodes, presence", { REVISIONS: 3, CUTS: 0 }, "quick"),
  holds("the protocol, 2 nodes, lease", { REVISIONS: 3, DELAY: 1, CUTS: 0, PRESENCE: 0 }, "quick"),
  holds("the protocol, 2 nodes, presence, a connection ends", { REVISIONS: 3, CUTS: 1 }),
  holds("the protocol, 2 nodes, presence, a step-down", { REVISIONS: 4, CUTS: 0, DRAINS: 1 }),
  holds("the protocol, 2 nodes, presence, one is frozen", { REVISIONS: 2, CUTS: 1, FREEZES: 1 }),
  holds("the protocol, 2 nodes, presence, one is killed", { REVISIONS: 2, CUTS: 1, CRASHES: 1 }),
  holds("the protocol, 2 nodes, presence, garbage", { REVISIONS: 4, CUTS: 0, GARBAGE: 1 }),
  holds("the protocol, 2 nodes, presence, garbage, a connection ends", { REVISIONS: 3, CUTS: 1, GARBAGE: 1 }),
  holds("the protocol, 3 nodes, presence", { NODES: 3, REVISIONS: 2, CUTS: 0 }),
  holds("the protocol, 3 nodes, presence, a connection ends", {
    NODES: 3,
    REVISIONS: 2,
    CUTS: 1,
    WAIT: 2,
    SLIP_EVERY: 2,
  }),
  holds("the protocol, 3 nodes, lease", { NODES: 3, REVISIONS: 3, CUTS: 0, PRESENCE: 0 }),

  reached("an expired lease is taken over", "EXPIRY", calm),
  reached("a dead holder is replaced at once", "PRESENCE", cut),
  reached("a released lease is taken at once", "RELEASE", drained),
  reached("a write that timed out is applied", "APPLIED_LATE", calm),
  reached("an acquire whose ack was lost is adopted", "ADOPTED_ORPHAN", calm),
  reached("an unwanted orphan is deleted", "ORPHAN_DROPPED", drained),
  reached("a renewal whose ack was lost is read back", "LATE_RENEWAL", calm),
  reached("a suspended leader resumes", "RESUME", cut),
  reached("a thawed leader has been replaced before its deadline", "THAWED_TOO_LATE", frozen),

  violated("the deadline counts from the ack", "DEADLINE_FROM_ACK", calm),
  violated("no margin for the clocks", "NO_MARGIN", calm),
  violated("puts are not compared", "BLIND_PUT", calm),
  violated("deletes are not compared", "BLIND_DELETE", drained),
  violated("every term has epoch 1", "EPOCH_RESET", calm),
  violated("a takeover does not wait for a record to expire", "NO_WAIT", calm),
  violated("a takeover does not wait after garbage", "GARBAGE_IS_VACANT", garbage),
  violated(
    "a suspended leader replaces garbage",
    "SUSPENDED_REPLACES_GARBAGE",
    { REVISIONS: 4, CUTS: 1, GARBAGE: 1 },
    "usual",
  ),
  violated("old answers are accepted", "OLD_ANSWERS_BELIEVED", calm),
  violated("a forged hint ends the takeover wait", "HINT_ENDS_WAIT", calm),
  violated("a forged hint raises the epoch that is remembered", "HINT_RAISES_EPOCH", calm),
  violated("a renewal without an answer counts as applied", "UNKNOWN_RENEWAL_BELIEVED", calm),
  violated("a release without an answer counts as failed", "UNKNOWN_RELEASE_TAKEN_BACK", drained),
  violated("the lease is released before the work has stopped", "RELEASE_BEFORE_WORK_STOPS", drained),
  violated("an orphan begins a term although its deletion was requested", "ORPHAN_LED_AFTER_DELETE", drained),
  violated("a late acquire is adopted after its deadline", "ADOPT_LATE", calm),
  violated("an acquire is adopted although it has been replaced", "ADOPT_REPLACED", garbage),
  violated("an acquire made on another connection is adopted", "ADOPT_OTHER_CONNECTION", cut),
  violated("renewals of a lost term may begin another term", "LOST_TERM_REMEMBERED", calm),
  violated("the death of another connection of the holder is accepted", "WRONG_DEATH", cut),
  violated("a suspicion without confirmation is enough", "SUSPICION_IS_ENOUGH", cut),
  violated("a leader is not suspended when its connection ends", "NOT_SUSPENDED", cut),
  violated("any renewal ends a suspension", "ANY_RENEWAL_RESUMES", cut),
  violated("a frozen process trusts its connection", "NO_FRESHNESS", frozen),
  violated("an answer is accepted before the sockets were polled", "ANSWER_BEFORE_LOOK", frozen),
  violated("a record with the own node id counts as own", "MINE_BY_NODE_ID", {
    ...calm,
    CRASHES: 1,
    PRESENCE: 0,
  }),
];
