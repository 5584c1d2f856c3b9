/** What repeated examinations show: durations, rates, restarts, elections. Times are values. */
import { describe, expect, test } from "vitest";
import type { Facts, ServerFacts } from "../../src/doctor/facts.ts";
import { diagnose } from "../../src/doctor/findings/diagnose.ts";
import { type Followed, follow, NO_TRENDS, type Trends } from "../../src/doctor/trends/trends.ts";
import { facts, meta, NAMES, peer, server, withFirst } from "../support/doctor/healthy-cluster.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

/** The examinations, each at its time; the result of the last one. */
function examinedAt(...examinations: readonly (readonly [at: number, change: Partial<Facts>])[]): Followed {
  let trends: Trends = NO_TRENDS;
  let last: Followed | undefined;
  for (const [at, change] of examinations) {
    const seen = facts(change);
    last = follow(trends, seen, diagnose(seen), at);
    trends = last.trends;
  }
  if (last === undefined) throw new Error("no examination");
  return last;
}

const shown = ({ findings }: Followed): string[] =>
  findings.map(({ severity, code, where }) => `${severity} ${code} @ ${where}`);

const n1 = (change: Partial<ServerFacts>): Partial<Facts> => withFirst(change);

describe("a condition is a note until it has lasted a minute", () => {
  const behind = n1({ meta: meta({ peers: [peer("n2", { lag: 1_001 }), peer("n3")] }) });
  const late = n1({
    streams: [{ account: "A", stream: "S", peers: [], consumers: [{ name: "c", pending: 1_001 }] }],
  });
  const slow = n1({
    open: {
      total: 3,
      listed: 3,
      idle: 0,
      pendingBytes: 2e6,
      slowest: { id: 7, name: "r", pendingBytes: 2e6 },
    },
  });
  const route = n1({ routePending: [{ to: "n2", bytes: 2e6 }] });
  const refused = n1({ closed: { all: 11, authentication: 11, slow: 0, stale: 0 } });

  test.each([
    ["lag @ n2", behind],
    ["consumer-lag @ n1", late],
    ["slow-client @ n1", slow],
    ["route-pending @ n1", route],
    ["authentication-failures @ n1", refused],
  ])("%s", (name, change) => {
    expect(shown(examinedAt([0, change], [MINUTE - 1, change]))).toEqual([`note ${name}`]);
    const lasted = examinedAt([0, change], [MINUTE, change]);
    expect([shown(lasted), lasted.verdict]).toEqual([[`warning ${name}`], "warning"]);
    // An interruption starts it over.
    expect(shown(examinedAt([0, change], [MINUTE / 2, {}], [MINUTE, change]))).toEqual([`note ${name}`]);
    expect(examinedAt([0, change], [MINUTE, {}]).trends.since.size).toBe(0);
  });

  test("a single examination warns at once", () => {
    expect(diagnose(facts(behind))).toMatchObject([{ severity: "warning", code: "lag" }]);
  });
});

describe("slow consumers", () => {
  const closed = (slowConsumers: number): Partial<Facts> => n1({ slowConsumers });

  test("of before the first examination are a note", () => {
    expect(shown(examinedAt([0, closed(9)], [MINUTE, closed(14)]))).toEqual(["note slow-consumers @ n1"]);
  });

  test("are a warning if more than 5 are added within 5 minutes, and a note again later", () => {
    const found = examinedAt([0, closed(9)], [MINUTE, closed(15)]);
    expect(shown(found)).toEqual(["warning slow-consumers @ n1"]);
    expect(found.findings[0]?.what).toMatch(/closed 15 connections .*, 6 of them within 5 min/);
    const later = [6 * MINUTE, closed(15)] as const;
    expect(shown(examinedAt([0, closed(9)], [MINUTE, closed(15)], later))).toEqual([
      "note slow-consumers @ n1",
    ]);
  });

  test("are counted in few samples, however often a server is examined", () => {
    const every = Array.from({ length: 600 }, (_, index) => [index * SECOND, closed(index)] as const);
    const { trends, findings } = examinedAt(...every);
    expect(trends.servers.get("n1")?.slow.length).toBeLessThanOrEqual(35);
    expect(Number(/, (\d+) of them/.exec(findings[0]?.what ?? "")?.[1])).toBeGreaterThanOrEqual(290);
  });
});

