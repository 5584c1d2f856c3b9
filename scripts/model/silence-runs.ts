/** The runs of `model/silence.pml`. */
import type { Run } from "./run.ts";

/** Bounds and modes of the model; each is a macro. */
interface Bounds {
  /** F in ticks. The wait of rule 8 is one tick longer. */
  readonly SILENCE?: number;
  readonly WAIT?: number;
  /** In how many ticks the slow clock may miss one. */
  readonly SLIP_EVERY?: number;
  /** Number of the holder's writes that are applied. */
  readonly REVISIONS?: number;
  readonly CONNECTIONS?: 1 | 2;
  /** Messages under way in each direction. */
  readonly DEPTH?: number;
  readonly FOLLOWERS?: 1 | 2;
  /** 1: the holder begins with an acquire. */
  readonly CAMPAIGN?: 0 | 1;
  /** 1: `crashDetection: "presence"`; with it B and the longest overlap, in ticks. */
  readonly PRESENCE?: 0 | 1;
  readonly EVIDENCE?: number;
  readonly OVERLAP?: number;
  readonly CLOSES?: 0 | 1;
  /** Ticks until what was processed is counted. */
  readonly LAG?: number;
  readonly DRAINS?: number;
  /** Wrong answers. */
  readonly WRONG?: number;
  /** The promise: in the first record, in later ones, and whether it may be dropped. */
  readonly PROMISES?: 0 | 1;
  readonly GAINS?: 0 | 1;
  readonly DROPS?: 0 | 1;
}

const run = (run: Omit<Run, "model" | "bounds">, bounds: Bounds): Run => ({
  ...run,
  model: "silence",
  name: `silence: ${run.name}`,
  bounds: { ...bounds },
});
const holds = (name: string, bounds: Bounds, size: Run["size"] = "usual"): Run =>
  run({ name, expect: "holds", macros: [], size }, bounds);
const spare = (name: string, rule: string, bounds: Bounds): Run =>
  run({ name, expect: "holds", macros: [`SPARE_${rule}`], size: "usual" }, bounds);
const reached = (name: string, probe: string, bounds: Bounds = {}): Run =>
  run({ name, expect: "reached", macros: [`PROBE_${probe}`, "PROBES"], size: "quick" }, bounds);
const violated = (name: string, bug: string | null, bounds: Bounds = {}, size: Run["size"] = "quick"): Run =>
  run({ name, expect: "violated", macros: bug === null ? [] : [`BUG_${bug}`], size }, bounds);

const campaign: Bounds = { CAMPAIGN: 1 };
const threeTicks: Bounds = { SILENCE: 3, SLIP_EVERY: 4 };
/** Two connections of which each has one message under way. */
const reconnects: Bounds = { CONNECTIONS: 2, DEPTH: 1 };
const presence: Bounds = { PRESENCE: 1 };

