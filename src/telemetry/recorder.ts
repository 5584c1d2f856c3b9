/**
 * Counts what observed nodes and members publish, and reads their facts: the part of telemetry that all sinks share.
 *
 * Two sources of one process that have the same labels are two sets of series: the second one has the label `twin`, from "2" on. A source that
 * does not run any more gives its series to the next one with its labels, so that a node that is made again goes on counting.
 */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { ChannelEvents, ChannelName, FencedWriteEvent } from "../channels/events.ts";
import { type Source, sourceOf } from "../channels/source.ts";
import type { Leader } from "../election/types.ts";
import { ClusterError } from "../errors.ts";
import {
  type CounterName,
  type HistogramName,
  type Instrument,
  type InstrumentName,
  instruments,
} from "./instruments.ts";
import type { Labels, MetricSink, Reading } from "./sink.ts";

/** The series of one source. */
interface Series {
  source: Source;
  readonly labels: Labels;
  /** Of the present run of the source, and of the one before: fenced writes name nothing else. */
  incarnations: readonly string[];
  /** The last leader that it has seen, from this source or an earlier one. */
  leader: Leader | null;
  /** Of suspensions that have ended. */
  suspendedMs: number;
}

/**
 * The source of a `Node` or `Group`.
 *
 * @throws ClusterError `INVALID_CONFIG` for anything else.
 */
export function observable(owner: object): Source {
  const source = sourceOf(owner);
  if (source !== undefined) return source;
  throw new ClusterError(
    "INVALID_CONFIG",
    "only a Node of nats-leader or a Group of nats-leader/group can be observed, made by the same installation of the package",
  );
}

type Listener = readonly [ChannelName, (message: unknown) => void];

export class Recorder {
  readonly #sink: MetricSink;
  readonly #listeners: readonly Listener[];
  readonly #series: Series[] = [];
  readonly #bySource = new Map<Source, Series>();
  /** How often a source is observed. */
  readonly #observed = new WeakMap<Source, number>();
  #isWarned = false;

