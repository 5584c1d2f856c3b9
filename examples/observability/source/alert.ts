/** What an alert is, and the cases that prove it. */

export type Severity = "critical" | "warning";

/** Values of a series: each piece lasts some seconds and begins with a value. */
export interface Piece {
  readonly seconds: number;
  readonly from: number;
  /** Growth per second. @default 0 */
  readonly perSecond?: number;
}

/** A case of `promtool test rules`. */
export interface Case {
  /** By the series, as Prometheus writes it: `name{label="value"}`. */
  readonly series: Readonly<Record<string, readonly Piece[]>>;
  readonly atSeconds: number;
}

export interface FiringCase extends Case {
  /** Labels of the alerts that fire, without `severity`. */
  readonly labels: readonly Readonly<Record<string, string>>[];
}

export interface Alert {
  readonly name: string;
  readonly severity: Severity;
  readonly expr: string;
  /** `for`, in seconds. */
  readonly holdSeconds: number;
  /** One line; may use `{{ $labels.name }}`. */
  readonly summary: string;
  /** What it means. A row of docs/observability.md. */
  readonly meaning: string;
  /** The first thing to do. */
  readonly firstStep: string;
  readonly fires: FiringCase;
  /** Further cases, by what happens in them. */
  readonly alsoFires?: Readonly<Record<string, FiringCase>>;
  /** As near to firing as possible. */
  readonly quiet: Case;
}

/** Where an operator reads on: a heading of docs/operations.md. */
export function runbookAnchor(alert: Pick<Alert, "name">): string {
  return alert.name.toLowerCase();
}

export function steady(value: number, seconds: number): readonly Piece[] {
  return [{ seconds, from: value }];
}
