import type { Mutant } from "./mutant.ts";

/**
 * Groups: messages that are forged or contradict what is known (`forged.ts`, `hints.ts`). Rules that only tests of the core can miss are
 * tested in test/group/core/forged-messages.test.ts; docs/simulator.md lists their mutants.
 */
export const groupForgeryMutants: readonly Mutant[] = [
  {
    name: "group: an own write refutes no message",
    file: "src/group/core/forged.js",
    from: "if (revision > sent.known && !foreign.has(revision)) return;",
    to: "return;",
  },
  {
    name: "group: an own write refutes only what comes while it is in flight",
    file: "src/group/core/forged.js",
    from: "if (revision > sent.known && !foreign.has(revision)) return;",
    to: "if (!foreign.has(revision)) return;",
  },
  {
    name: "group: sessions that only refuted messages have shown are not forgotten",
    file: "src/group/core/forged.js",
    from: "if (view.memberId !== config.memberId && isShownByMessage(view, from))",
    to: "if (false)",
  },
  {
    name: "group: owners that only refuted messages have shown are not forgotten",
    file: "src/group/core/forged.js",
    from: "if (isShownByMessage(view, from)) forgetOwnerMessage(group, view);",
    to: "",
  },
  {
    name: "group: a plan that only a refuted message has shown is not forgotten",
    file: "src/group/core/forged.js",
    from: "if (!plan.proven && plan.revision >= from)",
    to: "if (false)",
  },
  {
    name: "group: a gap is read again at once, whatever the last read has brought",
    file: "src/group/core/knowing.js",
    from: "Math.max(group.now.mono + GAP_MS, knowing.gapsFromMono)",
    to: "group.now.mono + GAP_MS",
  },
];
