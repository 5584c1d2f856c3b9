import type { Mutant } from "./mutant.ts";

const bucket = "src/testing/simulation/fakes/fake-group-bucket.js";
const compared = "(this.get(key)?.revision ?? 0) !== expect";
const terms = "src/group/core/terms.js";
const wanted = "src/group/core/wanted.js";
const resources = "src/group/core/resources.js";

/** Groups: claims, terms and releases of resources, and what a member knows of them. */
export const groupTermMutants: readonly Mutant[] = [
  {
    name: "group: adapter: claims are not compared",
    file: bucket,
    from: compared,
    to: `(${compared} && record.kind !== "claim")`,
  },
  {
    name: "group: adapter: releases are not compared",
    file: bucket,
    from: compared,
    to: `(${compared} && record.kind !== "release")`,
  },
  {
    name: "group: a resource is taken from a live session because the plan says so",
    file: resources,
    from: "readSession(group, holder); return NEVER;",
    to: "readSession(group, holder); return view.target === group.config.memberId ? 0 : NEVER;",
  },
  {
    name: "group: the grace of an unowned resource applies to an owned one",
    file: resources,
    from: "readSession(group, holder); return NEVER;",
    to: "readSession(group, holder); return view.unownedSinceMono + group.config.unownedGraceMs;",
  },
  {
    name: "group: a claim is false as soon as its session seems not to have begun",
    file: resources,
    from: "if (holder !== undefined && seemsFalse(holder, session)) return falseUntilMono(group, view, holder);",
    to: "if (holder !== undefined && seemsFalse(holder, session)) return 0;",
  },
  {
    name: "group: an orphan is neither claimed nor released",
    file: wanted,
    from: "if (view.adopt !== 0) return; const wantedMono = wantedAtMono(group, view);",
    to: "if (view.adopt !== 0 || isMine(group, view)) return; const wantedMono = wantedAtMono(group, view);",
  },
  {
    name: "group: a term begins on the ack of a claim of an earlier session",
    file: terms,
    from: "return session === group.own.number && isSessionHeld(",
    to: "return isSessionHeld(",
  },
  {
    name: "group: a term begins while the session is suspended",
    file: terms,
    from: "return session === group.own.number && isSessionHeld(group, group.now) &&",
    to: "return session === group.own.number &&",
  },
  {
    name: "group: an ack that has waited in the socket begins a term",
    file: terms,
    from: "const begins = isAdoptable && isRecent(group, sentAt);",
    to: "const begins = isAdoptable;",
  },
  {
    name: "group: an answer that has waited in the socket begins a term",
    file: terms,
    from: "if (begins && !isRecent(group, askedAt)) return readOwner(group, view);",
    to: "",
  },
  {
    name: "group: a key that names the member is adopted",
    file: terms,
    from: "forgetClaim(group, view); if (begins) beginTerm(group, view);",
    to: 'forgetClaim(group, view); if (view.kind === "claimed" && view.owner === group.config.memberId && mayBegin(group, view, group.own.number)) beginTerm(group, view);',
  },
  {
    name: "group: a claim stays adoptable once it was adopted",
    file: terms,
    from: "forgetClaim(group, view); if (begins) beginTerm(group, view);",
    to: "if (!isCoordinatorKey(view)) group.claiming -= 1; if (begins) beginTerm(group, view);",
  },
  {
    name: "group: stale answers about an owner are believed",
    file: resources,
    from: "if (shown < shownRevision(view)) return false;",
    to: "",
  },
  {
    name: "group: a resource is held again while its release is not settled",
    file: terms,
    from: 'if (outcome.kind !== "applied") {',
    to: 'if (outcome.kind !== "applied") { if (view.term !== null) view.term.phase = "held";',
  },
  {
    name: "group: a resource is released while its work drains",
    file: wanted,
    from: 'if (view.term.phase === "drained" || view.term.phase === "releasing")',
    to: 'if (view.term.phase !== "held")',
  },
  {
    name: "group: a drain is taken back when its reason is gone",
    file: terms,
    from: 'if (view.term?.phase !== "held") return;',
    to: 'if (view.term?.phase === "draining" && moveReason(group, view) === null) view.term.phase = "held"; if (view.term?.phase !== "held") return;',
  },
  {
    name: "group: the epoch counts terms",
    file: resources,
    from: "view.epoch = Math.max(claim.revision, claim.above + 1);",
    to: "view.epoch += 1;",
  },
  {
    name: "group: the epoch comes from the record alone",
    file: resources,
    from: "view.epoch = Math.max(claim.revision, claim.above + 1);",
    to: "view.epoch = claim.above + 1;",
  },
  {
    name: "group: the epoch is the revision, whatever is known",
    file: resources,
    from: "view.epoch = Math.max(claim.revision, claim.above + 1);",
    to: "view.epoch = claim.revision;",
  },
  {
    name: "group: records of another bucket are believed",
    file: "src/group/core/sessions.js",
    from: "shown.generation !== bucket.generation ||",
    to: "",
  },
  {
    name: "group: claims of another bucket are believed",
    file: resources,
    from: "shown.generation !== bucket.generation ||",
    to: "",
  },
  {
    name: "group: a gap in the messages causes no read",
    file: "src/group/core/requests.js",
    from: "if (atMono < knowing.readAtMono) {",
    to: "if (atMono < knowing.readAtMono && !knowing.complete) {",
  },
  {
    name: "group: the ack of an own write is no check point",
    file: "src/group/core/group.js",
    from: 'if (outcome.kind === "applied") onOwnRevision(group, outcome.revision);',
    to: "",
  },
  {
    name: "group: hints that follow another are dropped",
    file: "src/group/core/hints.js",
    from: "if (hints.size > MAX_HINTS || isKnown(group, entry))",
    to: "if (group.now.mono < group.knowing.hintsFromMono || isKnown(group, entry))",
  },
  {
    name: "group: a hint waits as long as a read that has failed",
    file: "src/group/core/hints.js",
    from: "view.reads.atMono = mono; readSession(group, view);",
    to: "readSession(group, view);",
  },
  {
    name: "group: claims are not paced",
    file: "src/group/core/pace.js",
    from: "return pace.inFlight < Math.floor(window);",
    to: "return true;",
  },
  {
    name: "group: a term that garbage contradicts is held until an answer shows the garbage",
    file: terms,
    from: "term.doubtedUntil ??= group.own.deadline;",
    to: "",
  },
  {
    name: "group: moves are not limited",
    file: terms,
    from: "while (group.leavingTerms < group.config.maxMoves) {",
    to: "for (;;) {",
  },
  {
    name: "group: a resource that left the list is kept",
    file: terms,
    from: 'if (view.spec === null) return "unlisted";',
    to: "",
  },
  {
    name: "group: a refused resource is claimed again at once",
    file: wanted,
    from: "&& !group.refused.has(view.name)",
    to: "",
  },
  {
    name: "group: the successor that a release names waits for its plan",
    file: "src/group/core/wanted.js",
    from: 'if (view.kind === "released" && view.successor === config.memberId) return 0;',
    to: "",
  },
  {
    name: "group: a draining member claims",
    file: wanted,
    from: "view.spec !== null && !takesNothing(group) &&",
    to: "view.spec !== null &&",
  },
];
