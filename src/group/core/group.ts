/** The core of a group: (state, event, now) -> effects, with the state changed in place. No I/O, no clock, no timer, no randomness. */
import type { Instant } from "../../election/time.ts";
import type { OwnConnection, WriteOutcome } from "../../election/types.ts";
import { coversConnection } from "../../election/writes.ts";
import { act } from "./act.ts";
import type { Resource } from "./balance.ts";
import { onMove, onPlanWritten } from "./coordinator.ts";
import type { GroupEffect, GroupEvent, Profile } from "./events.ts";
import { onFenced, suspectAll } from "./fences.ts";
import { listHash } from "./hash.ts";
import { onAnswered, onHolderHeard, onHolderSilent, onPresenceLost, startOver } from "./inquiry.ts";
import {
  bulkReadBy,
  onBucketOpened,
  onChanges,
  onHistoryLost,
  onOwnRevision,
  onRead,
  onWatched,
} from "./knowing.ts";
import { expire, onBeatProven, onConnectionEnded, onOwnWritten, renewSoon } from "./own-session.ts";
import { clearQueue } from "./queues.ts";
import { ownerView } from "./resources.ts";
import { noteReached, ownView, readSession } from "./sessions.ts";
import { backOffMs, type GroupState, warn } from "./state.ts";
import { consider, considerMove, onClaimWritten, onDrained, onReleaseWritten } from "./terms.ts";

/** At most so many resources are refused at a time. */
const MAX_REFUSED = 16;

/** Handles one event: changes the state in place, and returns what has to be done. The only entry point. */
export function step(group: GroupState, event: GroupEvent, now: Instant): readonly GroupEffect[] {
  group.effects = [];
  if (group.stopped) return group.effects;
  group.now = now;
  expire(group);
  handle(group, event);
  act(group);
  return group.effects;
}

function handle(group: GroupState, event: GroupEvent): void {
  switch (event.type) {
    case "tick":
      return;
    case "bucket-opened":
      return onBucketOpened(group, event.generation);
    case "bucket-failed":
      return onBucketFailed(group, event.error);
    case "bucket-gone":
      return readSession(group, ownView(group));
    case "watched":
      return onWatched(group, event.entry);
    case "read":
      return onRead(group, event.request, event.outcome);
    case "changes":
      return onChanges(group, event.request, event.outcome);
    case "written":
      return onWritten(group, event.nonce, event.outcome);
    case "connected":
      return onConnected(group, event.binding);
    case "rebound":
      return onRebound(group, event.binding);
    case "disconnected":
      group.link.connected = false;
      group.link.binding = null;
      startOver(group);
      return onConnectionEnded(group);
    case "beat-proven":
      return onBeatProven(group, event.sentAt);
    case "presence-lost":
      return onPresenceLost(group, event.presence);
    case "holder-silent":
      return onHolderSilent(group, event.connection);
    case "holder-heard":
      return onHolderHeard(group, event.connection);
    case "answered":
      return onAnswered(group, event.question, event.answer);
    case "resources":
      return setResources(group, event.resources);
    case "profile":
      return setProfile(group, event.profile);
    case "draining":
      return setDraining(group, event.draining);
    case "drained":
      return onDrained(group, event.resource, event.epoch, event.position);
    case "refuse":
      return refuse(group, event.resource, event.forMs);
    case "move":
      return onMove(group, event.resource, event.to);
    case "stop":
      return stop(group, event.restarting);
    default:
      return event satisfies never;
  }
}

// ---------------------------------------------------------------------------------------------- the store and the connection

function onBucketFailed(group: GroupState, error: Error): void {
  const { bucket, now } = group;
  bucket.status = "missing";
  bucket.retryAtMono = now.mono + backOffMs(group, bucket.failures);
  bucket.failures += 1;
  warn(group, "BUCKET_UNUSABLE", "the bucket cannot be opened; retrying", error);
}

