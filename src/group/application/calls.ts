/** Hook calls. Those of one resource run one at a time and in order, and so do those of the member. */
import type { Outcome } from "../../application/types.ts";
import { type Draft, emit, nextNumber, notify, runningTerm, termWith } from "./draft.ts";
import { failTerm } from "./failures.ts";
import type { ActiveCall, DisownReason, MemberCall, ResourceCall, Slot } from "./types.ts";

/** Queue limit of the member's hooks. Beyond it, the oldest call is discarded. */
const MAX_WAITING = 256;

export function enqueue(
  draft: Draft,
  slot: Slot,
  hook: ResourceCall["hook"],
  epoch: number,
  reason: DisownReason | null,
): void {
  slot.waiting.push({ call: nextNumber(draft), hook, epoch, reason });
}

/** Takes back a call of a term that has not begun for the application. */
export function cancelCall(slot: Slot, epoch: number): void {
  slot.waiting = slot.waiting.filter((call) => call.epoch !== epoch);
}

/** Starts the next call of the resource, if none is active. The call of a hook that the application does not have is over at once. */
export function startNextCall(draft: Draft, slot: Slot): void {
  while (slot.active === null) {
    const next = slot.waiting.shift();
    if (next === undefined) return;
    const { call, hook, epoch } = next;
    const term = termWith(slot, epoch);
    if (term !== null && hook === "onOwn") term.own = "running";
    if (term !== null && hook === "onDisown") term.disown = "running";
    slot.active = { call, hook, epoch, sinceMono: draft.now.mono, reported: false };
    if (draft.state.config.hooks.has(hook))
      emit(draft, { type: "call-resource-hook", resource: slot.resource, call: next });
    else finishCall(draft, slot, slot.active, { kind: "returned" });
  }
}

/** The application has returned from the active call of a resource. */
export function onResourceCallEnded(draft: Draft, resource: string, call: number, outcome: Outcome): void {
  const slot = draft.state.slots.get(resource);
  if (slot?.active?.call !== call) return;
  draft.touched.add(slot);
  finishCall(draft, slot, slot.active, outcome);
}

function finishCall(draft: Draft, slot: Slot, { hook, epoch }: ActiveCall, outcome: Outcome): void {
  slot.active = null;
  const term = epoch === null ? null : termWith(slot, epoch);
  const failed = outcome.kind === "threw" && !(outcome.abort && term !== null && term.ended !== null);
  if (term !== null && hook === "onOwn") term.own = failed ? "failed" : "returned";
  if (term !== null && hook === "onDisown") term.disown = "returned";
  if (!failed) return;
  notify(draft, { type: "hook-error", hook, resource: slot.resource, epoch, error: outcome.error });
  if (hook === "onOwn" && term !== null && runningTerm(slot) === term) failTerm(draft, slot, term);
}

type Unnumbered<T> = T extends unknown ? Omit<T, "call"> : never;

/** A change of the members that waits for its turn stands for all later ones: the hook gets the members as they are then. */
export function enqueueMemberCall(draft: Draft, call: Unnumbered<MemberCall>): void {
  const { state } = draft;
  if (call.hook === "onMembersChange" && state.waiting.some(({ hook }) => hook === call.hook)) return;
  const waiting = state.waiting.length < MAX_WAITING ? state.waiting : state.waiting.slice(1);
  state.waiting = [...waiting, { ...call, call: nextNumber(draft) } as MemberCall];
}

export function startNextMemberCall(draft: Draft): void {
  const { state } = draft;
  while (state.active === null) {
    const [next, ...rest] = state.waiting;
    if (next === undefined) return;
    state.waiting = rest;
    const { call, hook } = next;
    if (!state.config.hooks.has(hook)) continue;
    state.active = { call, hook, epoch: null, sinceMono: draft.now.mono, reported: false };
    emit(draft, { type: "call-member-hook", call: next });
  }
}

export function onMemberCallEnded(draft: Draft, call: number, outcome: Outcome): void {
  const { state } = draft;
  if (state.active?.call !== call) return;
  const { hook } = state.active;
  state.active = null;
  if (outcome.kind === "threw")
    notify(draft, { type: "hook-error", hook, resource: null, epoch: null, error: outcome.error });
}
