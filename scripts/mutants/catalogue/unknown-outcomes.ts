import type { Mutant } from "./mutant.ts";

/** Writes whose ack was lost or comes late. */
export const unknownOutcomeMutants: readonly Mutant[] = [
  {
    name: "a late acquire is adopted after its deadline",
    file: "src/election/follower.js",
    from: "remainingMs(deadlineOf(draft, sent.sentAt), draft.now) < MIN_TERM_MS",
    to: "false",
  },
  {
    name: "an acquire made on another connection is adopted",
    file: "src/election/follower.js",
    from: "return sameConnection(sent.binding, draft.link.binding) && isInStretch(draft, sent);",
    to: "return isInStretch(draft, sent);",
  },
  {
    name: "an acquire is adopted although a larger epoch was seen",
    file: "src/election/follower.js",
    from: "sent.epoch < draft.lease.highestEpoch ||",
    to: "",
    equivalent:
      "only an answer raises what is remembered: one of this bucket that shows more has a larger revision, one of another bucket ends the campaign",
  },
  {
    name: "an acquire is adopted without a connection",
    file: "src/election/follower.js",
    from: "!competes || !draft.link.connected ||",
    to: "!competes ||",
    equivalent:
      "with a presence the acquire must be of the present connection, too; without one a lease is good offline up to its deadline",
  },
  {
    name: "an acquire is adopted although its record has been replaced",
    file: "src/election/follower.js",
    from: "const replaced = revision < draft.lease.newestRevision;",
    to: "const replaced = false;",
    recipe: "overtaken acquires",
  },
  {
    name: "the ack of a release is believed whatever the view shows",
    file: "src/election/follower.js",
    from: 'isApplied && view.kind === "occupied" && isMine(draft, view.record)',
    to: "isApplied",
    recipe: "overtaken releases",
  },
  {
    name: "an ack that has waited in the socket begins a term",
    file: "src/election/follower.js",
    from: "!replaced && isRecent(draft, sent.sentAt) && mayAdopt(draft, sent)",
    to: "!replaced && mayAdopt(draft, sent)",
  },
  {
    name: "an answer that has waited in the socket begins a term",
    file: "src/election/follower.js",
    from: "if (isRecent(draft, draft.reads.sentAt))",
    to: "if (true)",
  },
  {
    name: "a lost term's renewals may begin another one",
    file: "src/election/leader.js",
    from: 'draft.writes.unsettled = []; draft.reads.due = reason === "expired" || draft.reads.due;',
    to: 'draft.reads.due = reason === "expired" || draft.reads.due;',
  },
  {
    name: "a node campaigns after a lost term without a read",
    file: "src/election/leader.js",
    from: 'draft.reads.due = reason === "expired" || draft.reads.due;',
    to: "draft.reads.due = false;",
    equivalent: "the compare-and-set finds out what the read would have shown; only time is lost",
  },
  {
    name: "no read follows a failed renewal",
    file: "src/election/leader.js",
    from: "draft.retry.failures += 1;",
    to: "draft.retry.failures += 1; draft.reads.due = false;",
    equivalent: "the next renewal is refused, and a read follows the refusal",
  },
  {
    name: "a term begins on a lease whose deletion was requested",
    file: "src/election/follower.js",
    from: "draft.writes.unsettled = []; sendRelease(draft, {",
    to: "sendRelease(draft, {",
    recipe: "late deletions",
  },
  {
    name: "a released term's renewals may begin another one",
    file: "src/election/leader.js",
    from: 'draft.role = { name: "follower" }; draft.writes.unsettled = []; endBackOff(draft);',
    to: 'draft.role = { name: "follower" }; endBackOff(draft);',
  },
  {
    name: "a term begins on an acquire that only the watch has shown",
    file: "src/election/election.js",
    from: "draft.reads.hinted = Math.max(draft.reads.hinted, entry.revision);",
    to: "observeSnapshot(draft, { generation: draft.bucket.generation, lastSequence: entry.revision, entry }); settleOrphan(draft);",
  },
  {
    name: "a term begins on any record of this node, whichever write it was",
    file: "src/election/follower.js",
    from: "const sent = draft.writes.unsettled.find((write) => write.nonce === nonce);",
    to: "const sent = draft.writes.unsettled.at(-1);",
  },
  {
    name: "an acquire is adopted by a node that only follows",
    file: "src/election/follower.js",
    from: "if (stopping || !competes ||",
    to: "if (stopping ||",
    occurrence: 1,
  },
  {
    name: "an acquire is adopted by a node that stops",
    file: "src/election/follower.js",
    from: "if (stopping || !competes ||",
    to: "if (!competes ||",
    occurrence: 1,
    recipe: "overtaken acquires",
  },
  {
    name: "the read after a renewal does not check whose lease it is",
    file: "src/election/leader.js",
    from: 'if (entry?.kind === "record" && isMine(draft, entry.record)) {',
    to: 'if (entry?.kind === "record") {',
  },
];
