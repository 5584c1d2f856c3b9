/** What is known of one cluster, and what the page shows of it. Pure: (state, event, now) -> state, and state -> cards. */
import type { LeaseRecord } from "../../election/types.ts";
import type { NodeRow } from "../../manager/cluster-nodes.ts";
import type { History } from "../../manager/history-reader.ts";
import { leaseHealthOf } from "../../manager/lease-health.ts";
import { extended, sinceOf, withPastTerm } from "./lanes.ts";
import { LIMITS } from "./limits.ts";
import { begun, over, renewed, type SeenTerm, termCards, withHistory } from "./terms.ts";
import type {
  ClusterCard,
  LaneSpan,
  LaneState,
  LeaseCard,
  NodeCard,
  PastView,
  Phase,
  SuspicionCard,
} from "./types.ts";

export type ClusterEvent =
  /** A record was seen; of a read, with its age. Renewals are records, too. */
  | { readonly type: "record"; readonly record: LeaseRecord; readonly ageMs: number; readonly ttlMs: number }
  /** The key has no record of a leader. */
  | {
      readonly type: "ended";
      readonly phase: Exclude<Phase, "led" | "unread">;
      readonly successor: string | null;
      readonly problem: string | null;
    }
  | { readonly type: "unreadable"; readonly problem: string }
  /** The nodes have answered. `askedAt`: before the first question. */
  | { readonly type: "nodes"; readonly askedAt: number; readonly rows: readonly NodeRow[] }
  | { readonly type: "nodes-failed"; readonly problem: string }
  | { readonly type: "history"; readonly history: History };

interface KnownNode {
  readonly id: string;
  readonly tint: number;
  readonly lane: readonly LaneSpan[];
  /** `null`: it has not answered yet. */
  readonly row: NodeRow | null;
  readonly shared: boolean;
  /** Its last answer, or the last record that named it. */
  readonly seenAt: number;
}

export interface ClusterState {
  readonly id: string;
  readonly phase: Phase;
  readonly phaseSince: number | null;
  readonly record: LeaseRecord | null;
  readonly epoch: number;
  readonly lease: LeaseCard | null;
  readonly successor: string | null;
  readonly problem: string | null;
  readonly nodes: ReadonlyMap<string, KnownNode>;
  readonly nodesLeftOut: number;
  readonly asked: boolean;
  readonly nodesProblem: string | null;
  readonly terms: readonly SeenTerm[];
  readonly recorded: boolean | null;
  readonly suspicions: readonly SuspicionCard[];
  /** When another node began to lead, or none. Answers to questions from before do not decide who leads. */
  readonly changedAt: number;
  readonly nextTint: number;
}

export function initialCluster(id: string): ClusterState {
  return {
    id,
    phase: "unread",
    phaseSince: null,
    record: null,
    epoch: 0,
    lease: null,
    successor: null,
    problem: null,
    nodes: new Map(),
    nodesLeftOut: 0,
    asked: false,
    nodesProblem: null,
    terms: [],
    recorded: null,
    suspicions: [],
    changedAt: 0,
    nextTint: 0,
  };
}

export function stepCluster(state: ClusterState, event: ClusterEvent, now: number): ClusterState {
  switch (event.type) {
    case "record":
      return onRecord(state, event.record, now - event.ageMs, event.ttlMs, now);
    case "ended":
      return onEnded(state, event, now);
    case "unreadable":
      return { ...state, problem: event.problem };
    case "nodes":
      return onNodes(state, event.rows, event.askedAt, now);
    case "nodes-failed":
      return { ...state, nodesProblem: event.problem };
    case "history":
      return onHistory(state, event.history, now);
    default:
      return event satisfies never;
  }
}

