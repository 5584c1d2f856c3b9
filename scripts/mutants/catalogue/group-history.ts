import type { Mutant } from "./mutant.ts";

/** Groups: what a member concludes after the servers have lost messages that they had acknowledged. */
export const groupHistoryMutants: readonly Mutant[] = [
  {
    name: "group: an older answer does not end the own session",
    file: "src/group/core/key-reads.js",
    from: "|| showsOwnEnd(group, entry)",
    to: "|| false",
  },
  {
    name: "group: a message of an earlier revision does not end the own session",
    file: "src/group/core/knowing.js",
    from: 'if (isEnd && own.phase !== "none"',
    to: 'if (isEnd && entry.revision > view.revision && own.phase !== "none"',
  },
  {
    name: "group: a session that goes on is over, if it was over once",
    file: "src/group/core/sessions.js",
    from: "return number <= overUpTo\n",
    to: "return number < 0\n",
  },
  {
    name: "group: another message at a known revision causes no read",
    file: "src/group/core/knowing.js",
    from: "(revision === view.revision && !isOtherMessage(group, view, entry))",
    to: "revision === view.revision",
  },
  {
    name: "group: a write over an earlier revision shows no lost history",
    file: "src/group/core/group.js",
    from: "return expect > 0 && expect < provenRevision",
    to: "return expect < 0 && expect < provenRevision",
  },
  {
    name: "group: an answer of a stream that has become shorter causes no read of everything",
    file: "src/group/core/key-reads.js",
    from: 'if (outcome.kind === "snapshot" && outcome.lastSequence < reached && group.reached > 0)',
    to: 'if (outcome.kind === "snapshot" && outcome.lastSequence < 0)',
  },
  {
    name: "group: a read of everything does not show that messages were lost",
    file: "src/group/core/knowing.js",
    from: "if (revision < provenRevision && provenRevision <= known)",
    to: "if (revision < provenRevision && provenRevision <= -known)",
  },
  {
    name: "group: a read of everything forgets nothing",
    file: "src/group/core/knowing.js",
    from: "if (knowing.requestAfter === 0)\n        forgetMissing",
    to: "if (isFirst)\n        forgetMissing",
  },
  {
    name: "group: the plan of a coordinator whose claim was lost stays in force",
    file: "src/group/core/terms.js",
    from: "if (isCoordinatorKey(view) && isPlanOfOther(group, term.epoch))",
    to: "if (isCoordinatorKey(view) && term.epoch < 0)",
  },
  {
    name: "group: two coordinators with one epoch exchange plans",
    file: "src/group/core/wanted.js",
    from: "return plan.coordinator > epoch || plan.writtenBy !== config.memberId;",
    to: "return plan.coordinator > epoch;",
  },
];
