/**
 * Reports of application code that keeps something waiting. Slots are looked through together, every quarter of the shorter limit: a
 * timer for each of thousands of resources would cost more than it is worth, and a report may be late.
 */
import { type Draft, notify, runningTerm } from "./draft.ts";
import { hasDrained } from "./terms.ts";
import type { Blocked, GroupApplicationConfig, GroupApplicationState, Slot } from "./types.ts";
import { runOfEarlierTerm, workWaits } from "./work.ts";

/** More reports wait for the next look. */
const MAX_REPORTS = 16;

/** Looks after the slot while it may have to be reported. */
export function watchSlot({ state, now }: Draft, slot: Slot): void {
  if (!mayBeReported(state, slot)) {
    state.watched.delete(slot);
    if (state.watched.size === 0 && state.active === null) state.sweepMono = Number.POSITIVE_INFINITY;
    return;
  }
  state.watched.add(slot);
  if (state.sweepMono === Number.POSITIVE_INFINITY) state.sweepMono = now.mono + periodMs(state.config);
}

function periodMs({ slowAfterMs, drainTimeoutMs }: GroupApplicationConfig): number {
  return Math.max(1, Math.min(slowAfterMs, Math.max(drainTimeoutMs, slowAfterMs / 4)) / 4);
}

function mayBeReported(state: GroupApplicationState, slot: Slot): boolean {
  if (!state.slots.has(slot.resource)) return false;
  const call = slot.active !== null && !slot.active.reported;
  const blocked = slot.blocked !== null && !slot.blocked.reported;
  return call || blocked || slot.terms.some(({ drain }) => drain?.outcome === null && !drain.reported);
}

/** Reports what has lasted too long, if it is time to look. */
export function reportBlocked(draft: Draft): void {
  const { state, now } = draft;
  if (state.active !== null && state.sweepMono === Number.POSITIVE_INFINITY)
    state.sweepMono = now.mono + periodMs(state.config);
  if (now.mono < state.sweepMono) return;
  const idle = state.watched.size === 0 && state.active === null;
  state.sweepMono = idle ? Number.POSITIVE_INFINITY : now.mono + periodMs(state.config);
  reportMemberCall(draft);
  let reports = 0;
  for (const slot of state.watched) {
    if (reports >= MAX_REPORTS) return;
    const blocked = slowCall(draft, slot) ?? blockedWork(draft, slot) ?? slowDrain(draft, slot);
    if (blocked === null) continue;
    reports += 1;
    notify(draft, { type: "blocked", blocked });
  }
}

function reportMemberCall(draft: Draft): void {
  const { active, waiting, config } = draft.state;
  if (active === null || active.reported || waiting.length === 0) return;
  const forMs = draft.now.mono - active.sinceMono;
  if (forMs < config.slowAfterMs) return;
  active.reported = true;
  const blocked: Blocked = { code: "HOOK_SLOW", by: active.hook, resource: null, epoch: null, forMs };
  notify(draft, { type: "blocked", blocked });
}

function slowCall({ state, now }: Draft, slot: Slot): Blocked | null {
  const { active, waiting, resource } = slot;
  if (active === null || active.reported) return null;
  const keepsWaiting =
    waiting.some(({ hook }) => state.config.hooks.has(hook)) ||
    (runningTerm(slot) !== null && workWaits(state, slot));
  const forMs = now.mono - active.sinceMono;
  if (!keepsWaiting || forMs < state.config.slowAfterMs) return null;
  active.reported = true;
  return { code: "HOOK_SLOW", by: active.hook, resource, epoch: active.epoch, forMs };
}

function blockedWork({ state, now }: Draft, slot: Slot): Blocked | null {
  const { blocked, resource } = slot;
  if (blocked === null || blocked.reported) return null;
  const forMs = now.mono - blocked.sinceMono;
  if (forMs < state.config.slowAfterMs) return null;
  blocked.reported = true;
  const epoch = runOfEarlierTerm(slot)?.epoch ?? null;
  return { code: "WORK_BLOCKED", by: "work", resource, epoch, forMs };
}

/** A resource is kept for as long as its work runs, so no other member can own it. */
function slowDrain({ state, now }: Draft, slot: Slot): Blocked | null {
  for (const term of slot.terms) {
    const { drain, epoch } = term;
    if (drain === null || drain.outcome !== null || drain.reported || hasDrained(state, slot, term)) continue;
    const forMs = now.mono - drain.sinceMono;
    if (forMs < state.config.drainTimeoutMs) continue;
    drain.reported = true;
    const by = slot.active?.hook ?? "work";
    return { code: "DRAIN_SLOW", by, resource: slot.resource, epoch, forMs };
  }
  return null;
}