function onWritten(group: GroupState, nonce: number, outcome: WriteOutcome): void {
  const write = group.writes.get(nonce);
  group.writes.delete(nonce);
  // Sent to a bucket that is gone.
  if (write === undefined) return;
  if (outcome.kind === "applied" && outcome.revision <= write.reached)
    return onHistoryLost(group, outcome.revision);
  const { pending } = write;
  if (outcome.kind === "applied") noteReached(group, outcome.revision);
  switch (pending.kind) {
    case "session":
      onOwnWritten(group, nonce, outcome);
      break;
    case "fence":
      onFenced(group, pending.view, pending.number, outcome);
      break;
    case "claim":
      onClaimWritten(group, nonce, pending, outcome);
      break;
    case "release":
      onReleaseWritten(group, pending, outcome);
      break;
    case "plan":
      onPlanWritten(group, pending, outcome);
      break;
    default:
      pending satisfies never;
  }
  if (outcome.kind === "applied") onOwnRevision(group, outcome.revision);
}

function onConnected(group: GroupState, binding: OwnConnection | null): void {
  const { link, own, bucket, knowing, now } = group;
  link.connected = true;
  link.binding = binding;
  link.inquiryDue = true;
  own.failures = 0;
  own.writeAtMono = now.mono;
  bucket.retryAtMono = now.mono;
  const view = ownView(group);
  if (own.phase === "none") readSession(group, view);
  view.reads.atMono = now.mono;
  bulkReadBy(group, now.mono, knowing.sequence + 1);
  suspectAll(group);
}

function onRebound({ link, own, now }: GroupState, binding: OwnConnection | null): void {
  const before = link.binding;
  link.binding = binding;
  // A new presence or promise is put into the record at once; a promise that cannot be kept any more is taken out of it at once.
  const isMore = !coversConnection(before, binding);
  const isPromiseLost = before?.account !== undefined && binding?.account === undefined;
  if ((isMore || isPromiseLost) && own.phase !== "none" && link.connected) own.writeAtMono = now.mono;
}

// ---------------------------------------------------------------------------------------------- the application

function setResources(group: GroupState, resources: readonly Resource[]): void {
  const listed = new Map(resources.map((spec) => [spec.name, spec]));
  for (const view of group.resources.values()) {
    const spec = listed.get(view.name) ?? null;
    if (spec === null && view.spec !== null) view.target = null;
    view.spec = spec;
  }
  for (const spec of resources) ownerView(group, { kind: "owner", resource: spec.name }).spec = spec;
  group.listed = [...listed.values()].sort((one, other) => (one.name < other.name ? -1 : 1));
  group.listVersion += 1;
  group.listHash = listHash(listed.keys());
  onOwnChange(group);
  for (const view of group.resources.values()) consider(group, view);
}

function setProfile(group: GroupState, profile: Profile): void {
  if (profile.weight !== group.profile.weight) group.changedAtMono = group.now.mono;
  group.profile = profile;
  onOwnChange(group);
}

function setDraining(group: GroupState, draining: boolean): void {
  if (group.stopping !== null) return;
  group.draining = draining;
  if (!draining) group.refusesTooMany = false;
  group.changedAtMono = group.now.mono;
  onOwnChange(group);
  consider(group, group.coordinator);
}

function refuse(group: GroupState, resource: string, forMs: number): void {
  const { refused, now } = group;
  if (!refused.has(resource) && refused.size >= MAX_REFUSED) {
    if (!group.refusesTooMany)
      warn(
        group,
        "REFUSES_TOO_MANY",
        `this member refuses more than ${MAX_REFUSED} resources; it gives up all others, too, until it is called to rejoin`,
      );
    group.refusesTooMany = true;
  } else refused.set(resource, now.mono + forMs);
  onOwnChange(group);
}

function stop(group: GroupState, restarting: boolean): void {
  if (group.stopping !== null) return;
  group.stopping = { restarting };
  clearQueue(group.claims);
  onOwnChange(group);
}

/** What this member says of itself has changed: others and the targets have to follow, and some terms may have to end. */
function onOwnChange(group: GroupState): void {
  renewSoon(group);
  group.membersDue = true;
  group.targetsDue = true;
  for (const view of group.terms) considerMove(group, view);
}
