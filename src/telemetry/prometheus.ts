/** Metrics in the formats of Prometheus, by prom-client. */
import { Counter, Gauge, Histogram, Registry, type RegistryContentType } from "prom-client";
import {
  type CounterName,
  type HistogramName,
  type Instrument,
  type InstrumentName,
  instruments,
  PREFIX,
} from "./instruments.ts";
import type { MetricsText } from "./metrics-text.ts";
import { Recorder } from "./recorder.ts";
import type { Labels, MetricSink, Reading } from "./sink.ts";

export interface PrometheusMetrics {
  /**
   * Counts what this `Node` or `Group` does from now on, also before and after its starts. Its series begin with 0.
   *
   * @returns The end of that. Idempotent.
   * @throws ClusterError `INVALID_CONFIG` for anything else.
   */
  observe(owner: object): () => void;
  /**
   * All metrics.
   *
   * @param accept - The header `Accept` of the request: OpenMetrics if it names `application/openmetrics-text`, else Prometheus text.
   */
  text(accept?: string): Promise<MetricsText>;
  /** Ends the observation of the nodes and members that `prometheusMetrics()` was called with. Idempotent. */
  close(): void;
}

/**
 * Metrics for `/metrics`, of the sources that are observed. They are in registries of their own, so they never collide with other metrics of
 * the process.
 *
 * @param owners - Nodes and members to observe from now on.
 * @example
 * ```ts
 * const metrics = prometheusMetrics(node);
 * const { body, contentType } = await metrics.text(request.headers.get("accept") ?? "");
 * ```
 */
export function prometheusMetrics(...owners: readonly object[]): PrometheusMetrics {
  const plain = new PromSink(Registry.PROMETHEUS_CONTENT_TYPE);
  const open = new PromSink(Registry.OPENMETRICS_CONTENT_TYPE);
  const recorder = new Recorder(new Both(plain, open));
  const ends = owners.map((owner) => recorder.observe(owner));
  return {
    observe: (owner) => recorder.observe(owner),
    text: (accept = "") => {
      const sink = accept.includes("application/openmetrics-text") ? open : plain;
      return sink.text(recorder.readings());
    },
    close: () => {
      for (const end of ends) end();
    },
  };
}

/** prom-client renames the counters of a registry for good when it writes OpenMetrics, so each format has a registry. */
class Both implements MetricSink {
  readonly #sinks: readonly MetricSink[];

  constructor(...sinks: readonly MetricSink[]) {
    this.#sinks = sinks;
  }

  begin(name: CounterName | HistogramName, labels: Labels): void {
    for (const sink of this.#sinks) sink.begin(name, labels);
  }

  add(name: CounterName, labels: Labels, value: number): void {
    for (const sink of this.#sinks) sink.add(name, labels, value);
  }

  record(name: HistogramName, labels: Labels, value: number): void {
    for (const sink of this.#sinks) sink.record(name, labels, value);
  }

  end(name: CounterName | HistogramName, labels: Labels): void {
    for (const sink of this.#sinks) sink.end(name, labels);
  }
}

class PromSink implements MetricSink {
  readonly #registry: Registry<RegistryContentType> = new Registry();
  readonly #counters = new Map<InstrumentName, Counter>();
  readonly #gauges = new Map<InstrumentName, Gauge>();
  readonly #histograms = new Map<InstrumentName, Histogram>();

  constructor(contentType: RegistryContentType) {
    this.#registry.setContentType(contentType);
    for (const [name, instrument] of instruments) this.#add(name, instrument);
  }

  #add(name: InstrumentName, { kind, help, of, label, buckets }: Instrument): void {
    const config = {
      name: `${PREFIX}${name}`,
      help,
      labelNames: [
        ...of.map((kindOfSource) => (kindOfSource === "node" ? "cluster" : "group")),
        "node",
        "twin",
        ...(label === undefined ? [] : [label.name]),
      ],
      registers: [this.#registry],
    };
    if (kind === "counter") this.#counters.set(name, new Counter(config));
    else if (kind === "gauge") this.#gauges.set(name, new Gauge(config));
    else this.#histograms.set(name, new Histogram({ ...config, buckets: [...(buckets ?? [])] }));
  }

  begin(name: CounterName | HistogramName, labels: Labels): void {
    this.#counters.get(name)?.inc(labels, 0);
    this.#histograms.get(name)?.zero(labels);
  }

  add(name: CounterName, labels: Labels, value: number): void {
    this.#counters.get(name)?.inc(labels, value);
  }

  record(name: HistogramName, labels: Labels, value: number): void {
    this.#histograms.get(name)?.observe(labels, value);
  }

  end(name: CounterName | HistogramName, labels: Labels): void {
    this.#counters.get(name)?.remove(labels);
    this.#histograms.get(name)?.remove(labels);
  }

  async text(readings: readonly Reading[]): Promise<MetricsText> {
    for (const [name, { pulled }] of instruments) {
      if (pulled !== true) continue;
      this.#gauges.get(name)?.reset();
      this.#counters.get(name)?.reset();
    }
    for (const { name, labels, value } of readings) {
      if (value === null) continue;
      this.#gauges.get(name)?.set(labels, value);
      this.#counters.get(name)?.inc(labels, value);
    }
    return { contentType: this.#registry.contentType, body: await this.#registry.metrics() };
  }
}
