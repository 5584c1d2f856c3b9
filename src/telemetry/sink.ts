import type { CounterName, HistogramName, PulledName } from "./instruments.ts";

/** Labels of one series. */
export type Labels = Readonly<Record<string, string>>;

/** Where metrics go. What it throws is reported as a warning of the process, and changes nothing. */
export interface MetricSink {
  /** This series exists from now on, with 0. */
  begin(name: CounterName | HistogramName, labels: Labels): void;
  add(name: CounterName, labels: Labels, value: number): void;
  record(name: HistogramName, labels: Labels, value: number): void;
  /** This series is over. */
  end(name: CounterName | HistogramName, labels: Labels): void;
  /** So are the series of these readings, the last ones of a source. Absent: they are gone with the readings. */
  endReadings?(readings: readonly Reading[]): void;
}

/** The present value of a series that is read when metrics are collected. */
export interface Reading {
  readonly name: PulledName;
  readonly labels: Labels;
  /** `null`: there is no series. */
  readonly value: number | null;
  /** For a sink that cannot end a series: what it shows in place of the last value. Absent: the last value. */
  readonly rest?: number;
}
