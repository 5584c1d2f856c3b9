/** What a server did between two examinations, from the difference of its counters. Pure. */
import type { ServerFacts } from "../facts.ts";

/** The counters of one server at a time. Each is `null` if it was not read. */
export interface Counters {
  readonly serverId: string | null;
  /** Milliseconds, monotonic. */
  readonly at: number;
  readonly uptimeMs: number | null;
  readonly traffic: ServerFacts["traffic"];
  readonly totalConnections: number | null;
  readonly api: ServerFacts["api"];
}

export interface ServerRates {
  readonly server: string;
  readonly inMsgsPerS: number | null;
  readonly outMsgsPerS: number | null;
  readonly inBytesPerS: number | null;
  readonly outBytesPerS: number | null;
  /** New client connections. Without new clients these are reconnects. */
  readonly connectsPerMin: number | null;
  readonly apiRequestsPerMin: number | null;
  readonly apiErrorsPerMin: number | null;
}

export function countersOf(
  { serverId, uptimeMs, traffic, totalConnections, api }: ServerFacts,
  at: number,
): Counters {
  return { serverId, at, uptimeMs, traffic, totalConnections, api };
}

/** Whether the server was started between the two. Its id changes with each start; a shorter uptime shows it without the id. */
export function isRestart(before: Counters, now: Counters): boolean {
  if (before.serverId !== null && now.serverId !== null) return before.serverId !== now.serverId;
  return before.uptimeMs !== null && now.uptimeMs !== null && now.uptimeMs < before.uptimeMs;
}

/** `null` without an earlier examination of the same run of the server. */
export function ratesOf(server: string, before: Counters | undefined, now: Counters): ServerRates | null {
  if (before === undefined || now.at <= before.at || isRestart(before, now)) return null;
  const seconds = (now.at - before.at) / 1_000;
  const per = (was: number | undefined | null, is: number | undefined | null, s: number): number | null =>
    was == null || is == null || is < was ? null : ((is - was) / seconds) * s;
  const [was, is] = [before.traffic, now.traffic];
  return {
    server,
    inMsgsPerS: per(was?.inMsgs, is?.inMsgs, 1),
    outMsgsPerS: per(was?.outMsgs, is?.outMsgs, 1),
    inBytesPerS: per(was?.inBytes, is?.inBytes, 1),
    outBytesPerS: per(was?.outBytes, is?.outBytes, 1),
    connectsPerMin: per(before.totalConnections, now.totalConnections, 60),
    apiRequestsPerMin: per(before.api?.requests, now.api?.requests, 60),
    apiErrorsPerMin: per(before.api?.errors, now.api?.errors, 60),
  };
}