function onRecord(
  state: ClusterState,
  record: LeaseRecord,
  renewedAt: number,
  ttlMs: number,
  now: number,
): ClusterState {
  const { nodeId, epoch, acquiredAt, incarnation } = record;
  const lease = { renewedAt, ttlMs };
  const same =
    state.phase === "led" &&
    state.record?.nodeId === nodeId &&
    state.record.epoch === epoch &&
    state.record.incarnation === incarnation;
  const base = { ...state, record, lease, epoch, problem: null };
  if (same) return { ...base, terms: renewed(state.terms, renewedAt) };
  const former = state.phase === "led" ? (state.record?.nodeId ?? null) : null;
  let next: ClusterState = {
    ...base,
    phase: "led",
    phaseSince: acquiredAt,
    successor: null,
    changedAt: now,
    terms: begun(state.terms, { node: nodeId, epoch, from: acquiredAt }, renewedAt),
  };
  // Until it has answered, the former leader counts as gone: it was replaced without a release.
  if (former !== null && former !== nodeId) next = withLane(next, former, "absent", now);
  // A read shows a term that began earlier; the times of holders are of other clocks.
  const from = state.phase === "unread" ? Math.min(now, Math.max(acquiredAt, now - LIMITS.timelineMs)) : now;
  return withLane(next, nodeId, "leading", from, now);
}

function onEnded(
  state: ClusterState,
  { phase, successor, problem }: Extract<ClusterEvent, { type: "ended" }>,
  now: number,
): ClusterState {
  const { record } = state;
  const led = state.phase === "led";
  const next: ClusterState = {
    ...state,
    phase,
    phaseSince: state.phase === phase ? state.phaseSince : now,
    record: null,
    lease: null,
    successor,
    problem,
    changedAt: now,
    terms: led ? over(state.terms, { at: now, why: phase, atMost: false, to: successor }) : state.terms,
  };
  if (!led || record === null) return next;
  return withLane(next, record.nodeId, phase === "expired" ? "absent" : "following", now);
}

/** Puts recorded terms on the timeline, also those from before the page watched. A node that is gone is shown for `absentMs` after its last term. */
function onHistory(state: ClusterState, { recorded, terms }: History, now: number): ClusterState {
  let next: ClusterState = { ...state, recorded, terms: withHistory(state.terms, terms) };
  // Newest first: each is put before what is known.
  for (const { node: id, from, until } of [...next.terms].reverse()) {
    if (from === null || until === null || now - until > LIMITS.absentMs) continue;
    if (!next.nodes.has(id)) next = withLane(next, id, "absent", now, until);
    const node = next.nodes.get(id);
    if (node === undefined) continue;
    const lane = withPastTerm(node.lane, from, until, now);
    if (lane !== node.lane) next = { ...next, nodes: new Map(next.nodes).set(id, { ...node, lane }) };
  }
  return next;
}

/** A node that is not known yet is added, unless there are too many. */
function withLane(
  state: ClusterState,
  id: string,
  lane: LaneState,
  from: number,
  seenAt: number = from,
): ClusterState {
  const known = state.nodes.get(id);
  if (known === undefined && state.nodes.size >= LIMITS.nodesPerCluster) return state;
  const node = known ?? { id, tint: state.nextTint, lane: [], row: null, shared: false, seenAt };
  const nodes = new Map(state.nodes);
  nodes.set(id, { ...node, lane: extended(node.lane, lane, from), seenAt });
  return { ...state, nodes, nextTint: state.nextTint + (known === undefined ? 1 : 0) };
}

function onNodes(state: ClusterState, rows: readonly NodeRow[], askedAt: number, now: number): ClusterState {
  // Of two processes with one node id, the one that leads is shown.
  const byId = new Map<string, NodeRow>();
  for (const row of rows) {
    const other = byId.get(row.nodeId);
    if (other === undefined || (row.leads && !other.leads)) byId.set(row.nodeId, row);
  }
  const nodes = new Map<string, KnownNode>();
  const isLate = askedAt < state.changedAt;
  for (const node of state.nodes.values()) {
    const row = byId.get(node.id) ?? null;
    if (row !== null) continue;
    const leads = leaderOf(state) === node.id;
    // A node that began to lead after the questions were sent may be missing from the answers: it is not absent.
    const absent = !leads && !isLate;
    if (absent && now - node.seenAt > LIMITS.absentMs) continue;
    const lane = absent ? extended(node.lane, "absent", now) : node.lane;
    nodes.set(node.id, { ...node, lane, row: null, shared: false });
  }
  const suspicions = [...newSuspicions(state, byId, now), ...state.suspicions];
  let { nextTint } = state;
  let leftOut = 0;
  for (const [id, row] of byId) {
    const known = state.nodes.get(id);
    if (known === undefined && nodes.size >= LIMITS.nodesPerCluster) {
      leftOut += 1;
      continue;
    }
    const node = known ?? { id, tint: nextTint++, lane: [], seenAt: now };
    const lane = laneStateOf(row, leaderOf(state) === id);
    // What was asked before the leader changed is not known to be true since.
    const decides = !isLate || known === undefined;
    nodes.set(id, {
      ...node,
      lane: decides ? extended(node.lane, lane, now) : node.lane,
      row,
      shared: rows.filter(({ nodeId }) => nodeId === id).length > 1,
      seenAt: row.instance === null ? node.seenAt : now,
    });
  }
  return {
    ...state,
    nodes,
    nodesLeftOut: leftOut,
    asked: true,
    nodesProblem: null,
    nextTint,
    suspicions: suspicions.slice(0, LIMITS.suspicionsPerCluster),
  };
}

