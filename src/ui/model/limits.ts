/** What the page keeps at most. What is beyond a limit is counted and left out, and the page says so. */
export interface Limits {
  readonly clusters: number;
  readonly groups: number;
  readonly nodesPerCluster: number;
  readonly termsPerCluster: number;
  readonly suspicionsPerCluster: number;
  /** Spans of one lane of the timeline. */
  readonly spansPerLane: number;
  /** How far back the timeline goes. */
  readonly timelineMs: number;
  /** For how long a node is shown that no longer answers. */
  readonly absentMs: number;
  readonly membersPerGroup: number;
  /** A group with more shows their number, and no grid. */
  readonly resourcesPerGroup: number;
  /** Keys in the buckets of all groups together. A group that would exceed it is not read. */
  readonly groupKeys: number;
  readonly changesPerGroup: number;
  readonly findings: number;
}

export const LIMITS: Limits = {
  clusters: 100,
  groups: 40,
  nodesPerCluster: 60,
  termsPerCluster: 40,
  suspicionsPerCluster: 40,
  spansPerLane: 80,
  timelineMs: 15 * 60_000,
  absentMs: 10 * 60_000,
  membersPerGroup: 200,
  resourcesPerGroup: 20_000,
  groupKeys: 200_000,
  changesPerGroup: 40,
  findings: 60,
};
