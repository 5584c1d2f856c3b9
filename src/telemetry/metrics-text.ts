/** The metrics of a process, in one of the formats of Prometheus. */
export interface MetricsText {
  /** The value of `Content-Type`. */
  readonly contentType: string;
  readonly body: string;
}
