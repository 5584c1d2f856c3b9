import type { Mutant } from "./mutant.ts";

/** Draining, releasing and stopping. */
export const leavingMutants: readonly Mutant[] = [
  {
    name: "the lease is deleted before the work has ended",
    file: "src/election/due.js",
    from: 'if (role.name !== "draining" || !role.drained)',
    to: 'if (role.name !== "draining")',
  },
  {
    name: "a release does not wait for the renewal in flight",
    file: "src/election/act.js",
    from: "const next = nextWrite(draft, draft.now);",
    to: "const next = nextWrite({ ...draft, writes: { ...draft.writes, inFlight: null } }, draft.now);",
    equivalent:
      "both expect the same revision: the compare-and-set lets one through, whichever comes first, and a read follows the other",
  },
  {
    name: "stop() does not wait for the end of the term",
    file: "src/election/act.js",
    from: "if (termOf(draft) !== null) return false;",
    to: "",
  },
  {
    name: "stop() drains a term that is already draining",
    file: "src/election/leader.js",
    from: 'if (role.name === "leader" || role.name === "suspended") drain(draft, reason, successor);',
    to: 'if (reason === "stopped" ? termOf(draft) !== null : role.name === "leader" || role.name === "suspended") drain(draft, reason, successor);',
  },
];
