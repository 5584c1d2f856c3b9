/** The bucket: opened, recreated, deleted, or without what its servers had acknowledged. */
import { endSession } from "./own-session.ts";
import { clearQueue } from "./queues.ts";
import { bulkReadBy } from "./requests.ts";
import { ownView, readSession, sessionDue } from "./sessions.ts";
import { type GroupState, warn } from "./state.ts";

export function onBucketOpened(group: GroupState, generation: string): void {
  const { bucket, now } = group;
  const before = bucket.generation;
  bucket.status = "open";
  bucket.failures = 0;
  if (before !== null && before !== generation) return onGeneration(group, generation);
  bucket.generation = generation;
  readEverything(group);
  sessionDue(group, now.mono);
}

function readEverything(group: GroupState): void {
  bulkReadBy(group, group.now.mono, group.knowing.sequence + 1);
  readSession(group, ownView(group));
  ownView(group).reads.atMono = group.now.mono;
}

/** Another bucket has the same name. */
export function onGeneration(group: GroupState, generation: string): void {
  const { bucket } = group;
  warn(
    group,
    "BUCKET_RECREATED",
    `the bucket was deleted and recreated (created ${bucket.generation}, now ${generation}); session numbers and epochs continue above ${group.above}`,
  );
  bucket.generation = generation;
  bucket.status = "open";
  if (group.own.phase !== "none") endSession(group, "deleted");
  forget(group);
  readEverything(group);
}

export function onNoBucket(group: GroupState): void {
  const { bucket, own, now } = group;
  if (bucket.status === "open") {
    warn(
      group,
      "BUCKET_MISSING",
      `the bucket does not exist any more; recreating it, session numbers and epochs continue above ${group.above}`,
    );
    bucket.status = "missing";
    bucket.retryAtMono = now.mono;
  }
  if (own.phase !== "none") endSession(group, "deleted");
}

/** Something shows that the servers have lost what they had acknowledged. */
export function onHistoryLost(group: GroupState, evidence: string): void {
  warn(
    group,
    "HISTORY_LOST",
    `${evidence}: the servers have lost writes that they had acknowledged; if a session was live, nothing is claimed until it must have expired`,
  );
  if (group.own.phase !== "none") endSession(group, "deleted");
  forget(group);
  readEverything(group);
}

/**
 * Forgets what was in the bucket, and remembers the numbers. Members whose sessions were live may still be held: nothing is claimed before
 * their deadlines have passed.
 */
function forget(group: GroupState): void {
  const { knowing, now, config, own, plan } = group;
  let waitMs = 0;
  for (const view of group.sessions.values())
    if (view.kind === "live") waitMs = Math.max(waitMs, view.waitMs, config.leaseTtlMs);
  group.quietUntilMono = Math.max(group.quietUntilMono, now.mono + waitMs);
  group.sessions.clear();
  group.unproven.clear();
  group.freed.clear();
  group.byOwner.clear();
  group.questions.clear();
  group.writes.clear();
  group.readsInFlight.clear();
  clearQueue(group.reads);
  group.due.items.length = 0;
  group.reached = 0;
  group.pace.inFlight = 0;
  group.claiming = 0;
  group.watchVersion += 1;
  own.inFlight = null;
  own.unsettled = [];
  own.expectedByBegin = 0;
  plan.revision = 0;
  plan.coordinator = 0;
  plan.members = [];
  plan.assignment = null;
  plan.proven = true;
  plan.write = null;
  plan.contradicting.clear();
  plan.reads.inFlight = false;
  plan.reads.due = false;
  knowing.complete = false;
  knowing.doubted = false;
  knowing.sequence = 0;
  knowing.ahead.clear();
  knowing.foreign.clear();
  knowing.hints.clear();
  knowing.request = null;
  knowing.mustKnow = 0;
  group.targetsDue = true;
  group.membersDue = true;
  forgetOwners(group);
}

function forgetOwners({ resources, coordinator, now }: GroupState): void {
  for (const view of [...resources.values(), coordinator]) {
    view.kind = "absent";
    view.revision = 0;
    view.provenRevision = 0;
    view.owner = null;
    view.session = 0;
    view.nonce = 0;
    view.successor = null;
    view.unownedSinceMono = now.mono;
    view.write = null;
    view.adopt = 0;
    view.reads.due = false;
    view.reads.inFlight = false;
    view.conflicts = 0;
    if (view.spec === null && view !== coordinator) resources.delete(view.name);
  }
}
