/**
 * What only repeated examinations show: how long a condition has lasted, rates, restarts, elections of raft leaders. Pure:
 * (trends, examination, now) -> (trends, findings). The trends grow with the number of servers and streams, not with time.
 */
import type { Facts, ServerFacts } from "../facts.ts";
import { bySeverity, type Finding, type Verdict, verdictOf } from "../findings/finding.ts";
import {
  API_ERROR_PERCENT,
  API_ERRORS_PER_MIN,
  CONNECTS_PER_MIN,
  LASTING_MS,
  LEADER_CHANGES,
  LEADER_CHANGES_MS,
  RESTARTED_MS,
  RESTARTS,
  RESTARTS_MS,
  SLOW_CONSUMERS,
  SLOW_CONSUMERS_MS,
} from "../findings/thresholds.ts";
import { type Counters, countersOf, isRestart, ratesOf, type ServerRates } from "./rates.ts";

export interface Trends {
  /** Since when each finding of `LASTING_MS` has lasted. */
  readonly since: ReadonlyMap<string, number>;
  readonly servers: ReadonlyMap<string, ServerTrend>;
  /** The server that was last seen to lead each raft group, and when. */
  readonly leaders: ReadonlyMap<string, { readonly leader: string; readonly at: number }>;
  /** The latest elections, oldest first. */
  readonly elections: readonly { readonly at: number; readonly group: string }[];
}

interface ServerTrend {
  readonly counters: Counters;
  /** Times of the latest restarts. */
  readonly restarts: readonly number[];
  /** The counter of slow consumers, oldest first; the first one is older than the window, or the first that was read. */
  readonly slow: readonly { readonly at: number; readonly value: number }[];
}

export const NO_TRENDS: Trends = { since: new Map(), servers: new Map(), leaders: new Map(), elections: [] };

/** Samples of a window: more would not change a decision by more than a thirtieth of it. */
const SAMPLES = 30;
const MOST_ELECTIONS = 200;

export interface Followed {
  readonly trends: Trends;
  /** Most severe first. */
  readonly findings: readonly Finding[];
  readonly verdict: Verdict;
  /** Of the servers that were examined before. */
  readonly rates: readonly ServerRates[];
}

/**
 * @param findings Those of this examination alone.
 * @param now Milliseconds, monotonic.
 */
export function follow(trends: Trends, facts: Facts, findings: readonly Finding[], now: number): Followed {
  const answered = facts.servers.filter(({ error }) => error === null);
  // A server that is gone for good is forgotten.
  const known = [...trends.servers].filter(([, { counters }]) => now - counters.at < RESTARTS_MS);
  const servers = new Map(known);
  const rates: ServerRates[] = [];
  for (const server of answered) {
    const rate = ratesOf(server.name, trends.servers.get(server.name)?.counters, countersOf(server, now));
    if (rate !== null) rates.push(rate);
    servers.set(server.name, nextTrend(trends.servers.get(server.name), server, now));
  }
  const { leaders, elections } = nextElections(trends, answered, now);
  const all = [
    ...findings.map((finding) => inWindow(finding, servers, now)),
    ...rateFindings(rates, answered),
    ...restartFindings(servers, now),
    ...electionFindings(elections),
  ];
  const { since, judged } = judgedByDuration(trends.since, all, now);
  const sorted = bySeverity(judged);
  return {
    trends: { since, servers, leaders, elections },
    findings: sorted,
    verdict: verdictOf(sorted),
    rates,
  };
}

/** A finding of `LASTING_MS` is a note until it has lasted. */
function judgedByDuration(
  before: Trends["since"],
  findings: readonly Finding[],
  now: number,
): { readonly since: Trends["since"]; readonly judged: readonly Finding[] } {
  const since = new Map<string, number>();
  const judged = findings.map((finding): Finding => {
    const forMs = LASTING_MS[finding.code];
    if (forMs === undefined || finding.severity === "note") return finding;
    const key = `${finding.code} ${finding.where}`;
    const start = before.get(key) ?? now;
    since.set(key, start);
    if (now - start >= forMs) return finding;
    return asNote(finding, `a warning once it has lasted ${forMs / 1_000} s`);
  });
  return { since, judged };
}

/** The counter never falls: in repeated examinations only what is new counts. */
function inWindow(finding: Finding, servers: Trends["servers"], now: number): Finding {
  if (finding.code !== "slow-consumers") return finding;
  const slow = servers.get(finding.where)?.slow ?? [];
  const window = `within ${SLOW_CONSUMERS_MS / 60_000} min`;
  const recent = grown(slow, now, SLOW_CONSUMERS_MS);
  if (recent <= SLOW_CONSUMERS) return asNote(finding, `${recent} of them ${window}`);
  return { ...finding, what: `${finding.what}, ${recent} of them ${window}` };
}

function asNote(finding: Finding, why: string): Finding {
  return { ...finding, severity: "note", what: `${finding.what}; ${why}` };
}

function nextTrend(before: ServerTrend | undefined, server: ServerFacts, now: number): ServerTrend {
  const counters = countersOf(server, now);
  const restarted = before !== undefined && isRestart(before.counters, counters);
  const restarts = (before?.restarts ?? []).filter((at) => now - at < RESTARTS_MS);
  if (restarted) restarts.push(now);
  const { slowConsumers } = server;
  const earlier = restarted ? [] : (before?.slow ?? []);
  const slow =
    slowConsumers === null ? earlier : sampled(earlier, { at: now, value: slowConsumers }, SLOW_CONSUMERS_MS);
  return { counters, restarts: restarts.slice(-RESTARTS - 1), slow };
}

