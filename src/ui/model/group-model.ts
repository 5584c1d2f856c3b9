/**
 * What a group's page shows, kept up to date by what has changed in its bucket. A process that leads a cluster may serve the page: with
 * 10 000 resources all of it takes longer than the event loop may stand still. So each update visits only the resources that it can
 * have changed, and is a generator, which yields after at most a few hundred of them.
 */
import type { GroupEntry } from "../../group/core/types.ts";
import type { GroupContent, GroupUpdate, StoredEntry } from "../../manager/group-client.ts";
import { byTime, type GroupChange, groupChanges } from "../../manager/group-history.ts";
import { groupSessions, type SessionView } from "../../manager/group-sessions.ts";
import {
  byName,
  coordinatorOf,
  countBy,
  type FoundPlan,
  type GroupResourceRow,
  memberRows,
  planOf,
  planView,
  resourceRow,
} from "../../manager/group-view.ts";
import { inBatches, sorted } from "../../manager/slices.ts";
import { freeTint, type GroupState, gridCell, initialGroup, withChanges } from "./group.ts";
import { LIMITS } from "./limits.ts";
import { GRID_CHUNK, type GridCell, type GridChunk } from "./types.ts";
import { Unlisted } from "./unlisted.ts";

type Entries = ReadonlyMap<string, StoredEntry>;

/** What an update has changed, apart from the state. */
export interface GridChange {
  /** Indexes of the chunks whose cells have changed. */
  readonly chunks: readonly number[];
  /** Number of all chunks. */
  readonly count: number;
}

export const NO_GRID_CHANGE: GridChange = { chunks: [], count: 0 };

export class GroupModel {
  readonly #id: string;
  #state: GroupState;
  #created: string | null = null;
  #upTo = 0;
  /** Of sessions, the coordinator and the plan, by subject. */
  #few = new Map<string, StoredEntry>();
  /** By resource. */
  #owners = new Map<string, StoredEntry>();
  #plan: FoundPlan | null = null;
  #planned: ReadonlyMap<string, number> | null = null;
  #rows = new Map<string, GroupResourceRow>();
  #cells = new Map<string, GridCell>();
  /** Of the rows, those that are not shown. */
  #unlisted = new Unlisted();
  /** Resources in the order of the grid; empty if there are too many. */
  #order: readonly string[] = [];
  #index = new Map<string, number>();
  #owns = new Map<string, number>();
  #states = new Map<string, number>();

  constructor(id: string) {
    this.#id = id;
    this.#state = initialGroup(id);
  }

  get state(): GroupState {
    return this.#state;
  }

  /** Creation time of the bucket, and up to where it is taken in; `null`: nothing is. */
  get position(): { readonly created: string; readonly upTo: number } | null {
    return this.#created === null ? null : { created: this.#created, upTo: this.#upTo };
  }

  get keys(): number {
    return this.#few.size + this.#owners.size;
  }

  /** Of a session, the coordinator or the plan. */
  entry(subject: string): GroupEntry | undefined {
    return this.#few.get(subject)?.entry;
  }