  constructor(sink: MetricSink) {
    this.#sink = sink;
    this.#listeners = [
      this.#on("tracing:nats-leader:term:end", ({ reason = "", durationMs = 0 }, series) => {
        if (series.source.kind !== "node") return;
        this.#add("terms_total", series, reason);
        this.#record("term_duration_seconds", series, durationMs);
      }),
      this.#on("nats-leader:leader", ({ leader, vacancyMs }, series) => {
        if (vacancyMs !== null) this.#record("vacancy_seconds", series, vacancyMs);
        if (leader === null) return;
        if (series.leader !== null && !isSameTerm(series.leader, leader))
          this.#add("leader_changes_total", series);
        series.leader = leader;
      }),
      this.#on("nats-leader:renewal", ({ result, durationMs }, series) => {
        this.#add("renewals_total", series, result);
        this.#record("renewal_duration_seconds", series, durationMs);
      }),
      this.#on("nats-leader:suspended", (_, series) => this.#add("suspensions_total", series)),
      this.#on("nats-leader:resumed", ({ durationMs }, series) => {
        series.suspendedMs += durationMs;
      }),
      this.#on("nats-leader:suspicion", ({ outcome }, series) =>
        this.#add("suspicions_total", series, outcome),
      ),
      this.#on("nats-leader:beat", ({ roundTripMs }, series) =>
        this.#record("beat_rtt_seconds", series, roundTripMs),
      ),
      this.#on("nats-leader:hook", ({ hook, durationMs }, series) =>
        this.#record("hook_duration_seconds", series, durationMs, hook),
      ),
      this.#on("nats-leader:drain", ({ outcome, durationMs }, series) => {
        this.#record("drain_duration_seconds", series, durationMs);
        if (outcome === "timed-out") this.#add("drain_timeouts_total", series);
      }),
      this.#on("nats-leader:move", ({ reason }, series) => this.#add("moves_total", series, reason)),
      [
        "nats-leader:fenced-write",
        (message) =>
          this.#guarded(() => {
            const { term, result } = message as FencedWriteEvent;
            for (const series of this.#series)
              if (series.incarnations.includes(term.incarnation))
                this.#add("fenced_writes_total", series, result);
          }),
      ],
    ];
  }

  /**
   * Counts what this `Node` or `Group` does from now on. Returns the end of that, which is idempotent: its series are over then.
   *
   * @throws ClusterError `INVALID_CONFIG` for anything else.
   */
  observe(owner: object): () => void {
    const source = observable(owner);
    if (this.#series.length === 0) for (const [name, listener] of this.#listeners) subscribe(name, listener);
    this.#observed.set(source, (this.#observed.get(source) ?? 0) + 1);
    if (!this.#bySource.has(source)) this.#give(source);
    let isOver = false;
    return () => {
      if (!isOver) this.#forget(source);
      isOver = true;
    };
  }

  #forget(source: Source): void {
    const times = (this.#observed.get(source) ?? 1) - 1;
    if (times > 0) return void this.#observed.set(source, times);
    this.#observed.delete(source);
    const series = this.#bySource.get(source);
    if (series === undefined) return;
    this.#bySource.delete(source);
    this.#series.splice(this.#series.indexOf(series), 1);
    this.#eachPushed(series, (name, labels) => this.#guarded(() => this.#sink.end(name, labels)));
    this.#guarded(() => this.#sink.endReadings?.(readingsOf(series)));
    if (this.#series.length > 0) return;
    for (const [name, listener] of this.#listeners) unsubscribe(name, listener);
  }

  /** The present values of what is read when metrics are collected. */
  readings(): Reading[] {
    return this.#series.flatMap(readingsOf);
  }

  // ------------------------------------------------------------------------------------------ series

  /** `null`: another source has its series, and it does not run. */
  #seriesOf(source: Source): Series | null {
    return this.#bySource.get(source) ?? (source.read().running ? this.#give(source) : null);
  }

  #give(source: Source): Series {
    const series = this.#taken(source) ?? this.#begun(source);
    const { incarnation } = source.read();
    if (incarnation !== null) noteIncarnation(series, incarnation);
    this.#bySource.set(source, series);
    return series;
  }

  /**
   * The series of an earlier source with the same labels that does not run any more. It gets others, should it be started again. A source that
   * has never run keeps its series from another one that does not run either.
   */
  #taken(source: Source): Series | null {
    const isFree = ({ source: earlier, incarnations }: Series): boolean =>
      !earlier.read().running && (incarnations.length > 0 || source.read().running);
    const series = this.#series.find((one) => isAlike(one.source, source) && isFree(one));
    if (series === undefined) return null;
    this.#bySource.delete(series.source);
    series.source = source;
    return series;
  }

  #begun(source: Source): Series {
    const alike = this.#series
      .filter((one) => isAlike(one.source, source))
      .map(({ labels }) => labels["twin"] ?? "1");
    let number = 1;
    while (alike.includes(String(number))) number += 1;
    const labels = { ...labelsOf(source), ...(number === 1 ? {} : { twin: String(number) }) };
    const series: Series = { source, labels, incarnations: [], leader: null, suspendedMs: 0 };
    this.#series.push(series);
    this.#eachPushed(series, (name, all) => this.#guarded(() => this.#sink.begin(name, all)));
    return series;
  }

  #eachPushed(
    { source, labels }: Series,
    act: (name: CounterName | HistogramName, labels: Labels) => void,
  ): void {
    for (const [name, instrument] of instruments) {
      if (instrument.pulled === true || !instrument.of.includes(source.kind)) continue;
      for (const own of ownLabels(instrument, source))
        act(name as CounterName | HistogramName, { ...labels, ...own });
    }
  }

  // ------------------------------------------------------------------------------------------ events

  #on<N extends Exclude<ChannelName, "nats-leader:fenced-write">>(
    name: N,
    handle: (event: ChannelEvents[N], series: Series) => void,
  ): Listener {
    return [
      name,
      (message) =>
        this.#guarded(() => {
          const event = message as ChannelEvents[N];
          const { source, incarnation } = event;
          if (!this.#observed.has(source)) return;
          const series = this.#seriesOf(source);
          if (series === null) return;
          noteIncarnation(series, incarnation);
          handle(event, series);
        }),
    ];
  }

  #add(name: CounterName, { labels }: Series, value?: string): void {
    this.#sink.add(name, withOwn(name, labels, value), 1);
  }

  #record(name: HistogramName, { labels }: Series, ms: number, value?: string): void {
    this.#sink.record(name, withOwn(name, labels, value), ms / 1_000);
  }

  /** The node must not be harmed by what its metrics go to: an exception in a subscriber would end the process. */
  #guarded(act: () => void): void {
    try {
      act();
    } catch (error) {
      if (this.#isWarned) return;
      this.#isWarned = true;
      process.emitWarning(`metrics of nats-leader are incomplete: ${String(error)}`);
    }
  }
}

