/** Metrics by the API of OpenTelemetry. Whatever SDK the process has registered collects and exports them. */
import type { Attributes, Counter, Histogram, Meter, Observable } from "@opentelemetry/api";
import { type CounterName, type HistogramName, instruments, PREFIX, type PulledName } from "./instruments.ts";
import { Recorder } from "./recorder.ts";
import type { Labels, MetricSink, Reading } from "./sink.ts";

/** Sources that are not observed any more, whose gauges are still reported. */
const MAX_ENDED = 64;

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
  readonly #ended: (readonly Reading[])[] = [];

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

  /** A leader that is not observed any more would lead for good. */
  endReadings(readings: readonly Reading[]): void {
    this.#ended.push(readings.map((reading) => ({ ...reading, value: null })));
    if (this.#ended.length > MAX_ENDED) this.#ended.shift();
  }

  /** Readings of a source with the same labels come after them, and count. */
  ended(): Reading[] {
    return this.#ended.flat();
  }
}

/**
 * The SDK for JavaScript repeats the last value of a gauge that is not observed any more, if its reader asks for cumulative temporality. So a
 * series that has begun gets the value for its rest.
 */
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
  const begun = new Set<string>();
  meter.addBatchObservableCallback(
    (result) => {
      for (const { name, labels, value, rest } of readings()) {
        const observable = observables.get(name);
        const series = JSON.stringify([name, labels]);
        if (value !== null) begun.add(series);
        const shown = value ?? (begun.has(series) ? rest : undefined);
        if (observable !== undefined && shown !== undefined) result.observe(observable, shown, labels);
      }
    },
    [...observables.values()],
  );
}

function unitOf(unit: "seconds" | undefined): { readonly unit?: string } {
  return unit === undefined ? {} : { unit: "s" };
}
