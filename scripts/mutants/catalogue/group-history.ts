import type { Mutant } from "./mutant.ts";

/**
 * Groups: what a member concludes after the servers have lost messages that they had acknowledged. Each of the signs of that covers for
 * others: taken alone, most cannot be missed by a history. test/group/core/history-scenes.test.ts has one test for each.
 */
export const groupHistoryMutants: readonly Mutant[] = [
  {
    name: "group: an older answer does not end the own session",
    file: "src/group/core/key-reads.js",
    from: "|| showsOwnEnd(group, entry)",
    to: "|| false",
  },
  {
    name: "group: only a write at a revision that was reached shows lost history",
    file: "src/group/core/bucket.js",
    from: "export function onHistoryLost(group, evidence) {",
    to: 'export function onHistoryLost(group, evidence) { if (!evidence.startsWith("a write was applied")) return;',
  },
  {
    name: "group: what may be lost is not read again",
    file: "src/group/core/requests.js",
    from: "group.knowing.doubted = true;",
    to: "return;",
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