const labelName = new Map(instruments.map(([name, { label }]) => [name, label?.name]));

function withOwn(name: InstrumentName, labels: Labels, value: string | undefined): Labels {
  const own = labelName.get(name);
  return own === undefined || value === undefined ? labels : { ...labels, [own]: value };
}

/** One for each value of the label that the instrument has besides those of the source. */
function ownLabels({ label }: Instrument, { kind }: Source): readonly Labels[] {
  if (label === undefined) return [{}];
  return (label.values[kind] ?? []).map((value) => ({ [label.name]: value }));
}

function labelsOf(source: Source): Labels {
  return source.kind === "node"
    ? { cluster: source.clusterId, node: source.nodeId }
    : { group: source.groupId, node: source.memberId };
}

function isAlike(a: Source, b: Source): boolean {
  const [of, other] = [labelsOf(a), labelsOf(b)];
  return of["cluster"] === other["cluster"] && of["group"] === other["group"] && of["node"] === other["node"];
}

function noteIncarnation(series: Series, incarnation: string): void {
  if (series.incarnations.includes(incarnation)) return;
  series.incarnations = [incarnation, ...series.incarnations].slice(0, 2);
}

function isSameTerm(a: Leader, b: Leader): boolean {
  return a.nodeId === b.nodeId && a.epoch === b.epoch && a.incarnation === b.incarnation;
}

function readingsOf({ source, labels, suspendedMs }: Series): Reading[] {
  const readings: Reading[] = [];
  const read: Read = (name, value, rest) =>
    void readings.push({
      name,
      labels,
      value: value === null ? null : Number(value),
      ...(rest === undefined ? {} : { rest }),
    });
  const facts = source.kind === "node" ? readNode(source, read) : readGroup(source, read);
  read("running", facts.running, 0);
  const marginSeconds = facts.leastMarginMs === null ? null : facts.leastMarginMs / 1_000;
  // More than any margin: a low one that stays would warn until the next lease.
  read("lease_margin_seconds", marginSeconds, facts.leaseTtlMs / 1_000);
  read("presence", facts.presence, 0);
  read("suspended_seconds_total", (suspendedMs + facts.suspendedForMs) / 1_000);
  return readings;
}

type Read = (name: Reading["name"], value: number | boolean | null, rest?: number) => void;

function readNode(source: Extract<Source, { kind: "node" }>, read: Read): ReturnType<typeof source.read> {
  const facts = source.read();
  read("is_leader", facts.isLeader, 0);
  read("has_leader", facts.hasLeader, 0);
  read("epoch", facts.epoch, 0);
  return facts;
}

function readGroup(source: Extract<Source, { kind: "group" }>, read: Read): ReturnType<typeof source.read> {
  const facts = source.read();
  read("resources_owned", facts.owned, 0);
  // The least over the members counts: a 0 of one that does not run would hide what the others see.
  read("resources_unowned", facts.running ? facts.unowned : null);
  return facts;
}
