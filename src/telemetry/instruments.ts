/**
 * The one table of all metrics. Every sink makes its instruments from it, and docs/telemetry.md is generated from it. A series has the labels
 * `cluster` or `group` and `node`, and at most one more, whose values are a closed set: their number does not grow with epochs,
 * incarnations or resources.
 */
import { HOOK_NAMES } from "../application/types.ts";
import { FENCED_WRITE_RESULTS, RENEWAL_RESULTS, SUSPICION_OUTCOMES } from "../channels/sets.ts";
import type { LossReason } from "../election/types.ts";
import { type DisownReason, GROUP_HOOK_NAMES } from "../group/application/types.ts";

export type SourceKind = "node" | "group";

export interface Instrument {
  readonly kind: "counter" | "gauge" | "histogram";
  /** Read when metrics are collected. The others change with what is published on the channels. */
  readonly pulled?: true;
  readonly unit?: "seconds";
  readonly help: string;
  /** Which sources have it. */
  readonly of: readonly SourceKind[];
  /** A label besides those of the source, with all its values. */
  readonly label?: {
    readonly name: string;
    readonly values: Readonly<Partial<Record<SourceKind, readonly string[]>>>;
  };
  /** Upper bounds of a histogram, in its unit. */
  readonly buckets?: readonly number[];
}

const LOSS_REASONS = [
  "released",
  "expired",
  "superseded",
  "deleted",
  "hook-failed",
  "stopped",
] as const satisfies readonly LossReason[];
true satisfies LossReason extends (typeof LOSS_REASONS)[number] ? true : never;

const MOVE_REASONS = [
  "claimed",
  "moved",
  "draining",
  "unlisted",
  "refused",
  "stopped",
  "expired",
  "fenced",
  "deleted",
  "superseded",
] as const satisfies readonly (DisownReason | "claimed")[];
true satisfies DisownReason extends (typeof MOVE_REASONS)[number] ? true : never;

const NODE: readonly SourceKind[] = ["node"];
const GROUP: readonly SourceKind[] = ["group"];
const BOTH: readonly SourceKind[] = ["node", "group"];

const same = (
  values: readonly string[],
): { readonly node: readonly string[]; readonly group: readonly string[] } => ({
  node: values,
  group: values,
});

/** A request within a region, up to the longest timeout. */
const REQUEST = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
/** Application code, and waits that end with a lease. */
const WORK = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
/** From a failed start to months. */
const TERM = [1, 10, 60, 600, 3_600, 21_600, 86_400, 604_800, 2_592_000];

export type CounterName =
  | "leader_changes_total"
  | "terms_total"
  | "renewals_total"
  | "suspensions_total"
  | "suspicions_total"
  | "drain_timeouts_total"
  | "fenced_writes_total"
  | "moves_total";

export type HistogramName =
  | "term_duration_seconds"
  | "vacancy_seconds"
  | "renewal_duration_seconds"
  | "beat_rtt_seconds"
  | "hook_duration_seconds"
  | "drain_duration_seconds";

/** Read when metrics are collected. */
export type PulledName =
  | "running"
  | "is_leader"
  | "has_leader"
  | "epoch"
  | "lease_margin_seconds"
  | "suspended_seconds_total"
  | "presence"
  | "resources_owned"
  | "resources_unowned";

export type InstrumentName = CounterName | HistogramName | PulledName;

type Table = {
  readonly [_ in CounterName]: Instrument & { readonly kind: "counter"; readonly pulled?: never };
} & {
  readonly [_ in HistogramName]: Instrument & {
    readonly kind: "histogram";
    readonly buckets: readonly number[];
  };
} & { readonly [_ in PulledName]: Instrument & { readonly pulled: true } };

