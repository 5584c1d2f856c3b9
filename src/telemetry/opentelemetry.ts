/** Metrics by the API of OpenTelemetry. Whatever SDK the process has registered collects and exports them. */
import type { Attributes, Counter, Histogram, Meter, Observable } from "@opentelemetry/api";
import {
  type CounterName,
  type HistogramName,
  INSTRUMENTS,
  instruments,
  PREFIX,
  type PulledName,
  type SourceKind,
} from "./instruments.ts";
import { Recorder } from "./recorder.ts";
import type { Labels, MetricSink, Reading } from "./sink.ts";

/** Sources that are not observed any more, whose gauges are 0. */
const MAX_ENDED = 64;
const STATES = ["running", "is_leader", "has_leader", "resources_owned"] as const;

/** One per meter, so that two nodes with the same labels are found. */
const recorders = new WeakMap<Meter, Recorder>();

/** The recorder that feeds the instruments of this meter. */
export function recorderOf(meter: Meter): Recorder {
  const known = recorders.get(meter);
  if (known !== undefined) return known;
  const sink = new MeterSink(meter);
  const recorder = new Recorder(sink);
  observePulled(meter, () => [...sink.ended(), ...recorder.readings()]);
  recorders.set(meter, recorder);
  return recorder;
}

class MeterSink implements MetricSink {
  readonly #counters = new Map<string, Counter>();
  readonly #histograms = new Map<string, Histogram>();
  readonly #ended: { readonly kind: SourceKind; readonly labels: Labels }[] = [];

  constructor(meter: Meter) {
    for (const [name, { kind, pulled, unit, help, buckets }] of instruments) {
      const options = { description: help, ...unitOf(unit) };
      if (pulled === true) continue;
      if (kind === "counter") this.#counters.set(name, meter.createCounter(`${PREFIX}${name}`, options));
      else
        this.#histograms.set(
          name,
          meter.createHistogram(`${PREFIX}${name}`, {
            ...options,
            ...(buckets === undefined ? {} : { advice: { explicitBucketBoundaries: [...buckets] } }),
          }),
        );
    }
  }

  /** A histogram has no 0: it appears with its first value. */
  begin(name: CounterName | HistogramName, labels: Labels): void {
    this.#counters.get(name)?.add(0, labels);
  }

  add(name: CounterName, labels: Labels, value: number): void {
    this.#counters.get(name)?.add(value, labels);
  }

  record(name: HistogramName, labels: Labels, value: number): void {
    this.#histograms.get(name)?.record(value, labels);
  }

  /** The API ends no series. */
  end(): void {}

  /** An SDK repeats the last value of a gauge that is not observed any more: a leader that is not observed would lead for good. */
  endReadings(kind: SourceKind, labels: Labels): void {
    this.#ended.push({ kind, labels });
    if (this.#ended.length > MAX_ENDED) this.#ended.shift();
  }

  /**
   * 0 for what is true only while it is observed; with `running` 0, the other gauges do not count. Not for `resources_unowned`: the least
   * over the members is what counts, so that a 0 would hide what the others see. Readings of a source with the same labels come after it.
   */
  ended(): Reading[] {
    return this.#ended.flatMap(({ kind, labels }) =>
      STATES.filter((name) => INSTRUMENTS[name].of.includes(kind)).map((name) => ({
        name,
        labels,
        value: 0,
      })),
    );
  }
}

function observePulled(meter: Meter, readings: () => readonly Reading[]): void {
  const observables = new Map<PulledName, Observable<Attributes>>();
  for (const [name, { kind, pulled, unit, help }] of instruments) {
    if (pulled !== true) continue;
    const options = { description: help, ...unitOf(unit) };
    observables.set(
      name as PulledName,
      kind === "counter"
        ? meter.createObservableCounter(`${PREFIX}${name}`, options)
        : meter.createObservableGauge(`${PREFIX}${name}`, options),
    );
  }
  meter.addBatchObservableCallback(
    (result) => {
      for (const { name, labels, value } of readings()) {
        const observable = observables.get(name);
        if (observable !== undefined) result.observe(observable, value, labels);
      }
    },
    [...observables.values()],
  );
}

function unitOf(unit: "seconds" | undefined): { readonly unit?: string } {
  return unit === undefined ? {} : { unit: "s" };
}