/** What the counts of a process have grown by since it was asked last. */
function newSuspicions(
  { nodes }: ClusterState,
  rows: ReadonlyMap<string, NodeRow>,
  at: number,
): SuspicionCard[] {
  return [...rows].flatMap(([node, { suspicions, instance }]) => {
    const before = nodes.get(node)?.row;
    if (suspicions === null || before?.suspicions == null || before.instance !== instance) return [];
    return Object.entries(suspicions).flatMap(([outcome, total]) => {
      const count = total - (before.suspicions?.[outcome] ?? 0);
      return count > 0 ? [{ node, at, outcome, count }] : [];
    });
  });
}

function leaderOf({ phase, record }: ClusterState): string | null {
  return phase === "led" ? (record?.nodeId ?? null) : null;
}

function laneStateOf({ state, role, competes, instance }: NodeRow, leads: boolean): LaneState {
  if (state === "suspended" || state === "draining") return state;
  if (leads) return "leading";
  if (instance === null || role === "UNKNOWN") return instance === null ? "absent" : "silent";
  return competes === false ? "observing" : "following";
}

export function clusterCard(state: ClusterState): ClusterCard {
  const { id, phase, phaseSince, record, epoch, successor, problem, nodesLeftOut, asked, nodesProblem } =
    state;
  const leader = leaderOf(state);
  return {
    id,
    phase,
    phaseSince,
    leader,
    epoch,
    since: leader === null ? null : (record?.acquiredAt ?? null),
    successor,
    silenceMs: record?.session?.silence?.ms ?? null,
    problem,
    nodes: [...state.nodes.values()].map((node) => nodeCard(node, leader)).sort(byId),
    nodesLeftOut,
    asked,
    nodesProblem,
  };
}

function byId(a: NodeCard, b: NodeCard): number {
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

function nodeCard({ id, tint, lane, row, shared, seenAt }: KnownNode, leader: string | null): NodeCard {
  const state = lane.at(-1)?.[0] ?? "absent";
  const leads = leader === id;
  return {
    id,
    instance: row?.instance ?? null,
    tint,
    state,
    stateSince: sinceOf(lane) ?? seenAt,
    leads,
    ...whyNot(state, row, seenAt),
    shared,
    version: row?.version ?? null,
    roundTripMs: row?.roundTripMs ?? null,
    startedAt: row?.uptimeMs == null ? null : Math.round((seenAt - row.uptimeMs) / 1000) * 1000,
    presence: row?.presence ?? null,
    crashDetection: row?.crashDetection ?? null,
    silenceMs: row?.silenceMs ?? null,
    leaseTtlMs: row?.leaseTtlMs ?? null,
    health: leaseHealthOf(row),
    lane,
  };
}

function whyNot(
  state: LaneState,
  row: NodeRow | null,
  shownAt: number,
): Pick<NodeCard, "whyNot" | "whyNotUntil"> {
  if (state === "leading") return { whyNot: null, whyNotUntil: null };
  if (state !== "following" && state !== "observing") return { whyNot: state, whyNotUntil: null };
  const standby = row?.standby ?? (state === "observing" ? "withdrawn" : null);
  const untilMs = row?.standbyMs ?? null;
  // Rounded, so that an answer that repeats it is no change.
  const whyNotUntil = untilMs === null ? null : Math.round((shownAt + untilMs) / 500) * 500;
  return { whyNot: standby, whyNotUntil };
}

export function pastView({ terms, recorded, suspicions }: ClusterState): PastView {
  return { terms: termCards(terms), truncated: terms.length > LIMITS.termsPerCluster, recorded, suspicions };
}
