/** The runs of `model/group.pml`. */
import type { Run } from "./run.ts";

/** Bounds and modes of the model; each is a macro. */
interface Bounds {
  /** Number of writes that are applied. */
  readonly REVISIONS: number;
  /** How often the deadline of a session passes. */
  readonly EXPIRIES: number;
  /** Answers lost and writes given up. */
  readonly LOST?: number;
  readonly CUTS?: number;
  readonly CRASHES?: number;
  readonly DRAINS?: number;
  readonly LEAVES?: number;
  readonly PURGES?: number;
  /** 1: `crashDetection: "presence"` */
  readonly PRESENCE?: 0 | 1;
  /** 1: two processes with one member id. */
  readonly TWINS?: 0 | 1;
}

const run = (run: Omit<Run, "model" | "bounds">, bounds: Bounds): Run => ({
  ...run,
  model: "group",
  name: `group: ${run.name}`,
  bounds: { ...bounds },
});
const holds = (name: string, bounds: Bounds, size: Run["size"] = "usual"): Run =>
  run({ name, expect: "holds", macros: [], size }, bounds);
const violated = (name: string, bug: string, bounds: Bounds): Run =>
  run({ name, expect: "violated", macros: [`BUG_${bug}`], size: "quick" }, bounds);
/** Violated by an overlap: the checks of single writes and terms are left out. */
const overlaps = (name: string, bug: string, bounds: Bounds): Run =>
  run({ name, expect: "violated", macros: [`BUG_${bug}`, "ONLY_OVERLAP"], size: "quick" }, bounds);

const calm: Bounds = { REVISIONS: 7, EXPIRIES: 0 };
const expiry: Bounds = { REVISIONS: 7, EXPIRIES: 1 };
const cut: Bounds = { ...calm, PRESENCE: 1, CUTS: 1 };
const drained: Bounds = { ...calm, DRAINS: 1 };

export const groupRuns: readonly Run[] = [
  holds("the protocol", { REVISIONS: 5, EXPIRIES: 1 }, "quick"),
  holds("the protocol, two expiries", { REVISIONS: 6, EXPIRIES: 2 }),
  holds("the protocol, an answer is lost", { REVISIONS: 5, EXPIRIES: 1, LOST: 1 }),
  holds("the protocol, a drain", { REVISIONS: 5, EXPIRIES: 1, DRAINS: 1 }, "quick"),
  holds("the protocol, a drain, more revisions", { REVISIONS: 6, EXPIRIES: 1, DRAINS: 1 }),
  holds(
    "the protocol, presence, a connection ends",
    { REVISIONS: 6, EXPIRIES: 0, PRESENCE: 1, CUTS: 1 },
    "quick",
  ),
  holds("the protocol, presence, a connection ends, an answer is lost", {
    REVISIONS: 5,
    EXPIRIES: 0,
    PRESENCE: 1,
    CUTS: 1,
    LOST: 1,
  }),
  holds("the protocol, two answers are lost", { REVISIONS: 5, EXPIRIES: 0, LOST: 2 }),
  holds("the protocol, one member id, an answer is lost", { REVISIONS: 6, EXPIRIES: 1, TWINS: 1, LOST: 1 }),
  holds("the protocol, a process is killed", { REVISIONS: 5, EXPIRIES: 1, CRASHES: 1 }),
  holds("the protocol, a drain, a purge", { REVISIONS: 6, EXPIRIES: 0, DRAINS: 1, PURGES: 1 }, "quick"),
  holds("the protocol, a drain, a departure", { REVISIONS: 6, EXPIRIES: 0, DRAINS: 1, LEAVES: 1 }, "quick"),
  holds(
    "the protocol, presence, a connection ends, an expiry",
    { REVISIONS: 5, EXPIRIES: 1, PRESENCE: 1, CUTS: 1 },
    "full",
  ),
  holds(
    "the protocol, presence, a connection ends, more revisions",
    { REVISIONS: 7, EXPIRIES: 0, PRESENCE: 1, CUTS: 1 },
    "full",
  ),
  holds("the protocol, two answers are lost, more revisions", { REVISIONS: 7, EXPIRIES: 0, LOST: 2 }, "full"),
  holds(
    "the protocol, an answer is lost, a drain, more revisions",
    { REVISIONS: 7, EXPIRIES: 0, LOST: 1, DRAINS: 1 },
    "full",
  ),
  holds("the protocol, more revisions", { REVISIONS: 7, EXPIRIES: 1 }, "full"),
  holds(
    "the protocol, an answer is lost, a drain",
    { REVISIONS: 5, EXPIRIES: 1, LOST: 1, DRAINS: 1 },
    "full",
  ),

  violated("epochs are counted in the record", "EPOCH_COUNTED", { ...drained, REVISIONS: 6, PURGES: 1 }),
  violated("a term begins while its session is suspended", "TERM_WHILE_SUSPENDED", {
    ...cut,
    REVISIONS: 5,
    LOST: 1,
  }),

  overlaps("held does not compare the deadline of the session", "HELD_WITHOUT_DEADLINE", expiry),
  overlaps("the table is kept beyond the end of the session", "TABLE_KEPT", { ...expiry, REVISIONS: 6 }),
  overlaps("a reconnect ends a suspension", "RESUMED_BY_RECONNECT", cut),
  overlaps("a begin is adopted that a later begin expects", "BEGIN_ADOPTED", { ...calm, LOST: 2 }),
  overlaps("the next process of a member does not wait", "NEXT_DOES_NOT_WAIT", {
    ...calm,
    REVISIONS: 6,
    TWINS: 1,
  }),
  overlaps("a number of a session is used again", "NUMBER_REUSED", expiry),
  overlaps("renewals are not compared", "RENEWAL_NOT_COMPARED", cut),
  overlaps("a session is left before the work has ended", "LEFT_BEFORE_WORK_ENDED", {
    ...calm,
    REVISIONS: 6,
    LEAVES: 1,
  }),
  overlaps("a suspicion is enough for a fence", "FENCE_ON_SUSPICION", calm),
  overlaps("a fence relies on evidence about an earlier revision", "EVIDENCE_OF_OLDER_REVISION", cut),
  overlaps("fences are not compared", "FENCE_NOT_COMPARED", expiry),
  overlaps("a claim does not wait for the ack of its fence", "FENCE_NOT_AWAITED", expiry),
  overlaps("a claim needs no fence", "CLAIM_WITHOUT_FENCE", expiry),
  overlaps("the plan is enough for a claim", "PLAN_TRUSTED", calm),
  overlaps("another number of the session means that it is over", "OVER_BY_INEQUALITY", calm),
  overlaps("a drain that takes too long is enough for a claim", "TAKEN_ON_DRAIN_TIMEOUT", drained),
  overlaps("claims are not compared", "CLAIM_NOT_COMPARED", calm),
  violated("releases are not compared", "RELEASE_NOT_COMPARED", {
    ...expiry,
    REVISIONS: 5,
    DRAINS: 1,
    LOST: 1,
  }),
  overlaps("a claim of an earlier session begins a term", "ACK_OF_OLD_SESSION", expiry),
  overlaps("a claim is adopted twice", "ADOPTED_TWICE", { ...drained, LOST: 1 }),
  overlaps("a claim with the own member id is adopted", "ADOPTED_BY_MEMBER", expiry),
  overlaps("a term goes on after its release was sent", "HELD_AGAIN", { ...drained, LOST: 1 }),
];