/** Keeps the newest sample that is older than the window, as the baseline. */
function sampled(
  samples: ServerTrend["slow"],
  next: ServerTrend["slow"][number],
  windowMs: number,
): ServerTrend["slow"] {
  const last = samples.at(-1);
  const close = samples.length > 1 && last !== undefined && next.at - last.at < windowMs / SAMPLES;
  const all = close ? samples : [...samples, next];
  const baseline = all.findLastIndex(({ at }) => next.at - at >= windowMs);
  return all.slice(Math.max(0, baseline));
}

function grown(samples: ServerTrend["slow"], now: number, windowMs: number): number {
  const first = samples.findLast(({ at }) => now - at >= windowMs) ?? samples[0];
  return (samples.at(-1)?.value ?? 0) - (first?.value ?? 0);
}

function nextElections(
  { leaders: before, elections }: Trends,
  servers: readonly ServerFacts[],
  now: number,
): Pick<Trends, "leaders" | "elections"> {
  const seen = new Map<string, string>();
  for (const { name, meta, streams } of servers) {
    if (meta?.leader != null) seen.set("JetStream's meta group", meta.leader);
    for (const { account, stream, peers } of streams ?? [])
      if (peers.length > 0) seen.set(`stream ${stream} (account ${account})`, name);
  }
  const changed = [...seen].flatMap(([group, leader]) => {
    const was = before.get(group);
    return was === undefined || was.leader === leader ? [] : [{ at: now, group }];
  });
  const recent = elections.filter(({ at }) => now - at < LEADER_CHANGES_MS);
  // A group without a leader keeps its last one: the next one may be another. A deleted group is forgotten after the window.
  const kept = [...before].filter(([, { at }]) => now - at < LEADER_CHANGES_MS);
  const current = [...seen].map(([group, leader]) => [group, { leader, at: now }] as const);
  return {
    leaders: new Map([...kept, ...current]),
    elections: [...recent, ...changed].slice(-MOST_ELECTIONS),
  };
}

function electionFindings(elections: Trends["elections"]): Finding[] {
  const counts = new Map<string, number>();
  for (const { group } of elections) counts.set(group, (counts.get(group) ?? 0) + 1);
  return [...counts].flatMap(([group, count]): Finding[] => {
    if (count <= LEADER_CHANGES) return [];
    const minutes = LEADER_CHANGES_MS / 60_000;
    return [
      {
        severity: "warning",
        code: "leader-changes",
        where: group,
        what: `its raft leader has changed ${count} times within ${minutes} min (more than ${LEADER_CHANGES})`,
        todo: "check the load, the disks and the network of its servers: no lease is renewed while its bucket elects a leader",
      },
    ];
  });
}

function restartFindings(servers: Trends["servers"], now: number): Finding[] {
  return [...servers].flatMap(([where, { restarts }]): Finding[] => {
    const last = restarts.at(-1);
    if (last === undefined) return [];
    if (restarts.length > RESTARTS)
      return [
        {
          severity: "warning",
          code: "server-restarts",
          where,
          what: `it was restarted more than ${RESTARTS} times within ${RESTARTS_MS / 60_000} min`,
          todo: "its log has the reason: a crash, too little memory, or a supervisor whose health check is too strict",
        },
      ];
    if (now - last >= RESTARTED_MS) return [];
    return [
      {
        severity: "note",
        code: "server-restarted",
        where,
        what: `it was restarted within the last ${RESTARTED_MS / 60_000} min`,
        todo: "nothing, if it was intended; otherwise its log has the reason",
      },
    ];
  });
}

function rateFindings(rates: readonly ServerRates[], servers: readonly ServerFacts[]): Finding[] {
  return rates.flatMap(({ server, connectsPerMin, apiRequestsPerMin, apiErrorsPerMin }): Finding[] => {
    const found: Finding[] = [];
    const connections = servers.find(({ name }) => name === server)?.connections ?? 0;
    if (connectsPerMin !== null && connectsPerMin > Math.max(CONNECTS_PER_MIN, connections))
      found.push({
        severity: "warning",
        code: "reconnects",
        where: server,
        what: `clients connect to it ${Math.round(connectsPerMin)} times a minute, and it has ${connections} connections (more than ${CONNECTS_PER_MIN}, and than it has connections)`,
        todo: "clients connect, fail and try again, or connect for each request: connz?state=closed of its monitoring port has the reasons",
      });
    const percent = ((apiErrorsPerMin ?? 0) / Math.max(1, apiRequestsPerMin ?? 0)) * 100;
    if (apiErrorsPerMin !== null && apiErrorsPerMin > API_ERRORS_PER_MIN && percent > API_ERROR_PERCENT)
      found.push({
        severity: "warning",
        code: "api-errors",
        where: server,
        what: `${Math.round(apiErrorsPerMin)} requests a minute to JetStream's API fail, ${Math.round(percent)} % (more than ${API_ERRORS_PER_MIN} and ${API_ERROR_PERCENT} %)`,
        todo: "clients ask for streams or consumers that do not exist, or reach a limit: subscribe to $JS.EVENT.ADVISORY.API as a user of the account",
      });
    return found;
  });
}
