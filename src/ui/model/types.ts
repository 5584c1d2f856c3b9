/** What the page shows, as JSON. Times are Unix milliseconds by the clock of the process that serves the page. Types only. */
import type { Severity } from "../../doctor/findings/finding.ts";
import type { LeaseHealth } from "../../manager/lease-health.ts";
import type { Standby } from "../../runtime/backend.ts";

/** The connection, and what was found with it. Key `account`. */
export interface AccountView {
  /** Version of this program. */
  readonly version: string;
  readonly connected: boolean;
  /** Since when there is no connection. */
  readonly outSince: number | null;
  /** Why there is none, or why the clusters cannot be listed. */
  readonly problem: string | null;
  /** The server that this program is connected to. */
  readonly server: string | null;
  readonly serverVersion: string | null;
  /** Whether clusters and groups have been listed once. */
  readonly listed: boolean;
  readonly clusters: number;
  readonly groups: number;
  /** Beyond the limits. */
  readonly clustersLeftOut: number;
  readonly groupsLeftOut: number;
  /** Whether the page may change something. */
  readonly control: boolean;
}

/**
 * - `led`: a record exists and has not expired.
 * - `released`: the leader gave it up; the next one has not begun.
 * - `expired`: not renewed for its whole TTL.
 * - `deleted`: an operator has deleted it, or the bucket.
 * - `garbage`: the key holds something else.
 * - `vacant`: there has never been a leader.
 * - `unread`: it has not been read yet.
 */
export type Phase = "led" | "released" | "expired" | "deleted" | "garbage" | "vacant" | "unread";

/** Key `cluster/ID`. */
export interface ClusterCard {
  readonly id: string;
  readonly phase: Phase;
  /** Since when it is in this phase; `null`: that was not seen. */
  readonly phaseSince: number | null;
  /** `null` unless it is led. */
  readonly leader: string | null;
  /** Of the leader, or of the last one; 0: not known. */
  readonly epoch: number;
  /** When the leader's term began, as it wrote it. */
  readonly since: number | null;
  /** The node that a release has named. */
  readonly successor: string | null;
  /** Silence after which the leader may be replaced, as its record promises; `null`: it promises none. */
  readonly silenceMs: number | null;
  /** Why the lease cannot be read, or what is in its key. */
  readonly problem: string | null;
  readonly nodes: readonly NodeCard[];
  readonly nodesLeftOut: number;
  /** Whether the nodes have answered once. */
  readonly asked: boolean;
  /** Why they could not be asked. */
  readonly nodesProblem: string | null;
}

/** Key `lease/ID`: changes at each renewal. */
export interface LeaseCard {
  readonly renewedAt: number;
  readonly ttlMs: number;
}

/**
 * What a lane shows. `following`: it may lead. `observing`: it does not compete. `silent`: it is connected and does not answer.
 * `absent`: no process has this node id.
 */
export type LaneState =
  | "leading"
  | "suspended"
  | "draining"
  | "following"
  | "observing"
  | "silent"
  | "absent";

/** `until` is `null` for the last one. */
export type LaneSpan = readonly [state: LaneState, from: number, until: number | null];

/** Why a node does not lead, or would not campaign. */
export type WhyNot = Standby | "suspended" | "draining" | "silent" | "absent";

export interface NodeCard {
  readonly id: string;
  /** Id of the process's service; `null`: none answers. */
  readonly instance: string | null;
  /** Index of its colour; stays with it. */
  readonly tint: number;
  readonly state: LaneState;
  /** Since when, as far as it was seen. */
  readonly stateSince: number;
  readonly leads: boolean;
  readonly whyNot: WhyNot | null;
  /** When a cooldown or a pause ends. */
  readonly whyNotUntil: number | null;
  /** Two processes have this node id. */
  readonly shared: boolean;
  readonly version: string | null;
  readonly roundTripMs: number | null;
  readonly startedAt: number | null;
  readonly presence: string | null;
  readonly crashDetection: string | null;
  readonly silenceMs: number | null;
  readonly leaseTtlMs: number | null;
  readonly health: LeaseHealth;
  readonly lane: readonly LaneSpan[];
}

/** Key `cluster/ID/past`, only for a viewer of this cluster. */
export interface PastView {
  /** Newest first. */
  readonly terms: readonly TermCard[];
  /** Earlier ones exist. */
  readonly truncated: boolean;
  /** Whether the nodes record their terms; `null`: not known yet. Without it, the terms are those that were seen from here. */
  readonly recorded: boolean | null;
  /** Those that were seen, newest first. */
  readonly suspicions: readonly SuspicionCard[];
}

