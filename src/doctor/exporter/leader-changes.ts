/** Counts the changes of raft leaders that are seen from one reading to the next. */

export class LeaderChanges {
  readonly #groups = new Map<string, { leader: string | null; changes: number }>();

  /**
   * Takes in the leaders of all groups, and returns the number of changes of each. A time without a leader is no change; the next leader
   * is one if it differs from the last. A group that is not read any more is forgotten, so that nothing grows.
   */
  note(leaders: ReadonlyMap<string, string | null>): ReadonlyMap<string, number> {
    for (const group of this.#groups.keys()) if (!leaders.has(group)) this.#groups.delete(group);
    for (const [group, leader] of leaders) {
      const known = this.#groups.get(group);
      if (known === undefined) {
        this.#groups.set(group, { leader, changes: 0 });
      } else if (leader !== null) {
        if (known.leader !== null && known.leader !== leader) known.changes += 1;
        known.leader = leader;
      }
    }
    return new Map([...this.#groups].map(([group, { changes }]) => [group, changes]));
  }
}