export const INSTRUMENTS: Table = {
  running: {
    kind: "gauge",
    pulled: true,
    help: "1 from the time at which this node or member has connected after its start, until it has stopped.",
    of: BOTH,
  },
  is_leader: {
    kind: "gauge",
    pulled: true,
    help: "1 if this node may act as the leader at this moment. Compares clocks when it is read.",
    of: NODE,
  },
  has_leader: {
    kind: "gauge",
    pulled: true,
    help: "1 if this node sees a leader, itself or another node.",
    of: NODE,
  },
  epoch: {
    kind: "gauge",
    pulled: true,
    help: "Epoch of the leader that this node sees, or of the last one that it saw since its start; 0 if it has seen none.",
    of: NODE,
  },
  leader_changes_total: {
    kind: "counter",
    help: "Terms that this node has seen begin, its own included, except for the first one that it sees.",
    of: NODE,
  },
  terms_total: {
    kind: "counter",
    help: "Terms of this node that have ended, by the reason.",
    of: NODE,
    label: { name: "reason", values: { node: LOSS_REASONS } },
  },
  term_duration_seconds: {
    kind: "histogram",
    unit: "seconds",
    help: "Length of the terms of this node, from their begin until they ended or were given up.",
    of: NODE,
    buckets: TERM,
  },
  vacancy_seconds: {
    kind: "histogram",
    unit: "seconds",
    help: "Time without a leader, as this node saw it: from a confirmed suspicion, a release or an expiry to the next leader.",
    of: NODE,
    buckets: WORK,
  },
  renewals_total: {
    kind: "counter",
    help: "Renewals of the lease of this node or member, by their result.",
    of: BOTH,
    label: { name: "result", values: same(RENEWAL_RESULTS) },
  },
  renewal_duration_seconds: {
    kind: "histogram",
    unit: "seconds",
    help: "Time from the send of a renewal to its answer, or to its timeout.",
    of: BOTH,
    buckets: REQUEST,
  },
  lease_margin_seconds: {
    kind: "gauge",
    pulled: true,
    unit: "seconds",
    help: "Least time to the deadline of the lease in the last minute. No series while there was no lease in that time; with OpenTelemetry, after an earlier lease, the length of the lease.",
    of: BOTH,
  },
  suspensions_total: {
    kind: "counter",
    help: "How often a term, or the session of a member, was suspended.",
    of: BOTH,
  },
  suspended_seconds_total: {
    kind: "counter",
    pulled: true,
    unit: "seconds",
    help: "Time in which a term, or the session of a member, was suspended, the present suspension included.",
    of: BOTH,
  },
  suspicions_total: {
    kind: "counter",
    help: "Suspicions of this node or member that the holder of a lease is gone, by their outcome.",
    of: BOTH,
    label: { name: "outcome", values: same(SUSPICION_OUTCOMES) },
  },
  presence: {
    kind: "gauge",
    pulled: true,
    help: "1 if the other nodes notice at once that this connection ends. No series where the configuration needs no presence.",
    of: BOTH,
  },
  beat_rtt_seconds: {
    kind: "histogram",
    unit: "seconds",
    help: "Round trip of a beat through the server of this connection. Beats are sent while a lease that promises silence is held.",
    of: BOTH,
    buckets: REQUEST,
  },
  hook_duration_seconds: {
    kind: "histogram",
    unit: "seconds",
    help: "Time that a hook of the application took, by the hook.",
    of: BOTH,
    label: { name: "hook", values: { node: HOOK_NAMES, group: GROUP_HOOK_NAMES } },
    buckets: WORK,
  },
  drain_duration_seconds: {
    kind: "histogram",
    unit: "seconds",
    help: "Time from giving up a term until its lease was deleted, or its resource released.",
    of: BOTH,
    buckets: WORK,
  },
  drain_timeouts_total: {
    kind: "counter",
    help: "Drains whose hooks or work had not ended in time.",
    of: BOTH,
  },
  fenced_writes_total: {
    kind: "counter",
    help: "Writes behind a fence in the terms of this node or member, by their result.",
    of: BOTH,
    label: { name: "result", values: same(FENCED_WRITE_RESULTS) },
  },
  resources_owned: {
    kind: "gauge",
    pulled: true,
    help: "Resources that this member owns.",
    of: GROUP,
  },
  resources_unowned: {
    kind: "gauge",
    pulled: true,
    help: "Resources on the list of this member that no member owns, as far as it knows. No series while it does not run.",
    of: GROUP,
  },
  moves_total: {
    kind: "counter",
    help: "Resources that this member has claimed, and has lost or begun to give up, by the reason.",
    of: GROUP,
    label: { name: "reason", values: { group: MOVE_REASONS } },
  },
};

/** In front of every name. */
export const PREFIX: string = "nats_leader_";

/** All instruments, by name. */
export const instruments: readonly (readonly [InstrumentName, Instrument])[] = Object.entries(
  INSTRUMENTS,
) as [InstrumentName, Instrument][];
