import type { Mutant } from "./mutant.ts";

/** Vacancies, waits and who may campaign. */
export const takeoverMutants: readonly Mutant[] = [
  {
    name: "a node that was outpaced gives way forever",
    file: "src/election/outlook.js",
    from: "const GIVE_WAY_MS = 5;",
    to: "const GIVE_WAY_MS = 3_600_000;",
    equivalent:
      "a suspicion and a hint only make a takeover sooner: it comes when the lease has expired, or a heartbeat is missed",
  },
  {
    name: "a node that was outpaced does not give way",
    file: "src/election/outlook.js",
    from: "return candidacy.outpaced ? GIVE_WAY_MS : 0;",
    to: "return 0;",
    equivalent: "its questions and its write fail, and nothing depends on them",
  },
  {
    name: "a leader that was disconnected replaces garbage",
    file: "src/election/leader.js",
    from: 'draft.role.name !== "leader" || revision > nextHarmless(term)',
    to: "revision > nextHarmless(term)",
    equivalent:
      "what replaced the leader was stored before the garbage, and was not watched as garbage. The role counts beside forged garbage only, which test/election/corners.test.ts has",
  },
  {
    name: "a leader replaces garbage over the record of another leader",
    file: "src/election/leader.js",
    from: 'draft.role.name !== "leader" || revision > nextHarmless(term)',
    to: 'draft.role.name !== "leader"',
  },
  {
    name: "a leader replaces garbage whatever it has watched before",
    file: "src/election/leader.js",
    from: 'if (entry.kind === "garbage" || isMyWrite(draft, entry)) setTerm',
    to: "setTerm",
  },
  {
    name: "no takeover wait after the record vanished",
    file: "src/election/observe.js",
    from: "else if (!expired && mayBeHeld(draft, revision, lastSequence))",
    to: "else draft.holder.takeoverWait = null; if (false)",
  },
  {
    name: "no takeover wait after what vanished unseen",
    file: "src/election/observe.js",
    from: "return isUnseen(view, revision > 0 ? revision - 1 : lastSequence);",
    to: "return takeoverWait !== null && isUnseen(view, revision > 0 ? revision - 1 : lastSequence);",
  },
  {
    name: "no further wait after what vanished unseen since a deletion",
    recipe: "a key deleted twice",
    file: "src/election/observe.js",
    from: "return isUnseen(view, revision > 0 ? revision - 1 : lastSequence);",
    to: "return takeoverWait === null && isUnseen(view, revision > 0 ? revision - 1 : lastSequence);",
  },
  {
    name: "no takeover wait in a bucket that was recreated over an ended holder",
    recipe: "a bucket deleted over an ended holder",
    file: "src/election/observe.js",
    from: 'if (takeoverWait === null && view.kind !== "unknown" && !ledToEnd)',
    to: 'if (takeoverWait === null && view.kind === "occupied" && isMine(draft, view.record) && !ledToEnd)',
  },
  {
    name: "no takeover wait of a former leader in a recreated bucket",
    recipe: "a bucket deleted behind a former leader",
    file: "src/election/observe.js",
    from: 'if (takeoverWait === null && view.kind !== "unknown" && !ledToEnd)',
    to: 'if (takeoverWait === null && view.kind === "occupied" && !isMine(draft, view.record) && !ledToEnd)',
  },
  {
    name: "no takeover wait in a recreated bucket",
    file: "src/election/observe.js",
    from: "if (takeoverWait !== null) wait(draft, takeoverWait.waitMs);",
    to: "draft.holder.takeoverWait = null;",
  },
  {
    name: "no takeover wait after a renewal",
    file: "src/election/observe.js",
    from: "else wait(draft, waitFor(draft, record));",
    to: "else if (view.kind === 'unknown') wait(draft, waitFor(draft, record));",
  },
  {
    name: "no takeover wait for garbage",
    file: "src/election/observe.js",
    from: "wait(draft, waitMs);",
    to: "",
  },
  {
    name: "an observer campaigns",
    file: "src/election/follower.js",
    from: 'if (!candidacy.competes || candidacy.stopping || view.kind === "unknown")',
    to: 'if (candidacy.stopping || view.kind === "unknown")',
  },
  {
    name: "a missed heartbeat causes no read",
    file: "src/election/act.js",
    from: "if (missedHeartbeatDelayMs(draft, draft.now) <= 0)",
    to: "if (false)",
  },
  {
    name: "a takeover wait for a released lease",
    file: "src/election/observe.js",
    from: "draft.holder.takeoverWait = null; if (entry.epoch < draft.lease.highestEpoch)",
    to: "if (entry.epoch < draft.lease.highestEpoch)",
    equivalent: "only time is lost: no node leads for one lease longer",
  },
];
