/** What the page shows of one group. Pure: the state keeps which member has which colour, and the last changes. */

import { printable } from "../../log/printable.ts";
import type { GroupChange } from "../../manager/group-history.ts";
import type { GroupMemberRow, GroupResourceRow, GroupSummary } from "../../manager/group-view.ts";
import { LIMITS } from "./limits.ts";
import type { ChangesView, GridCell, GroupCard, MemberCard, RenewalsCard } from "./types.ts";

/** Of the name of a resource, more is not shown. */
const MAX_NAME = 80;
/** Of several resources with one change, so many are named. */
const NAMED = 3;
/** Equal changes in this time are one entry, */
const TOGETHER_MS = 5_000;
/** if it is among so many newest ones. */
const MERGED = 12;

export interface GroupState {
  readonly id: string;
  readonly view: GroupSummary | null;
  /** When `view` was made: by the clock of the page's server, as all times here. */
  readonly now: number;
  readonly problem: string | null;
  readonly tints: ReadonlyMap<string, number>;
  readonly changes: ChangesView;
}

export function initialGroup(id: string): GroupState {
  return { id, view: null, now: 0, problem: null, tints: new Map(), changes: [] };
}

/** Colours of members that are gone stay theirs: they may come back. A group whose members change their names must not grow. */
export function freeTint(tints: Map<string, number>): number {
  if (tints.size >= LIMITS.membersPerGroup) {
    const [oldest] = tints;
    if (oldest !== undefined) {
      tints.delete(oldest[0]);
      return oldest[1];
    }
  }
  return tints.size;
}

/**
 * Adds changes, newest first in both. What changes in the same way within a few seconds is one entry: a member that is lost, or drained,
 * changes thousands of resources.
 */
export function withChanges(known: ChangesView, found: readonly GroupChange[]): ChangesView {
  const cards = [...known];
  for (const change of [...found].reverse()) {
    const { at, what, change: kind, member, from, reason, by, resource } = change;
    const index = cards
      .slice(0, MERGED)
      .findIndex(
        (one) =>
          one.what === what &&
          one.change === kind &&
          one.member === member &&
          one.reason === reason &&
          one.by === by &&
          at - one.at < TOGETHER_MS,
      );
    const names = resource === null ? [] : [shown(resource)];
    const same = cards[index];
    if (same === undefined) {
      cards.unshift({ at, what, change: kind, member, from, reason, by, count: 1, resources: names });
      continue;
    }
    cards[index] = {
      ...same,
      at: Math.max(at, same.at),
      from: same.from === from ? from : null,
      count: same.count + 1,
      resources: [...names, ...same.resources].slice(0, NAMED),
    };
  }
  return cards.sort((a, b) => b.at - a.at).slice(0, LIMITS.changesPerGroup);
}

export function groupCard(state: GroupState): GroupCard {
  const { id, view, problem } = state;
  if (view === null) {
    const none = { coordinator: null, planRevision: null, resources: 0, owned: 0, moving: 0, unowned: 0 };
    return { id, problem, ...none, members: [], membersLeftOut: 0, gridLeftOut: null };
  }
  const { coordinator, plan, resources, owned, moving, unowned, members } = view;
  const tooMany = resources > LIMITS.resourcesPerGroup;
  return {
    id,
    problem,
    coordinator,
    planRevision: plan?.revision ?? null,
    resources,
    owned,
    moving,
    unowned,
    members: [
      ...members.slice(0, LIMITS.membersPerGroup).map((row) => memberCard(row, state)),
      ...gone(state),
    ],
    membersLeftOut: Math.max(0, members.length - LIMITS.membersPerGroup),
    gridLeftOut: tooMany
      ? `${resources} resources are too many for the grid, which shows at most ${LIMITS.resourcesPerGroup}`
      : null,
  };
}

function memberCard(row: GroupMemberRow, { tints }: GroupState): MemberCard {
  const { memberId: id, state, session, coordinates, weight, zone, maxOwned, owns, planned } = row;
  const { refuses, presence, ttlMs } = row;
  return {
    id,
    tint: tints.get(id) ?? 0,
    state,
    session,
    coordinates,
    weight,
    zone: zone === null ? null : shown(zone),
    maxOwned,
    owns,
    planned,
    refuses: refuses.map(shown),
    presence,
    ttlMs,
  };
}

/** Members whose session is over, and that the plan still has. */
function gone({ view, tints }: GroupState): MemberCard[] {
  const here = new Set(view?.members.map(({ memberId }) => memberId));
  const planned = (view?.plan?.members ?? []).filter((id) => !here.has(id));
  return planned.slice(0, LIMITS.membersPerGroup).map((id) => ({
    id,
    tint: tints.get(id) ?? 0,
    state: "gone",
    session: 0,
    coordinates: false,
    weight: 0,
    zone: null,
    maxOwned: null,
    owns: 0,
    planned: null,
    refuses: [],
    presence: false,
    ttlMs: 0,
  }));
}

export function renewalsCard({ view, now }: GroupState): RenewalsCard {
  return (view?.members ?? [])
    .slice(0, LIMITS.membersPerGroup)
    .map(({ renewedMs }) => Math.round(now - renewedMs));
}

/** @param now - The time at which the row was made. */
export function gridCell(row: GroupResourceRow, tints: ReadonlyMap<string, number>, now: number): GridCell {
  const { resource, state, owner, epoch, target, forMs, why } = row;
  const tintOf = (id: string | null): number => (id === null ? -1 : (tints.get(id) ?? -1));
  const since = forMs === null ? null : Math.round(now - forMs);
  return [shown(resource), state, tintOf(owner), epoch, tintOf(target), since, why];
}

/** Names are any text: the page shows no character that reorders or hides others. */
function shown(name: string): string {
  return printable(name, MAX_NAME);
}
