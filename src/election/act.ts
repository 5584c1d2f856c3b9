/**
 * The second half of every step: sends whatever is due by the state, no matter which event led to it. So no event has to be
 * the one that sends something, and a lost event can only delay.
 */
import { type Draft, emit, roleFrom, termOf } from "./draft.ts";
import { hintDelayMs, missedHeartbeatDelayMs, nextWrite, openDelayMs, readDelayMs } from "./due.ts";
import { campaign, dropOrphan, orphanAtMono } from "./follower.ts";
import { ask, questionDelayMs } from "./inquiry.ts";
import { endHopelessDrain, release, renew } from "./leader.ts";
import { announce, newBucketFloor } from "./outlook.ts";

export function act(draft: Draft): void {
  endHopelessDrain(draft);
  if (draft.candidacy.stopping && mayStop(draft)) return stop(draft);
  if (questionDelayMs(draft, draft.now) <= 0) ask(draft);
  if (openDelayMs(draft, draft.now) <= 0) return openBucket(draft);
  if (Math.min(readDelayMs(draft, draft.now), hintDelayMs(draft, draft.now)) <= 0) sendRead(draft);
  // After a missed heartbeat the bucket is read before it is campaigned for: the view of a process that was stopped is out of date. Only once, so
  // that reads that are not believed cannot put off a campaign without end.
  if (draft.retry.failures === 0) readIfHeartbeatMissed(draft);
  sendDueWrite(draft);
  readIfHeartbeatMissed(draft);
}

function openBucket(draft: Draft): void {
  draft.bucket.status = "opening";
  emit(draft, { type: "open-bucket", above: newBucketFloor(draft) });
}

function readIfHeartbeatMissed(draft: Draft): void {
  if (missedHeartbeatDelayMs(draft, draft.now) <= 0) sendRead(draft);
}

function sendRead(draft: Draft): void {
  draft.reads.inFlight = true;
  draft.reads.sentAt = draft.now;
  draft.reads.due = false;
  draft.reads.forHint = draft.reads.hinted > 0;
  draft.reads.hinted = 0;
  emit(draft, { type: "read", timeoutMs: draft.config.requestTimeoutMs });
}

function sendDueWrite(draft: Draft): void {
  const next = nextWrite(draft, draft.now);
  if (next === null || next.delayMs > 0) return;
  switch (next.kind) {
    case "renew":
      return renew(draft);
    case "release":
      return release(draft);
    case "drop-orphan":
      return dropOrphan(draft);
    case "campaign":
      return campaign(draft);
    default:
      next.kind satisfies never;
  }
}

/** Is nothing of this node in flight or left in the bucket, as far as that can be settled? Nothing is retried for it. */
function mayStop(draft: Draft): boolean {
  if (termOf(draft) !== null) return false;
  if (!draft.link.connected) return true;
  if (draft.writes.inFlight !== null) return false;
  if (draft.bucket.status !== "open") return true;
  // An acquire whose ack was lost may be in the bucket: one read shows it, and it is deleted.
  const readPending = draft.reads.inFlight || readDelayMs(draft, draft.now) <= 0;
  if (draft.writes.unsettled.length > 0 && readPending) return false;
  return orphanAtMono(draft, draft.now) > draft.now.mono;
}

function stop(draft: Draft): void {
  roleFrom(draft, "follower", "campaigning");
  draft.role = { name: "stopped" };
  draft.writes.unsettled = [];
  announce(draft);
  emit(draft, { type: "stopped" });
}
