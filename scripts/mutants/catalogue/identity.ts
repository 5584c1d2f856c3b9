import type { Mutant } from "./mutant.ts";

/** Compare-and-set, and which messages and answers are believed. */
export const identityMutants: readonly Mutant[] = [
  {
    name: "an empty key is acquired without the stream's sequence",
    file: "src/election/outlook.js",
    from: "{ emptyAtSequence: view.lastSequence }",
    to: "{ revision: 0 }",
  },
  {
    name: "a record with the own node id counts as the own record",
    file: "src/election/outlook.js",
    from: "return record?.incarnation === config.incarnation;",
    to: "return record?.nodeId === config.nodeId;",
  },
  {
    name: "a release deletes the newest revision, whose ever it is",
    file: "src/election/writes.js",
    from: "expect: { revision: release.revision },",
    to: "expect: { revision: draft.lease.newestRevision },",
    equivalent: "while a term runs, no newer revision than its own can have been seen: a newer one ends it",
  },
  {
    name: "messages older than the newest are believed",
    file: "src/election/observe.js",
    from: "if (entry.revision <= draft.lease.newestRevision) return;",
    to: "if (entry.revision < 0) return;",
  },
  {
    name: "stale reads are believed",
    file: "src/election/trust.js",
    from: "return !lease.disputed || !waitedUntil(lease.newestAt, waitMs, now);",
    to: "return false;",
  },
  {
    name: "a disputed view is never given up",
    file: "src/election/trust.js",
    from: "return !lease.disputed || !waitedUntil(lease.newestAt, waitMs, now);",
    to: "return true;",
    recipe: "lost history",
  },
  {
    name: "a write that was sent to a deleted bucket begins a term in the next one",
    file: "src/election/observe.js",
    from: "draft.writes.unsettled = [];",
    to: "",
    equivalent:
      "only a write that strayed into the next bucket could begin one, and such a history proves nothing any more (`Strayed`)",
  },
  {
    name: "a read does not correct a straggler of a deleted bucket at the same revision",
    file: "src/election/observe.js",
    from: "if (contradictsView(draft, snapshot.entry)) draft.lease.newestRevision = 0;",
    to: "",
    equivalent:
      "only a bucket that lost its newest messages shows another one at a revision that was read: test/election/outlook.test.ts",
  },
  {
    name: "a release expects an empty key",
    file: "src/election/writes.js",
    from: "expect: { revision: release.revision },",
    to: "expect: { revision: 0 },",
  },
];
