import type { Mutant } from "./mutant.ts";

const bucket = "src/testing/simulation/fakes/fake-group-bucket.js";
const compared = "(this.get(key)?.revision ?? 0) !== expect";

/** Groups: sessions, their fences, and when one is over. */
export const groupSessionMutants: readonly Mutant[] = [
  {
    name: "group: a session that was waited out is not fenced",
    file: "src/group/core/fences.js",
    from: "view.fenceNonce = sendWrite(group, {",
    to: "if (number > 0) return noteOver(group, view, number); view.fenceNonce = sendWrite(group, {",
  },
  {
    name: "group: claims are sent behind a fence that is not acknowledged",
    file: "src/group/core/fences.js",
    from: "const reason = endReasonOf(view);",
    to: "const reason = endReasonOf(view); noteOver(group, view, number);",
  },
  {
    name: "group: a fence without an answer counts as applied",
    file: "src/group/core/fences.js",
    from: 'if (outcome.kind === "applied") {',
    to: 'if (outcome.kind === "unknown") return noteOver(group, view, number); if (outcome.kind === "applied") {',
  },
  {
    name: "group: adapter: fences are not compared",
    file: bucket,
    from: compared,
    to: `(${compared} && !(record.kind === "session-end" && this.get(key)?.record?.kind === "session"))`,
  },
  {
    name: "group: adapter: renewals are not compared",
    file: bucket,
    from: compared,
    to: `(${compared} && !(record.kind === "session" && record.number !== null))`,
  },
  {
    name: "group: held without the deadline of the session",
    file: "src/group/core/held.js",
    from: 'if (own.phase !== "live" || hasReached(own.deadline, now))',
    to: 'if (own.phase !== "live")',
  },
  {
    name: "group: held without a stretch",
    file: "src/group/core/held.js",
    from: "return remainingStretchMs(group, now) > 0;",
    to: "return true;",
  },
  {
    name: "group: the deadline counts from the ack",
    file: "src/group/core/own-session.js",
    from: "own.ahead.push({ revision, sentAt: sent.sentAt })",
    to: "own.ahead.push({ revision, sentAt: group.now })",
  },
  {
    name: "group: a renewal counts before what was stored until then is known",
    file: "src/group/core/own-session.js",
    from: "own.ahead[0].revision <= knowing.sequence",
    to: "true",
  },
  {
    name: "group: a suspicion is enough",
    file: "src/group/core/inquiry.js",
    from: "inquiry.dueAtMono = Math.min(",
    to: "view.closed = view.record.session; inquiry.dueAtMono = Math.min(",
  },
  {
    name: "group: the wait for a session is a quarter of its TTL",
    file: "src/group/core/sessions.js",
    from: "return view.since.mono + view.waitMs;",
    to: "return view.since.mono + view.waitMs / 4;",
  },
  {
    name: "group: a renewal does not start the wait again",
    file: "src/group/core/sessions.js",
    from: "view.since = answered ? now : null;",
    to: "view.since = view.since ?? (answered ? now : null);",
  },
  {
    name: "group: a confirmation counts against every later revision",
    file: "src/group/core/sessions.js",
    from: "sameConnection(record.session, closed);",
    to: "closed !== null;",
  },
  {
    name: "group: a message shows that a session is over",
    file: "src/group/core/sessions.js",
    from: "if (answered) noteOver(group, view, end.number);",
    to: "noteOver(group, view, end.number);",
  },
  {
    name: "group: over is another number than the one that was seen",
    file: "src/group/core/sessions.js",
    from: "return (group.sessions.get(memberId)?.overUpTo ?? 0) >= number;",
    to: "return (group.sessions.get(memberId)?.number ?? number) !== number;",
  },
  {
    name: "group: a new session has the number of the one before",
    file: "src/group/core/own-session.js",
    from: "own.number = numberAt(sent, revision);",
    to: "own.number = own.ended || numberAt(sent, revision);",
  },
  {
    name: "group: the next incarnation begins without waiting",
    file: "src/group/core/sessions.js",
    from: 'if (view.kind === "ended" || isOurs)',
    to: "if (view.proven)",
  },
  {
    name: "group: a begin is adopted that a later begin expects",
    file: "src/group/core/own-session.js",
    from: "revision <= own.expectedByBegin ||",
    to: "",
    equivalent:
      "a begin expects the revision of an earlier one only after a read has shown that one and it was not adopted; what forbade that (its deadline, its connection, its stretch, its number, stop()) does not end, and after a reconnect the key is read before a begin is sent. The model finds the rule without the others",
  },
  {
    name: "group: the session of another incarnation is taken for the own",
    file: "src/group/core/own-session.js",
    from: 'if (view.kind === "live" && record?.incarnation === group.config.incarnation) {',
    to: 'if (view.kind === "live") {',
  },
  {
    name: "group: a member that another has fenced goes on",
    file: "src/group/core/own-session.js",
    from: 'if (view.kind === "live" || view.kind === "ended")',
    to: 'if (view.kind === "ended") return; if (view.kind === "live")',
  },
  {
    name: "group: a session is resumed by the reconnect",
    file: "src/group/core/group.js",
    from: "link.connected = true;",
    to: 'link.connected = true; if (own.phase === "suspended") own.phase = "live";',
  },
  {
    name: "group: any renewal resumes a suspended session",
    file: "src/group/core/own-session.js",
    from: "if (sameConnection(sent.binding, link.binding) && isInStretch(group, sent))",
    to: "if (true)",
  },
  {
    name: "group: a session is not suspended when its connection ends",
    file: "src/group/core/own-session.js",
    from: 'if (group.config.crashDetection === "presence" || isBound(group))',
    to: "if (isBound(group))",
  },
  {
    name: "group: terms outlive their session",
    file: "src/group/core/own-session.js",
    from: "endTerms(group, why);",
    to: "",
  },
  {
    name: "group: a session is left before the work has ended",
    file: "src/group/core/act.js",
    from: "if (group.working > 0)",
    to: "if (group.working < 0)",
  },
  {
    name: "group: a promise is named although round trips are too long for it",
    file: "src/group/core/own-session.js",
    from: "silenceMs > 0 && !isTooSlow(lateProofs, silenceMs)",
    to: "silenceMs > 0",
  },
  {
    name: "group: a beat that comes before the answer puts off no question",
    file: "src/group/core/inquiry.js",
    from: 'judgeSilence(group, inquiry, { question: open, answer: { kind: "none" } }, { session, revision });',
    to: "",
  },
  {
    name: "group: a refused end of a begin is repeated at once",
    file: "src/group/core/own-session.js",
    from: "record?.incarnation === config.incarnation ? own.writeAtMono - now.mono : NEVER;",
    to: "record?.incarnation === config.incarnation ? 0 : NEVER;",
  },
];
