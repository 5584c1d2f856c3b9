/** The clock that all processes of a run share. */
import { readFileSync } from "node:fs";

/** Steps of /proc/uptime. */
const UPTIME_STEP_NS = 10e6;

/** Nanoseconds of the host's monotonic clock: the same in all processes, except where libfaketime changes it. */
export function hostNowNs(): number {
  return Number(process.hrtime.bigint());
}

export function hostNowMs(): number {
  return hostNowNs() / 1e6;
}

export interface HostClock {
  readonly nowNs: () => number;
  /** The largest time that a reading may be behind. */
  readonly stepNs: number;
}

/**
 * The host's clock in a process whose own clocks may be changed.
 *
 * `uptimeOffsetNs`, for a process whose clocks libfaketime changes: nanoseconds from the host's uptime to its monotonic clock. The
 * process then takes the time from /proc/uptime, which libfaketime does not change, in steps of 10 ms. `null`: the process uses its own
 * clock.
 */
export function hostClock(uptimeOffsetNs: number | null): HostClock {
  if (uptimeOffsetNs === null) return { nowNs: hostNowNs, stepNs: 0 };
  const uptime = (): string => readFileSync("/proc/uptime", "utf8").split(" ")[0] ?? "";
  return { nowNs: () => Number(uptime()) * 1e9 + uptimeOffsetNs, stepNs: UPTIME_STEP_NS };
}
