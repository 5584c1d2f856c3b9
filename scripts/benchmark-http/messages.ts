/** Messages between the benchmark and the process that it measures. */

export interface HttpTask {
  readonly servers: string;
  readonly leaseTtlMs: number;
}

export type HttpCommand = { readonly do: "begin" | "report" | "end" };

export interface Ready {
  readonly type: "ready";
  readonly port: number;
  readonly renewIntervalMs: number;
}

/** What happened in the measured process since `begin`. Milliseconds. */
export interface Measured {
  readonly type: "measured";
  readonly renewals: number;
  /** Renewals that came so late that followers miss them: 1.5 intervals after the one before, or later. */
  readonly lateRenewals: number;
  readonly longestIntervalMs: number;
  readonly slowestRenewalMs: number;
  /** Least time that was left to the deadline when a renewal was confirmed. */
  readonly leastMarginMs: number;
  readonly suspensions: number;
  readonly lostTerms: number;
  /** Delay of the event loop. */
  readonly loopDelay: { readonly p50: number; readonly p99: number; readonly max: number };
  /** Processor time of the process, as a share of one core. */
  readonly cpuPercent: number;
}