  get chunkCount(): number {
    return Math.ceil(this.#order.length / GRID_CHUNK);
  }

  chunk(index: number): GridChunk {
    const names = this.#order.slice(index * GRID_CHUNK, (index + 1) * GRID_CHUNK);
    return names.flatMap((name) => {
      const cell = this.#cells.get(name);
      return cell === undefined ? [] : [cell];
    });
  }

  fail(problem: string): void {
    this.#state = { ...this.#state, problem };
  }

  /** The bucket is gone. */
  reset(problem: string | null): void {
    this.#state = { ...initialGroup(this.#id), problem };
    this.#forget();
    this.#created = null;
  }

  /**
   * Takes in an update. It must be run to its end before the next one.
   *
   * @param aheadMs - The clock of the bucket's server less the one of the page, whose times are shown.
   */
  *take(update: GroupUpdate, aheadMs = 0): Generator<void, GridChange> {
    const { created, entries, upTo, whole } = update;
    const now = update.now - aheadMs;
    if (created !== this.#created || whole) {
      // Changes of a bucket that has been replaced are not of this one.
      if (created !== this.#created) this.#state = { ...this.#state, changes: [] };
      this.#forget();
    }
    const isFirst = this.#created !== created || whole;
    const before = isFirst ? null : { created, upTo: this.#upTo, now, entries: new Map(this.#few) };
    const ownersBefore = new Map<string, StoredEntry>();
    const touched = new Set<string>();
    let sessionsChanged = isFirst;
    let planChanged = isFirst;
    let namesChanged = isFirst;
    for (const [subject, { entry, at }] of entries) {
      const stored = { entry, at: at - aheadMs };
      const { key } = entry;
      const held = key.kind === "owner" ? this.#owners.get(key.resource) : this.#few.get(subject);
      // A message may have overtaken the read that contains an older one.
      if (held !== undefined && held.entry.revision >= entry.revision) continue;
      if (key.kind === "owner") {
        if (held !== undefined) ownersBefore.set(key.resource, held);
        this.#owners.set(key.resource, stored);
        touched.add(key.resource);
        namesChanged ||= !this.#rows.has(key.resource);
      } else {
        this.#few.set(subject, stored);
        sessionsChanged ||= key.kind === "session" && !isRenewal(entry, held?.entry);
        planChanged ||= key.kind === "plan";
      }
      if (touched.size % BATCH === BATCH - 1) yield;
    }
    this.#created = created;
    this.#upTo = Math.max(this.#upTo, upTo);

    const few: GroupContent = { created, entries: this.#few, upTo: this.#upTo, now };
    const sessions = groupSessions(few);
    if (planChanged) {
      this.#plan = planOf(this.#few.values());
      this.#planned = this.#plan === null ? null : countBy(this.#plan.plan.assignment.values());
      yield;
    }
    const tints = this.#tints(sessions);
    if (planChanged || namesChanged) yield* this.#dropOthers();
    const made = sessionsChanged || planChanged ? this.#rowNames() : touched;
    yield* this.#updateRows(made, sessions, now);
    if (sessionsChanged) yield* this.#unlisted.takeLists(listsOf(sessions));
    const listedChanged = yield* this.#unlisted.update(made);
    const orderChanged = planChanged || namesChanged || listedChanged ? yield* this.#reorder() : false;
    if (orderChanged) {
      // Rows that have not changed, and were not in the grid.
      const added = this.#order.filter((name) => !this.#cells.has(name) && !made.has(name));
      yield* this.#updateRows(added, sessions, now);
      yield* this.#updateCells(added, tints, now);
    }
    const dirty = yield* this.#updateCells(made, tints, now);
    // A session that has ended is the loss of what its member owned.
    const changedNames = sessionsChanged ? this.#owners.keys() : touched;
    const found = yield* this.#changes(changedNames, few, before, ownersBefore);
    let { changes } = this.#state;
    // Oldest first: each batch is older than the next one.
    for (const batch of inBatches([...found].reverse(), BATCH)) {
      changes = withChanges(changes, [...batch].reverse());
      yield;
    }
    this.#state = this.#stateOf(sessions, tints, changes, now);
    const count = this.chunkCount;
    const chunks = orderChanged ? Array.from({ length: count }, (_, index) => index) : [...dirty];
    return { chunks, count };
  }

  #forget(): void {
    this.#upTo = 0;
    for (const map of [this.#few, this.#owners, this.#rows, this.#cells, this.#index]) map.clear();
    for (const map of [this.#owns, this.#states]) map.clear();
    this.#unlisted = new Unlisted();
    this.#order = [];
    this.#plan = null;
    this.#planned = null;
  }

  /** All that are owned, were owned, or are in the plan. */
  #rowNames(): ReadonlySet<string> {
    return new Set([...(this.#plan?.plan.assignment.keys() ?? []), ...this.#owners.keys()]);
  }

  /** Drops those that were only in the plan, and are not any more. They were not unlisted: each had a target. */
  *#dropOthers(): Generator<void, void> {
    const names = this.#rowNames();
    for (const [name, row] of this.#rows) {
      if (names.has(name)) continue;
      this.#count(row, -1);
      this.#rows.delete(name);
    }
    yield;
  }

  /** Returns whether the place of a resource in the grid has changed. */
  *#reorder(): Generator<void, boolean> {
    const tooMany = this.#shownCount > LIMITS.resourcesPerGroup;
    const unordered = tooMany ? [] : [...this.#rows.keys()].filter((name) => !this.#unlisted.has(name));
    yield;
    if (unordered.length === this.#order.length && unordered.every((name) => this.#index.has(name))) {
      return false;
    }
    this.#order = yield* sorted(unordered, byName);
    this.#index.clear();
    for (const [index, name] of this.#order.entries()) this.#index.set(name, index);
    yield;
    for (const name of [...this.#cells.keys()]) if (!this.#index.has(name)) this.#cells.delete(name);
    yield;
    return true;
  }

  get #shownCount(): number {
    return this.#rows.size - this.#unlisted.size;
  }

  *#updateRows(
    names: Iterable<string>,
    sessions: ReadonlyMap<string, SessionView>,
    now: number,
  ): Generator<void, void> {
    const assignment = this.#plan?.plan.assignment ?? new Map<string, string>();
    for (const batch of inBatches(names, BATCH)) {
      for (const name of batch) {
        const row = resourceRow(name, this.#owners.get(name) ?? null, sessions, assignment, now);
        this.#count(this.#rows.get(name), -1);
        this.#count(row, 1);
        this.#rows.set(name, row);
      }
      yield;
    }
  }

  /**
   * Returns the indexes of the chunks whose cells have changed.
   *
   * @param names - Of rows that were made now.
   */
  *#updateCells(
    names: Iterable<string>,
    tints: ReadonlyMap<string, number>,
    now: number,
  ): Generator<void, ReadonlySet<number>> {
    const dirty = new Set<number>();
    for (const batch of inBatches(names, BATCH)) {
      for (const name of batch) {
        const index = this.#index.get(name);
        const row = this.#rows.get(name);
        if (index === undefined || row === undefined) continue;
        const cell = gridCell(row, tints, now);
        if (isSame(cell, this.#cells.get(name))) continue;
        this.#cells.set(name, cell);
        dirty.add(Math.floor(index / GRID_CHUNK));
      }
      yield;
    }
    return dirty;
  }

  #count(row: GroupResourceRow | undefined, by: 1 | -1): void {
    if (row === undefined) return;
    if (by === 1) this.#unlisted.note(row);
    else this.#unlisted.forget(row);
    this.#states.set(row.state, (this.#states.get(row.state) ?? 0) + by);
    const { owner } = row;
    if (owner === null) return;
    const owns = (this.#owns.get(owner) ?? 0) + by;
    if (owns === 0) this.#owns.delete(owner);
    else this.#owns.set(owner, owns);
  }

  /** Newest first. */
  *#changes(
    names: Iterable<string>,
    few: GroupContent,
    before: GroupContent | null,
    ownersBefore: Entries,
  ): Generator<void, readonly GroupChange[]> {
    const found = groupChanges(few, before);
    for (const batch of inBatches(names, BATCH)) {
      const entries = new Map(few.entries);
      const earlier = new Map(before?.entries);
      for (const name of batch) {
        const stored = this.#owners.get(name);
        if (stored === undefined) continue;
        // Subjects have dots where this has a colon.
        entries.set(`owner:${name}`, stored);
        earlier.set(`owner:${name}`, ownersBefore.get(name) ?? stored);
      }
      const then = before === null ? null : { ...before, entries: earlier };
      found.push(...groupChanges({ ...few, entries }, then).filter(({ what }) => what === "resource"));
      yield;
    }
    return yield* sorted(found, byTime);
  }

  #tints(sessions: ReadonlyMap<string, SessionView>): ReadonlyMap<string, number> {
    const tints = new Map(this.#state.tints);
    const ids = [...sessions.values()].flatMap(({ memberId, record }) => (record === null ? [] : [memberId]));
    for (const id of ids.sort()) if (!tints.has(id)) tints.set(id, freeTint(tints));
    return tints;
  }

  #stateOf(
    sessions: ReadonlyMap<string, SessionView>,
    tints: ReadonlyMap<string, number>,
    changes: GroupState["changes"],
    now: number,
  ): GroupState {
    const coordinator = coordinatorOf(this.#few.values(), sessions);
    const count = (state: GroupResourceRow["state"]): number => this.#states.get(state) ?? 0;
    const view = {
      groupId: this.#id,
      created: this.#created ?? "",
      coordinator,
      plan: this.#plan === null ? null : planView(this.#plan, now),
      members: memberRows(sessions, { owns: this.#owns, planned: this.#planned, coordinator, now }),
      resources: this.#shownCount,
      owned: count("owned") + count("moving"),
      moving: count("moving"),
      unowned: count("unowned") - this.#unlisted.size,
    };
    return { id: this.#id, view, now, problem: null, tints, changes };
  }
}

/** Hashes of the lists of the members that are alive. */
function listsOf(sessions: ReadonlyMap<string, SessionView>): ReadonlySet<string> {
  return new Set([...sessions.values()].flatMap(({ record }) => record?.listHash ?? []));
}

/** Resources between two yields: about a millisecond. */
const BATCH = 200;

function isSame(a: GridCell, b: GridCell | undefined): boolean {
  return b !== undefined && a.every((value, index) => value === b[index]);
}

/** Whether only the time of the session has changed. */
export function isRenewal(entry: GroupEntry, before: GroupEntry | undefined): boolean {
  if (entry.kind !== "record" || before?.kind !== "record") return false;
  const [now, then] = [entry.record, before.record];
  if (now.kind !== "session" || then.kind !== "session") return false;
  return (
    now.incarnation === then.incarnation &&
    now.draining === then.draining &&
    now.weight === then.weight &&
    now.listHash === then.listHash &&
    now.refused.length === then.refused.length
  );
}
