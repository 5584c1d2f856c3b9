/** What the page shows of one group. Pure: the state keeps which member has which colour, and the last changes. */

import { printable } from "../../log/printable.ts";
import type { GroupContent } from "../../manager/group-client.ts";
import { type GroupChange, groupChanges } from "../../manager/group-history.ts";
import { type GroupMemberRow, type GroupView, groupView } from "../../manager/group-view.ts";
import { LIMITS } from "./limits.ts";
import {
  type ChangesView,
  GRID_CHUNK,
  type GridCell,
  type GridChunk,
  type GroupCard,
  type GroupChangeCard,
  type MemberCard,
  type RenewalsCard,
} from "./types.ts";

/** Of the name of a resource, more is not shown. */
const MAX_NAME = 80;
/** Of several resources with one change, so many are named. */
const NAMED = 3;

export interface GroupState {
  readonly id: string;
  readonly view: GroupView | null;
  /** When `view` was made: by the clock of its bucket's server. */
  readonly now: number;
  readonly problem: string | null;
  readonly tints: ReadonlyMap<string, number>;
  readonly changes: ChangesView;
}

export function initialGroup(id: string): GroupState {
  return { id, view: null, now: 0, problem: null, tints: new Map(), changes: [] };
}

/**
 * Takes in the content of the bucket.
 *
 * @param before - What was taken in before; `null`: nothing, and the changes are the last ones of the keys.
 */
export function withContent(
  state: GroupState,
  content: GroupContent,
  before: GroupContent | null,
): GroupState {
  const view = groupView(state.id, content);
  const tints = new Map(state.tints);
  for (const { memberId } of view.members) if (!tints.has(memberId)) tints.set(memberId, freeTint(tints));
  const found = changeCards(groupChanges(content, before));
  const changes = [...found, ...(before === null ? [] : state.changes)].slice(0, LIMITS.changesPerGroup);
  const isRestart = before !== null && before.created !== content.created;
  return { ...state, view, now: content.now, problem: null, tints, changes: isRestart ? found : changes };
}

/** Colours of members that are gone stay theirs: they may come back. A group whose members change their names must not grow. */
function freeTint(tints: Map<string, number>): number {
  if (tints.size >= LIMITS.membersPerGroup) {
    const [oldest] = tints;
    if (oldest !== undefined) {
      tints.delete(oldest[0]);
      return oldest[1];
    }
  }
  return tints.size;
}

/** Newest first. What changed in the same second in the same way is one entry. */
export function changeCards(changes: readonly GroupChange[]): GroupChangeCard[] {
  const cards: GroupChangeCard[] = [];
  const open = new Map<string, number>();
  for (const { at, what, change, member, from, reason, by, resource } of changes) {
    const key = JSON.stringify([Math.floor(at / 1000), what, change, member, reason, by]);
    const index = open.get(key);
    const known = index === undefined ? undefined : cards[index];
    if (index !== undefined && known !== undefined) {
      const names =
        resource === null || known.resources.length >= NAMED
          ? known.resources
          : [...known.resources, shown(resource)];
      const same = known.from === from ? from : null;
      cards[index] = { ...known, count: known.count + 1, resources: names, from: same };
      continue;
    }
    // The rest of a bucket with thousands of keys is older than what is shown.
    if (cards.length >= LIMITS.changesPerGroup) continue;
    open.set(key, cards.length);
    const resources = resource === null ? [] : [shown(resource)];
    cards.push({ at, what, change, member, from, reason, by, count: 1, resources });
  }
  return cards;
}

export function groupCard(state: GroupState): GroupCard {
  const { id, view, problem } = state;
  if (view === null) {
    const none = { coordinator: null, planRevision: null, resources: 0, owned: 0, moving: 0, unowned: 0 };
    return { id, problem, ...none, members: [], membersLeftOut: 0, gridLeftOut: null };
  }
  const { coordinator, plan, resources, owned, moving, unowned, members } = view;
  const tooMany = resources.length > LIMITS.resourcesPerGroup;
  return {
    id,
    problem,
    coordinator,
    planRevision: plan?.revision ?? null,
    resources: resources.length,
    owned,
    moving,
    unowned,
    members: [
      ...members.slice(0, LIMITS.membersPerGroup).map((row) => memberCard(row, state)),
      ...gone(state),
    ],
    membersLeftOut: Math.max(0, members.length - LIMITS.membersPerGroup),
    gridLeftOut: tooMany
      ? `${resources.length} resources are too many for the grid, which shows at most ${LIMITS.resourcesPerGroup}`
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

export function gridChunks({ view, tints, now }: GroupState): GridChunk[] {
  const resources = view?.resources ?? [];
  if (resources.length > LIMITS.resourcesPerGroup) return [];
  const tintOf = (id: string | null): number => (id === null ? -1 : (tints.get(id) ?? -1));
  const cells = resources.map(({ resource, state, owner, epoch, target, forMs, why }): GridCell => {
    const since = forMs === null ? null : Math.round(now - forMs);
    return [shown(resource), state, tintOf(owner), epoch, tintOf(target), since, why];
  });
  const chunks: GridChunk[] = [];
  for (let at = 0; at < cells.length; at += GRID_CHUNK) chunks.push(cells.slice(at, at + GRID_CHUNK));
  return chunks;
}

/** Names are any text: the page shows no character that reorders or hides others. */
function shown(name: string): string {
  return printable(name, MAX_NAME);
}
