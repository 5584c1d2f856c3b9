import type { Mutant } from "./mutant.ts";

/** Deadlines, waits and the margin between them. */
export const leaseMutants: readonly Mutant[] = [
  {
    name: "no margin: a holder counts as long as others wait",
    file: "src/election/lease.js",
    from: "return leaseTtlMs - leaseMarginMs(leaseTtlMs);",
    to: "return leaseTtlMs;",
  },
  {
    name: "the deadline of an acquired lease counts from its ack",
    file: "src/election/leader.js",
    from: "const deadline = deadlineOf(draft, sent.sentAt);",
    to: "const deadline = deadlineOf(draft, draft.now);",
    occurrence: 1,
  },
  {
    name: "the deadline of a renewed lease counts from its ack",
    file: "src/election/leader.js",
    from: "const deadline = deadlineOf(draft, sent.sentAt);",
    to: "const deadline = deadlineOf(draft, draft.now);",
    occurrence: 2,
  },
  {
    name: "isHeld ignores the deadline",
    file: "src/election/election.js",
    from: 'if (role.name !== "leader" || hasReached(role.term.deadline, now)) return false;',
    to: 'if (role.name !== "leader") return false;',
  },
  {
    name: "a deadline is judged by the monotonic clock alone",
    file: "src/election/time.js",
    from: "return now.mono >= deadline.mono || now.boot >= deadline.boot;",
    to: "return now.mono >= deadline.mono;",
  },
  {
    name: "a late event is believed before the deadline is checked",
    file: "src/election/election.js",
    from: "expire(draft);",
    to: "",
  },
  {
    name: "every wait but that of a campaign is half a second shorter",
    file: "src/election/time.js",
    from: "return now.mono - since.mono >= ms;",
    to: "return now.mono - since.mono >= ms - 500;",
    recipe: "stale reads of a replaced leader",
  },
  {
    name: "a candidate waits less than the takeover wait",
    file: "src/election/follower.js",
    from: "takeoverWait === null || holderIsGone(state) ? 0 : takeoverWait.since.mono + takeoverWait.waitMs",
    to: "takeoverWait === null || holderIsGone(state) ? 0 : takeoverWait.since.mono + takeoverWait.waitMs * 0.9",
  },
  {
    name: "a follower waits its own TTL even if the holder's is longer",
    file: "src/election/lease.js",
    from: "return Math.max(ownTtlMs, holderTtlMs ?? bucketMaxAgeMs);",
    to: "return ownTtlMs;",
  },
  {
    name: "garbage over a longer lease is replaced after the own TTL",
    file: "src/election/observe.js",
    from: "const waitMs = Math.max(waitFor(draft, recordOf(draft.lease.view)), takeoverWait?.waitMs ?? 0);",
    to: "const waitMs = waitFor(draft, null);",
  },
  {
    name: "while a renewal is in flight the next one is due after the deadline",
    file: "src/election/leader.js",
    from: "setTerm(draft, { renewAtMono: draft.now.mono + draft.config.renewIntervalMs });",
    to: "setTerm(draft, { renewAtMono: draft.now.mono + 20_000 });",
    equivalent:
      "nothing is sent before the outcome of the renewal, and each outcome sets the time of the next one again",
  },
  {
    name: "the deadline of a renewed lease counts from the newest send, applied or not",
    file: "src/election/leader.js",
    from: "const deadline = deadlineOf(draft, sent.sentAt);",
    to: "const deadline = deadlineOf(draft, (draft.writes.unsettled.at(-1) ?? sent).sentAt);",
    occurrence: 2,
  },
  {
    name: "renewals are due after the deadline",
    file: "src/election/leader.js",
    from: "renewAtMono: Math.max(draft.now.mono, sent.sentAt.mono + restMs),",
    to: "renewAtMono: Math.max(draft.now.mono, sent.sentAt.mono + restMs + 20_000),",
  },
  {
    name: "a renewal does not start the takeover wait again",
    file: "src/election/observe.js",
    from: "draft.holder.takeoverWait = { since: draft.now, waitMs, afterGrowth };",
    to: "draft.holder.takeoverWait = { since: draft.holder.takeoverWait?.since ?? draft.now, waitMs, afterGrowth };",
  },
  {
    name: "the margin is a tenth of what it should be",
    file: "src/election/lease.js",
    from: "return Math.max(MIN_MARGIN_MS, leaseTtlMs * 0.05);",
    to: "return Math.max(MIN_MARGIN_MS, leaseTtlMs * 0.05) / 10;",
  },
];
