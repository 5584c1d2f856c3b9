/**
 * The second half of every step: looks at the state, whatever led to it, and sends what is due. What must happen sooner or
 * later is decided here and nowhere else, so that no event has to be the one that does it.
 */
import { campaign, campaignAtMono, dropOrphan, orphanToDrop } from "./candidate.ts";
import { endHopelessDrain, keepOrRelease } from "./term.ts";
import { emit, type Turn, termOf } from "./turn.ts";
import { announce, nothingNewUpTo } from "./view.ts";
import { awaitsRead, silentAtMono } from "./wants.ts";

/** At most one write and one read are in flight. */
export function act(turn: Turn): void {
  endHopelessDrain(turn);
  if (turn.state.stopping && finishStop(turn)) return;
  if (!turn.state.connected) return;
  if (turn.state.bucket !== "open") {
    if (turn.state.bucket === "missing" && turn.now.mono >= turn.state.retryAtMono) {
      turn.state.bucket = "opening";
      emit(turn, { type: "open-bucket", above: nothingNewUpTo(turn.state) });
    }
    return;
  }
  const { state, now } = turn;
  if (!state.reading && state.mustRead && now.mono >= state.retryAtMono) sendRead(turn);
  // A silent bucket is read before it is campaigned for: a process that was stopped knows an old world. Only once,
  // so that a read that is not believed can't put a campaign off for ever.
  if (state.failures === 0 && isSilent(turn)) sendRead(turn);
  if (turn.state.inFlight === null) sendDueWrite(turn);
  if (isSilent(turn)) sendRead(turn);
}

/** Nothing was heard for long and nothing is under way that would tell. */
function isSilent({ state, now }: Turn): boolean {
  if (state.reading || state.mustRead || state.inFlight !== null || termOf(state) !== null) return false;
  return now.mono >= silentAtMono(state);
}

function sendRead(turn: Turn): void {
  turn.state.reading = true;
  turn.state.mustRead = false;
  emit(turn, { type: "read", timeoutMs: turn.state.config.requestTimeoutMs });
}

function sendDueWrite(turn: Turn): void {
  if (termOf(turn.state) !== null) return keepOrRelease(turn);
  if (turn.state.mustRead || turn.state.role.name !== "follower") return;
  if (awaitsRead(turn.state)) return;
  if (orphanToDrop(turn)) return dropOrphan(turn);
  const campaignAt = campaignAtMono(turn.state);
  if (campaignAt !== null && turn.now.mono >= campaignAt) campaign(turn);
}

/** Leaves for good as soon as nothing of ours is in flight or left in the bucket. Returns whether that is so. */
function finishStop(turn: Turn): boolean {
  const { state } = turn;
  if (termOf(state) !== null) return false;
  if (state.connected && state.inFlight !== null) return false;
  if (state.connected && state.bucket === "open") {
    // An acquire whose ack was lost may stand in the bucket: one look, and it is dropped. Nothing is tried twice.
    const lookIsDue = state.mustRead && turn.now.mono >= state.retryAtMono;
    const unsettled = state.sent.length > 0 && (state.reading || lookIsDue);
    if (unsettled || orphanToDrop(turn)) return false;
  }
  turn.state.role = { name: "stopped" };
  turn.state.sent = [];
  announce(turn);
  emit(turn, { type: "stopped" });
  return true;
}