export interface TermCard {
  readonly node: string;
  readonly epoch: number;
  readonly from: number | null;
  /** `null`: it runs. */
  readonly until: number | null;
  /** Loss reason, or `replaced`: another record replaced it. `null`: it runs. */
  readonly why: string | null;
  /** The successor that its release named. */
  readonly to: string | null;
  /** Time without a leader before it; `null`: not known. */
  readonly vacancyMs: number | null;
  /** `vacancyMs` is an upper bound. */
  readonly vacancyAtMost: boolean;
}

/** A node has suspected a leader, as its counts show: some time before `at`. */
export interface SuspicionCard {
  readonly node: string;
  readonly at: number;
  readonly outcome: string;
  readonly count: number;
}

/** Key `group/ID`. */
export interface GroupCard {
  readonly id: string;
  /** Why it cannot be read. */
  readonly problem: string | null;
  readonly coordinator: string | null;
  readonly planRevision: number | null;
  readonly resources: number;
  readonly owned: number;
  readonly moving: number;
  readonly unowned: number;
  readonly members: readonly MemberCard[];
  readonly membersLeftOut: number;
  /** Why there is no grid. */
  readonly gridLeftOut: string | null;
}

export interface MemberCard {
  readonly id: string;
  readonly tint: number;
  readonly state: "live" | "draining" | "late" | "gone";
  readonly session: number;
  readonly coordinates: boolean;
  readonly weight: number;
  readonly zone: string | null;
  readonly maxOwned: number | null;
  readonly owns: number;
  readonly planned: number | null;
  readonly refuses: readonly string[];
  readonly presence: boolean;
  readonly ttlMs: number;
}

/** Key `renewals/ID`: when each member has renewed its session, in the order of `members`. */
export type RenewalsCard = readonly number[];

/** One cell of the grid. `owner` and `target` are tints of members, -1: none. `since`: `null`: never owned, or not known. */
export type GridCell = readonly [
  resource: string,
  state: "owned" | "moving" | "unowned" | "unknown",
  owner: number,
  epoch: number,
  target: number,
  since: number | null,
  why: string | null,
];

/** Key `group/ID/grid/N`, only for a viewer of this group: the cells from `N * GRID_CHUNK` on. */
export type GridChunk = readonly GridCell[];

/** Key `group/ID/changes`, only for a viewer of this group. Newest first. */
export type ChangesView = readonly GroupChangeCard[];

/** Equal changes of one moment are one entry with a count. */
export interface GroupChangeCard {
  readonly at: number;
  readonly what: "resource" | "coordinator" | "session" | "plan";
  readonly change: string;
  readonly member: string | null;
  readonly from: string | null;
  readonly reason: string | null;
  readonly by: string | null;
  readonly count: number;
  /** The first ones, at most three. */
  readonly resources: readonly string[];
}

/** Key `doctor`. */
export interface DoctorView {
  /** Most severe first. */
  readonly findings: readonly FindingCard[];
  readonly leftOut: number;
  /** When the last examination ended; `null`: none has. */
  readonly examinedAt: number | null;
  /** Number of clusters and groups that have been examined. */
  readonly examined: number;
  readonly problem: string | null;
}

export interface FindingCard {
  /** What was examined: `cluster/ID` or `group/ID`. Several: the finding is about what they share. */
  readonly subjects: readonly string[];
  readonly severity: Severity;
  readonly code: string;
  readonly where: string;
  readonly what: string;
  readonly todo: string;
}

/** One message of the event stream. The page takes over what is in `set`, and forgets `gone`; with `full` it forgets everything before. */
export interface Update {
  readonly now: number;
  readonly full: boolean;
  readonly set: Readonly<Record<string, unknown>>;
  readonly gone: readonly string[];
}

/** Number of cells of one chunk of a grid. */
export const GRID_CHUNK = 200;

/** The body of a request to `control`. */
export type ControlRequest =
  | {
      readonly action: "step-down";
      readonly cluster: string;
      readonly node: string;
      readonly confirm: string;
    }
  | {
      readonly action: "handover";
      readonly cluster: string;
      readonly node: string;
      readonly confirm: string;
    }
  | {
      readonly action: "drain" | "rejoin";
      readonly group: string;
      readonly member: string;
      readonly confirm: string;
    };

export type ControlAnswer =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly error: string };
