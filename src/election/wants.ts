/**
 * What the state wants of the world around it, derived from it at every look instead of being told: no path through the
 * election can forget to set a timer or to listen.
 */
import { campaignAtMono } from "./candidate.ts";
import { type Instant, remainingMs, waitedUntil } from "./time.ts";
import { termOf } from "./turn.ts";
import type { ElectionState } from "./types.ts";
import { holderIsGone, isMine } from "./view.ts";

/** Silence longer than this many heartbeats asks for a read. */
const SILENT_HEARTBEATS = 1.5;

/** Has nothing newer been seen for so long that the holder, if there is one, has missed a heartbeat? */
export function holderIsLate(state: ElectionState, now: Instant): boolean {
  return waitedUntil(state.seenAt, SILENT_HEARTBEATS * state.config.heartbeatIntervalMs, now);
}

/** From when on the bucket has been silent for too long. */
export function silentAtMono(state: ElectionState): number {
  return Math.max(
    state.heardAt.mono + SILENT_HEARTBEATS * state.config.heartbeatIntervalMs,
    state.retryAtMono,
  );
}

/** Milliseconds until the state wants a `tick`, `null` when only an event can change anything. */
export function wakeDelayMs(state: ElectionState, now: Instant): number | null {
  if (state.role.name === "stopped") return null;
  const term = termOf(state);
  let delayMs = Number.POSITIVE_INFINITY;
  if (term !== null) delayMs = remainingMs(term.deadline, now);
  if (state.outwait !== null && state.announced !== null && term === null) {
    delayMs = Math.min(delayMs, state.outwait.since.mono + state.outwait.waitMs - now.mono);
  }
  if (state.connected) {
    if (state.bucket === "missing") delayMs = Math.min(delayMs, state.retryAtMono - now.mono);
    if (state.bucket === "open") {
      if (!state.reading && state.mustRead) delayMs = Math.min(delayMs, state.retryAtMono - now.mono);
      else if (!state.reading && term === null && state.inFlight === null)
        delayMs = Math.min(delayMs, silentAtMono(state) - now.mono);
      if (state.inFlight === null) delayMs = Math.min(delayMs, sendAtMono(state) - now.mono);
    }
  }
  return delayMs === Number.POSITIVE_INFINITY ? null : Math.max(0, delayMs);
}

/**
 * Is a read under way that a candidate waits for? Not where the holder's end is confirmed: there the compare-and-set finds
 * out sooner. Unless it has found out already, and was refused.
 */
export function awaitsRead(state: ElectionState): boolean {
  return state.reading && (state.disputed || !holderIsGone(state));
}

/** From when on there is something to write, on the monotonic clock; infinite while only an event can change that. */
function sendAtMono(state: ElectionState): number {
  const term = termOf(state);
  if (term !== null) {
    const waitsForRead =
      state.role.name === "draining" && state.role.drained && (state.mustRead || state.reading);
    return waitsForRead ? Number.POSITIVE_INFINITY : term.renewAtMono;
  }
  if (state.role.name !== "follower" || state.mustRead) return Number.POSITIVE_INFINITY;
  if (awaitsRead(state)) return Number.POSITIVE_INFINITY;
  return campaignAtMono(state) ?? Number.POSITIVE_INFINITY;
}

/**
 * True while this node leads, or may come to by an answer that is still due, on the connection that is up. Meanwhile
 * somebody must keep an eye on that connection, because with a presence its end entitles others to lead.
 */
export function dependsOnConnection(state: ElectionState): boolean {
  if (state.config.crashDetection === "lease" || !state.connected) return false;
  return termOf(state) !== null || state.sent.length > 0;
}

/** The presence consumer whose deletion this node wants to hear of; `null`: none. */
export function watchedPresence(state: ElectionState): string | null {
  const { view, config, role } = state;
  if (!config.competes || config.crashDetection === "lease" || role.name === "stopped") return null;
  if (view.kind !== "held" || isMine(state, view.record)) return null;
  return view.record?.session?.presence ?? null;
}
