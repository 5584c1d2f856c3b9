/** One step while it is being made: the state, which changes in place, and what the step has led to. */
import type { Instant } from "../../election/time.ts";
import type {
  GroupApplicationConfig,
  GroupApplicationEffect,
  GroupApplicationState,
  GroupNotice,
  Slot,
  TermState,
  Wait,
} from "./types.ts";

export interface Draft {
  readonly state: GroupApplicationState;
  readonly now: Instant;
  readonly effects: GroupApplicationEffect[];
  /** Slots that this step may have to do something for. */
  readonly touched: Set<Slot>;
  /** Waits that this step has added. */
  readonly added: Wait[];
}

/** Stands for the epochs of an earlier incarnation. Epochs are positive. */
const EARLIER = 0;
/** Workers are numbered from 1. */
const NO_WORKER = 0;

/** @param earlier - Of the last incarnation of the member, which has stopped. Its code that has not returned holds up the new one. */
export function initialState(
  config: GroupApplicationConfig,
  earlier: GroupApplicationState | null,
): GroupApplicationState {
  const left = [...(earlier?.slots.values() ?? [])].filter(
    ({ active, runs }) => active !== null || runs.length > 0,
  );
  return {
    config,
    stage: "running",
    stopReason: null,
    stopDeadlineMono: Number.POSITIVE_INFINITY,
    slots: new Map(
      left.map(({ resource, active, runs }) => [
        resource,
        {
          ...emptySlot(resource),
          active,
          runs: runs.map(({ run }) => ({ run, worker: NO_WORKER, epoch: EARLIER })),
        },
      ]),
    ),
    watched: new Set(),
    sweepMono: Number.POSITIVE_INFINITY,
    workers: new Map(),
    scoped: new Map(),
    waits: {
      all: new Map(),
      ofResource: new Map(),
      ofMember: new Set(),
      limitMono: Number.POSITIVE_INFINITY,
    },
    waiting: [],
    active: earlier?.active ?? null,
    held: false,
    lastNumber: earlier?.lastNumber ?? 0,
    failures: new Map(),
    isPastDeadline: false,
    timedOut: false,
  };
}

export function emit(draft: Draft, effect: GroupApplicationEffect): void {
  draft.effects.push(effect);
}

export function notify(draft: Draft, notice: GroupNotice): void {
  emit(draft, { type: "notify", notice });
}

export function nextNumber({ state }: Draft): number {
  state.lastNumber += 1;
  return state.lastNumber;
}

function emptySlot(resource: string): Slot {
  return {
    resource,
    terms: [],
    waiting: [],
    active: null,
    runs: [],
    scoped: null,
    ranUpTo: 0,
    blocked: null,
  };
}

export function slotOf({ state }: Draft, resource: string): Slot {
  const known = state.slots.get(resource);
  if (known !== undefined) return known;
  const slot = emptySlot(resource);
  state.slots.set(resource, slot);
  return slot;
}

/** The term that runs, if one does. */
export function runningTerm(slot: Slot | undefined): TermState | null {
  const last = slot?.terms.at(-1);
  return last !== undefined && last.ended === null ? last : null;
}

export function termWith(slot: Slot | undefined, epoch: number): TermState | null {
  return slot?.terms.find((term) => term.epoch === epoch) ?? null;
}
