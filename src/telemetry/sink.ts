import type { CounterName, HistogramName, PulledName, SourceKind } from "./instruments.ts";

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
  /** So are those that are read, of the source with these labels. Absent: they are gone with the readings. */
  endReadings?(kind: SourceKind, labels: Labels): void;
}

/** The present value of a series that is read when metrics are collected. */
export interface Reading {
  readonly name: PulledName;
  readonly labels: Labels;
  readonly value: number;
}
