/** Counts the changes of raft leaders that are seen from one reading to the next. */

/** Readings. At one every 15 s: a quarter of an hour in which no server answers, or the servers of a group restart. */
const REMEMBERED_READINGS = 60;
/** Five times as many groups as one reading has at most. */
const MAX_GROUPS = 1_000;

interface Group {
  leader: string | null;
  changes: number;
  /** Number of the last reading that had it. */
  seen: number;
}

export class LeaderChanges {
  /** The one that was seen longest ago is first. */
  readonly #groups = new Map<string, Group>();
  #readings = 0;

  /**
   * Takes in the leaders of all groups, and returns the number of changes of each of them. A time without a leader, or without a reading of
   * the group, is no change; the next leader is one if it differs from the last. A group that is missing for 60 readings is forgotten, or
   * earlier if more than 1 000 are known, so that nothing grows.
   */
  note(leaders: ReadonlyMap<string, string | null>): ReadonlyMap<string, number> {
    this.#readings += 1;
    const counts = new Map<string, number>();
    for (const [name, leader] of leaders) {
      const group = this.#groups.get(name) ?? { leader, changes: 0, seen: 0 };
      if (leader !== null) {
        if (group.leader !== null && group.leader !== leader) group.changes += 1;
        group.leader = leader;
      }
      group.seen = this.#readings;
      this.#groups.delete(name);
      this.#groups.set(name, group);
      counts.set(name, group.changes);
    }
    this.#forget();
    return counts;
  }

  #forget(): void {
    for (const [name, { seen }] of this.#groups) {
      if (this.#readings - seen < REMEMBERED_READINGS && this.#groups.size <= MAX_GROUPS) return;
      this.#groups.delete(name);
    }
  }
}
