import type { Mutant } from "./mutant.ts";

/** How the next epoch is chosen. */
export const epochMutants: readonly Mutant[] = [
  {
    name: "every term has epoch 1",
    file: "src/election/outlook.js",
    from: "Math.max(epochFloor(view), lease.highestEpoch) + 1",
    to: "1",
  },
  {
    name: "the next epoch follows from the bucket alone",
    file: "src/election/outlook.js",
    from: "Math.max(epochFloor(view), lease.highestEpoch) + 1",
    to: "epochFloor(view) + 1",
  },
  {
    name: "the next epoch follows from memory alone",
    file: "src/election/outlook.js",
    from: "Math.max(epochFloor(view), lease.highestEpoch) + 1",
    to: "lease.highestEpoch + 1",
  },
  {
    name: "epochs start at 1 again on an empty key",
    file: "src/election/observe.js",
    from: "epochFloor: hiddenEpochFloor(draft, lastSequence),",
    to: "epochFloor: 0,",
  },
  {
    name: "epochs start at 1 again after garbage",
    file: "src/election/observe.js",
    from: "const epochFloor = hiddenEpochFloor(draft, revision);",
    to: "const epochFloor = 0;",
  },
  {
    name: "a hidden epoch is at most its sequence, for a node that knows a larger one",
    recipe: "hidden terms above the revisions",
    file: "src/election/outlook.js",
    from: "return Math.min(sequence + Math.max(epochsAbove, lost), maxEpochAt(sequence));",
    to: 'return view.kind === "unknown" ? sequence + epochsAbove : sequence;',
  },
  {
    name: "a hidden epoch may lie above the limit",
    file: "src/election/outlook.js",
    from: "return Math.min(sequence + Math.max(epochsAbove, lost), maxEpochAt(sequence));",
    to: "return sequence + Math.max(epochsAbove, lost);",
  },
  {
    name: "a hidden epoch is at most its sequence, for a node that remembers a larger one",
    recipe: "hidden terms above the revisions",
    file: "src/election/observe.js",
    from: "lease.epochsAbove = lease.highestEpoch > sequence ? lease.highestEpoch : 0;",
    to: "lease.epochsAbove = 0;",
  },
  {
    name: "a hidden epoch may lie above its sequence in every bucket",
    file: "src/election/observe.js",
    from: "lease.epochsAbove = lease.highestEpoch > sequence ? lease.highestEpoch : 0;",
    to: "lease.epochsAbove = lease.highestEpoch;",
  },
  {
    name: "a recreated bucket begins at revision 1",
    file: "src/election/outlook.js",
    from: "return Math.max(lease.highestEpoch, lease.newestRevision);",
    to: "return 0;",
  },
  {
    name: "a recreated bucket begins above the revisions but not above the epochs",
    file: "src/election/outlook.js",
    from: "return Math.max(lease.highestEpoch, lease.newestRevision);",
    to: "return lease.newestRevision;",
  },
  {
    name: "the largest epoch is forgotten with its bucket",
    file: "src/election/observe.js",
    from: 'draft.lease.view = { kind: "unknown" };',
    to: 'draft.lease.view = { kind: "unknown" }; draft.lease.highestEpoch = 0;',
  },
  {
    name: "the epoch of a released lease is not remembered",
    file: "src/election/observe.js",
    from: "noteEpoch(draft, entry.epoch, entry.revision);",
    to: "",
    equivalent:
      "the marker's own epoch is the floor of the next term, and every later record has a larger one",
  },
];