describe("rates", () => {
  const counted = (change: Partial<ServerFacts>): Partial<Facts> =>
    n1({ traffic: { inMsgs: 100, outMsgs: 200, inBytes: 1_000, outBytes: 2_000 }, ...change });

  test("are those between two examinations", () => {
    const more = { inMsgs: 200, outMsgs: 400, inBytes: 3_000, outBytes: 2_000 };
    const { rates } = examinedAt(
      [0, counted({ totalConnections: 5 })],
      [10 * SECOND, counted({ traffic: more, totalConnections: 8, api: { requests: 40, errors: 3 } })],
    );
    expect(rates[0]).toEqual({
      server: "n1",
      inMsgsPerS: 10,
      outMsgsPerS: 20,
      inBytesPerS: 200,
      outBytesPerS: 0,
      connectsPerMin: 18,
      apiRequestsPerMin: 180,
      apiErrorsPerMin: 18,
    });
  });

  test("do not exist at first, after a restart, nor without the counter", () => {
    expect(examinedAt([0, {}]).rates).toEqual([]);
    const restarted = examinedAt([0, {}], [SECOND, n1({ serverId: "another" })]);
    expect(restarted.rates.map((one) => one.server)).toEqual(["n2", "n3"]);
    const unread = examinedAt([0, {}], [SECOND, n1({ traffic: null, api: null })]);
    expect(unread.rates[0]).toMatchObject({
      server: "n1",
      inMsgsPerS: null,
      apiErrorsPerMin: null,
      connectsPerMin: 0,
    });
  });

  test("of reconnects above 60 a minute, and above the number of connections, are a warning after a minute", () => {
    const at = (minutes: number, totalConnections: number, connections = 3) =>
      [minutes * MINUTE, n1({ totalConnections, connections })] as const;
    expect(shown(examinedAt(at(0, 0), at(1, 60), at(2, 120)))).toEqual([]);
    expect(shown(examinedAt(at(0, 0), at(1, 61)))).toEqual(["note reconnects @ n1"]);
    expect(shown(examinedAt(at(0, 0), at(1, 61), at(2, 122)))).toEqual(["warning reconnects @ n1"]);
    expect(shown(examinedAt(at(0, 0), at(1, 90, 100), at(2, 180, 100)))).toEqual([]);
  });

  test("of failed requests above 30 a minute and 10 % are a warning after a minute", () => {
    const at = (minutes: number, requests: number, errors: number) =>
      [minutes * MINUTE, n1({ api: { requests, errors } })] as const;
    expect(shown(examinedAt(at(0, 0, 0), at(1, 100, 30), at(2, 200, 60)))).toEqual([]);
    expect(shown(examinedAt(at(0, 0, 0), at(1, 400, 31), at(2, 800, 62)))).toEqual([]);
    expect(shown(examinedAt(at(0, 0, 0), at(1, 100, 31), at(2, 200, 62)))).toEqual([
      "warning api-errors @ n1",
    ]);
  });
});

describe("restarts", () => {
  test("are a note for 5 minutes, by the server's id", () => {
    const restarted = n1({ serverId: "second" });
    expect(shown(examinedAt([0, {}], [SECOND, restarted]))).toEqual(["note server-restarted @ n1"]);
    expect(shown(examinedAt([0, {}], [SECOND, restarted], [SECOND + 5 * MINUTE, restarted]))).toEqual([]);
  });

  test("are seen by the uptime if the id was not read", () => {
    const without = (uptimeMs: number) => n1({ serverId: null, uptimeMs });
    expect(shown(examinedAt([0, without(5_000)], [SECOND, without(6_000)]))).toEqual([]);
    expect(shown(examinedAt([0, without(5_000)], [SECOND, without(10)]))).toEqual([
      "note server-restarted @ n1",
    ]);
  });

  test("more than twice within an hour are a warning", () => {
    const start = (id: number) => [id * MINUTE, n1({ serverId: `${id}` })] as const;
    expect(shown(examinedAt(start(0), start(1), start(2)))).toEqual(["note server-restarted @ n1"]);
    const often = examinedAt(start(0), start(1), start(2), start(3));
    expect(shown(often)).toEqual(["warning server-restarts @ n1"]);
    const rare = examinedAt(start(0), start(1), start(2), start(70));
    expect(shown(rare)).toEqual(["note server-restarted @ n1"]);
  });
});

describe("leaders of raft groups", () => {
  const led = (by: string | null): Partial<Facts> => ({
    servers: NAMES.map((name) =>
      server(name, {
        streams: name === by ? [{ account: "A", stream: "S", peers: [peer("n9")], consumers: [] }] : [],
      }),
    ),
  });
  const sequence = (...leaders: readonly (string | null)[]) =>
    examinedAt(...leaders.map((by, index) => [index * SECOND, led(by)] as const));

  test("that change more than 3 times within 10 minutes are a warning", () => {
    expect(shown(sequence("n1", "n2", "n1", "n2"))).toEqual([]);
    const often = sequence("n1", "n2", "n1", "n2", "n1");
    expect(shown(often)).toEqual(["warning leader-changes @ stream S (account A)"]);
    const { trends } = often;
    expect(shown(follow(trends, facts(led("n1")), [], 11 * MINUTE))).toEqual([]);
  });

  test("do not change by a time without a leader", () => {
    expect(sequence("n1", null, "n1", null, "n1").trends.elections).toEqual([]);
    expect(sequence("n1", null, "n2").trends.elections).toHaveLength(1);
  });

  test("of deleted streams are forgotten", () => {
    const { trends } = examinedAt([0, led("n1")], [11 * MINUTE, led(null)]);
    expect([...trends.leaders.keys()]).toEqual(["JetStream's meta group"]);
  });
});