export const silenceRuns: readonly Run[] = [
  holds("the protocol", {}, "quick"),
  holds("the protocol, three revisions", { REVISIONS: 3 }),
  holds("the protocol, four revisions", { REVISIONS: 4 }, "full"),
  holds("the protocol, F of 3 ticks", threeTicks),
  holds("the protocol, F of 3 ticks, three revisions", { ...threeTicks, REVISIONS: 3 }, "full"),
  holds("the protocol, a term begins", campaign),
  holds("the protocol, a term begins, three revisions", { ...campaign, REVISIONS: 3 }, "full"),
  holds("the protocol, the server closes the connection", { CLOSES: 1 }),
  holds("the protocol, the holder reconnects", reconnects),
  holds("the protocol, the holder reconnects, longer queues", { CONNECTIONS: 2 }, "full"),
  holds("the protocol, the holder reconnects, three revisions", { ...reconnects, REVISIONS: 3 }, "full"),
  holds("the protocol, a term begins, the holder reconnects", { ...reconnects, ...campaign }, "full"),
  holds("the protocol, two followers", { FOLLOWERS: 2, DEPTH: 1 }),
  holds("the protocol, two followers, longer queues", { FOLLOWERS: 2 }, "full"),
  holds("the protocol, a step-down", { DRAINS: 1 }),
  holds("the protocol, the promise is dropped", { DROPS: 1 }),
  holds("the protocol, the promise is dropped, three revisions", { DROPS: 1, REVISIONS: 3 }, "full"),
  holds("the protocol, the promise is added", { PROMISES: 0, GAINS: 1 }, "quick"),
  holds(
    "the protocol, the promise is added and dropped",
    { PROMISES: 0, GAINS: 1, DROPS: 1, REVISIONS: 3 },
    "full",
  ),
  holds("the protocol, one answer is wrong", { WRONG: 1 }),
  holds("the protocol, one answer is wrong, the server closes the connection", { WRONG: 1, CLOSES: 1 }),
  holds("the protocol, a holder with a presence, a follower without", { EVIDENCE: 1, CLOSES: 1 }),
  holds("presence, overlap up to B = F", { ...presence, OVERLAP: 2 }),
  holds("presence, overlap up to B < F", { ...presence, EVIDENCE: 1, OVERLAP: 1 }, "quick"),
  holds(
    "presence, overlap up to B < F, F of 3 ticks",
    {
      ...presence,
      ...threeTicks,
      EVIDENCE: 2,
      OVERLAP: 2,
    },
    "full",
  ),
  holds("presence, overlap up to B < F, the holder reconnects", {
    ...presence,
    ...reconnects,
    EVIDENCE: 1,
    OVERLAP: 1,
  }),
  holds(
    "presence, overlap up to B < F, two followers",
    {
      ...presence,
      FOLLOWERS: 2,
      DEPTH: 1,
      EVIDENCE: 1,
      OVERLAP: 1,
    },
    "full",
  ),
  holds("presence, overlap up to F, a step-down", { ...presence, EVIDENCE: 1, DRAINS: 1, OVERLAP: 2 }),
  spare("a first question that was asked before is joined", "JOINED_QUESTION", { REVISIONS: 3 }),
  spare("an echo of an earlier connection counts", "OTHER_ECHOES", reconnects),

  reached("a beat is proven", "PROVEN"),
  reached("a suspended holder resumes", "RESUME"),
  reached("a term begins", "BEGIN", campaign),
  reached("two equal counts confirm", "SILENT"),
  reached("two closed answers confirm", "CLOSED", { CLOSES: 1 }),

  violated("a stretch that has ended goes on with a proven beat", "NO_LATCH"),
  violated("any renewal ends a suspension", "OLD_STRETCH_LIFTS"),
  violated("any acquire begins a term", "OLD_STRETCH_BEGINS", campaign),
  violated(
    "a stretch that ends while suspended is not noted",
    "FALL_ONLY_WHILE_LEADING",
    { REVISIONS: 3 },
    "usual",
  ),
  violated(
    "a renewal of an earlier connection ends a suspension",
    "ANY_CONNECTION_LIFTS",
    reconnects,
    "usual",
  ),
  violated("a drain outlives its stretch", "DRAIN_OUTLIVES_STRETCH", { DRAINS: 1 }),
  violated("a stretch begins at the ack of its write", "STRETCH_FROM_ACK"),
  violated("every write lengthens the stretch", "EVERY_WRITE_LENGTHENS"),
  violated("F counts from the arrival of an echo", "DEADLINE_FROM_ECHO"),
  violated("an echo proves its own beat", "NO_PAIRS"),
  violated("an echo proves its own beat, counted within a tick", "NO_PAIRS", { LAG: 1 }),
  violated("the wait is F", "NO_MARGIN"),
  violated("a follower waits for its own F, which is shorter", "OWN_SILENCE"),
  violated("one question is enough", "ONE_QUESTION"),
  violated("one question about the last activity is enough", "IDLE_TIME"),
  violated("the wait counts from asking", "WAIT_FROM_ASKING", {}, "usual"),
  violated("a second question is joined before the wait is over", "SECOND_QUESTION_JOINED", {}, "usual"),
  violated("a newer revision does not start over", "NOT_RESTARTED"),
  violated("a confirmation holds for later revisions", "CONFIRMED_CONNECTION"),
  violated("no promise is needed", "NO_PROMISE_NEEDED", { PROMISES: 0 }),
  violated("a promise binds from its ack", "PROMISE_BINDS_FROM_ACK", { PROMISES: 0, GAINS: 1 }),
  violated("a promise ends when a write without it is sent", "PROMISE_ENDS_AT_SEND", { DROPS: 1 }),
  violated("closed is enough without a presence", "CLOSED_AT_ONCE", { CLOSES: 1 }),
  violated("one answer that says closed begins the wait", "CLOSED_ONCE", { WRONG: 1, CLOSES: 1 }, "usual"),
  violated("two answers that say closed are enough", "NO_LAST_QUESTION", { WRONG: 2 }, "usual"),
  violated(
    "an open connection after two that say closed is no veto",
    "OPEN_IS_NO_VETO",
    { WRONG: 2 },
    "usual",
  ),
  violated("two answers in a row are wrong", null, { WRONG: 2, CLOSES: 1 }, "usual"),
  violated(
    "presence, one answer is wrong",
    null,
    { ...presence, EVIDENCE: 1, OVERLAP: 1, WRONG: 1 },
    "usual",
  ),
  violated("presence, overlap up to B < F, a step-down", null, {
    ...presence,
    EVIDENCE: 1,
    OVERLAP: 1,
    DRAINS: 1,
  }),
  violated("presence, no overlap at all", null, { ...presence, EVIDENCE: 1 }),
  violated("presence, no evidence within B", null, { ...presence, OVERLAP: 1 }),
];
