/** Findings from facts: both sides of every threshold. */
import { describe, expect, test } from "vitest";
import type { ClockReading } from "../../src/doctor/clocks/clock.ts";
import type { Facts, TriedPermission } from "../../src/doctor/facts.ts";
import { diagnose } from "../../src/doctor/findings/diagnose.ts";
import { verdictOf } from "../../src/doctor/findings/finding.ts";
import { newStreamConfig } from "../../src/nats/lease/stream-config.ts";
import { bucket, facts, meta, node, peer, server, withFirst } from "../support/doctor/healthy-cluster.ts";

/** `severity code @ where` of each finding. */
function found(change: Partial<Facts>): string[] {
  return diagnose(facts(change)).map(({ severity, code, where }) => `${severity} ${code} @ ${where}`);
}

const usage = (usedBytes: number, limitBytes: number | null = 1_000) => ({ usedBytes, limitBytes });
const bucketName = "bucket KV_CLUSTER_billing";

test("a healthy cluster gives no findings", () => {
  expect(found({})).toEqual([]);
  expect(verdictOf([])).toBe("ok");
});

test("facts that could not be read give no findings", () => {
  const unread: Partial<Facts> = {
    connection: null,
    servers: [],
    account: null,
    bucket: null,
    lease: null,
    nodes: null,
    permissions: null,
  };
  expect(found(unread)).toEqual([]);
});

/** Title, the last value without a finding, the first value with a finding, the finding. */
const thresholds: readonly (readonly [string, Partial<Facts>, Partial<Facts>, string])[] = [
  [
    "a server's memory at 80 %",
    withFirst({ memory: usage(800) }),
    withFirst({ memory: usage(801) }),
    "warning memory @ n1",
  ],
  [
    "a server's storage at 85 %",
    withFirst({ storage: usage(850) }),
    withFirst({ storage: usage(851) }),
    "warning storage @ n1",
  ],
  [
    "a server's storage without limit",
    withFirst({ storage: usage(1e15, null) }),
    withFirst({ storage: usage(1, 0) }),
    "warning storage @ n1",
  ],
  [
    "the account's memory at 80 %",
    { account: { memory: usage(800), storage: usage(0) } },
    { account: { memory: usage(801), storage: usage(0) } },
    "warning memory @ account",
  ],
  [
    "the account's storage at 85 %",
    { account: { memory: usage(0), storage: usage(850) } },
    { account: { memory: usage(0), storage: usage(851) } },
    "warning storage @ account",
  ],
  [
    "5 slow consumers",
    withFirst({ slowConsumers: 5 }),
    withFirst({ slowConsumers: 6 }),
    "warning slow-consumers @ n1",
  ],
  [
    "a meta peer 1000 behind",
    withFirst({ meta: meta({ peers: [peer("n2", { lag: 1_000 }), peer("n3")] }) }),
    withFirst({ meta: meta({ peers: [peer("n2", { lag: 1_001 }), peer("n3")] }) }),
    "warning lag @ n2",
  ],
  [
    "a stream replica 1000 behind",
    withFirst({
      streams: [{ account: "A", stream: "S", peers: [peer("n3", { lag: 1_000 })], consumers: [] }],
    }),
    withFirst({
      streams: [{ account: "A", stream: "S", peers: [peer("n3", { lag: 1_001 })], consumers: [] }],
    }),
    "warning lag @ n3",
  ],
  [
    "a consumer with 1000 pending",
    withFirst({
      streams: [{ account: "A", stream: "S", peers: [], consumers: [{ name: "c", pending: 1_000 }] }],
    }),
    withFirst({
      streams: [{ account: "A", stream: "S", peers: [], consumers: [{ name: "c", pending: 1_001 }] }],
    }),
    "warning consumer-lag @ n1",
  ],
  [
    "a replica of the bucket 1000 behind",
    { bucket: bucket({ peers: [peer("n1", { lag: 1_000 }), peer("n3")] }) },
    { bucket: bucket({ peers: [peer("n1", { lag: 1_001 }), peer("n3")] }) },
    `warning lag @ ${bucketName}`,
  ],
  [
    "the bucket filled to 85 %",
    { bucket: bucket({ size: usage(850) }) },
    { bucket: bucket({ size: usage(851) }) },
    `warning bucket-full @ ${bucketName}`,
  ],
  [
    "2 of 2 routes",
    withFirst({ routes: ["n2", "n3"] }),
    withFirst({ routes: ["n2"] }),
    "critical routes-missing @ n1",
  ],
  [
    "the oldest supported server",
    withFirst({ version: "2.15.1" }),
    {
      servers: ["n1", "n2", "n3"].map((name) => server(name, { version: "2.8.4" })),
      bucket: bucket({ replicas: 1 }),
    },
    "critical server-version @ n1",
  ],
  [
    "replicas on 2.9.21 or later",
    { servers: ["n1", "n2", "n3"].map((name) => server(name, { version: "2.9.21" })) },
    { servers: ["n1", "n2", "n3"].map((name) => server(name, { version: "2.9.20" })) },
    `critical server-version @ ${bucketName}`,
  ],
  [
    "3 replicas on 3 servers",
    { bucket: bucket({ replicas: 3 }) },
    { bucket: bucket({ replicas: 2 }) },
    `warning replicas @ ${bucketName}`,
  ],
];

describe.each(thresholds)("%s", (_title, within, beyond, expected) => {
  test("gives no finding", () => {
    expect(found(within)).toEqual([]);
  });

  test("gives a finding beyond it", () => {
    expect(found(beyond)).toContain(expected);
  });
});

/** Title, the change, the findings. */
const states: readonly (readonly [string, Partial<Facts>, readonly string[]])[] = [
  [
    "a server that does not answer",
    {
      servers: [
        server("n1"),
        server("n2"),
        server("n3"),
        server("n4", { error: "no answer", routes: null, meta: null, cluster: null }),
      ],
    },
    ["critical server-down @ n4"],
  ],
  [
    "a server that is not healthy",
    withFirst({ health: { ok: false, error: "JetStream is not current" } }),
    ["critical server-unhealthy @ n1"],
  ],
  ["no connection", { connection: { server: null, problem: "refused" } }, ["critical no-connection @ NATS"]],
  [
    "a user outside the system account",
    { system: { server: "n1", problem: "no answer" } },
    ["critical no-connection @ the system account"],
  ],
  [
    "a missing gateway",
    withFirst({ gateways: { configured: ["north", "west"], connected: ["north"] } }),
    ["critical gateways-missing @ n1"],
  ],
  ["all gateways", withFirst({ gateways: { configured: ["north"], connected: ["north"] } }), []],
  [
    "no meta leader",
    { servers: [1, 2, 3].map((n) => server(`n${n}`, { meta: meta({ leader: null, peers: [] }) })) },
    ["critical meta-leaderless @ n1, n2, n3"],
  ],
  ["two meta leaders", withFirst({ meta: meta({ leader: "n3" }) }), ["critical meta-disagreement @ n1, n3"]],
  [
    "an offline meta peer",
    withFirst({ meta: meta({ peers: [peer("n2"), peer("n3", { offline: true })] }) }),
    ["critical meta-peer-offline @ n3"],
  ],
  ["JetStream disabled on one server", withFirst({ jetstream: false }), []],
  [
    "JetStream disabled everywhere",
    { servers: [server("n1", { cluster: null, routes: null, meta: null, jetstream: false })] },
    ["critical jetstream-off @ n1"],
  ],
  ["mixed versions", withFirst({ version: "2.12.1" }), ["note mixed-versions @ servers"]],
  [
    "a bucket that cannot be read",
    { bucket: null, bucketProblem: "no answer" },
    ["critical bucket-unreadable @ cluster billing"],
  ],
  [
    "a bucket that does not exist yet",
    {
      bucket: bucket({ exists: false }),
      lease: { leader: null, epoch: 0, holder: null, garbage: null, answers: null, ageMs: 0, ttlMs: 10_000 },
    },
    [`warning bucket-missing @ ${bucketName}`],
  ],
  [
    "garbage on the key of the lease, which is not called a missing leader",
    {
      lease: {
        leader: null,
        epoch: 0,
        holder: null,
        garbage: "not JSON",
        answers: null,
        ageMs: 5,
        ttlMs: 10_000,
      },
    },
    ["critical lease-garbage @ cluster billing"],
  ],
  [
    "one node that competes",
    { nodes: [node("a"), node("w", { competes: false })] },
    ["note no-standby @ cluster billing"],
  ],
  ["one node that competes, as expected", { nodes: [node("a")], expectedNodes: 1 }, []],
  ["two of two expected nodes", { expectedNodes: 2 }, []],
  [
    "two of three expected nodes: one does not answer",
    { nodes: [node("a"), node("b"), node("c", { instance: null })], expectedNodes: 3 },
    ["warning nodes-missing @ cluster billing"],
  ],
  [
    "expected nodes of which one follows only, and one id is used twice",
    { nodes: [node("a"), node("b", { competes: false }), node("a", { instance: "twin" })], expectedNodes: 3 },
    ["warning nodes-missing @ cluster billing", "warning duplicate-id @ node a"],
  ],
  ["expected nodes that could not be listed", { nodes: null, expectedNodes: 3 }, []],
  [
    "a bucket without a leader",
    { bucket: bucket({ leader: null }) },
    [`critical bucket-leaderless @ ${bucketName}`],
  ],
  [
    "a single server's bucket",
    {
      bucket: bucket({ clustered: false, leader: null, replicas: 1, peers: [] }),
      servers: [server("n1", { cluster: null, routes: null, meta: null })],
    },
    [],
  ],
  [
    "an offline replica",
    { bucket: bucket({ peers: [peer("n1"), peer("n3", { offline: true, current: false, lag: 9_999 })] }) },
    [`critical bucket-peer-offline @ ${bucketName}`],
  ],
  [
    "a replica that is not current",
    { bucket: bucket({ peers: [peer("n1"), peer("n3", { current: false })] }) },
    [`warning bucket-peer-behind @ ${bucketName}`],
  ],
  [
    "a bucket without republish",
    { bucket: bucket({ republish: false }) },
    [`warning no-republish @ ${bucketName}`],
  ],
  [
    "a bucket with memory storage",
    { bucket: bucket({ storage: "memory" }) },
    [`warning memory-storage @ ${bucketName}`],
  ],
  [
    "a bucket with a compatible max-age",
    { bucket: bucket({ maxAgeMs: 10_000, config: newStreamConfig("billing", 3, 10_000) }) },
    [`note max-age @ ${bucketName}`],
  ],
  [
    "a max-age below the lease",
    { bucket: bucket({ maxAgeMs: 9_999, config: newStreamConfig("billing", 3, 9_999) }) },
    [`critical bucket-incompatible @ ${bucketName}`, `note max-age @ ${bucketName}`],
  ],
  [
    "placement in a known cluster",
    {
      servers: [
        server("n1"),
        server("n2"),
        server("n3"),
        server("w1", { cluster: "west", routes: [], meta: null }),
      ],
      bucket: bucket({ placement: { cluster: "west", tags: [] } }),
    },
    [],
  ],
  [
    "placement in an unknown cluster",
    {
      servers: [
        server("n1"),
        server("n2"),
        server("n3"),
        server("w1", { cluster: "west", routes: [], meta: null }),
      ],
      bucket: bucket({ placement: { cluster: "north", tags: [] } }),
    },
    [`warning placement @ ${bucketName}`],
  ],
  [
    "a leader that does not answer",
    { lease: { leader: "a", epoch: 1, holder: "a", garbage: null, answers: false, ageMs: 9, ttlMs: 10_000 } },
    ["warning leader-silent @ node a"],
  ],
  [
    "a leader that could not be asked",
    { lease: { leader: "a", epoch: 1, holder: "a", garbage: null, answers: null, ageMs: 9, ttlMs: 10_000 } },
    [],
  ],
  [
    "no leader although nodes compete",
    {
      lease: { leader: null, epoch: 0, holder: null, garbage: null, answers: null, ageMs: 0, ttlMs: 10_000 },
    },
    ["critical nobody-leads @ cluster billing"],
  ],
  [
    "no leader and no competing node",
    {
      lease: { leader: null, epoch: 0, holder: null, garbage: null, answers: null, ageMs: 0, ttlMs: 10_000 },
      nodes: [node("a", { competes: false }), node("b", { instance: null })],
    },
    ["warning nobody-competes @ cluster billing"],
  ],
  [
    "two processes with one node id",
    { nodes: [node("a"), node("b"), node("b", { instance: "another" })] },
    ["warning duplicate-id @ node b"],
  ],
  [
    "different lease TTLs",
    { nodes: [node("a"), node("b", { leaseTtlMs: 9_999 })] },
    ["warning ttls-differ @ nodes"],
  ],
  ["presence off", { nodes: [node("a"), node("b", { presence: "off" })] }, ["warning presence-off @ node b"]],
  [
    "presence denied",
    { nodes: [node("a"), node("b", { presence: "denied" })] },
    ["warning presence-off @ node b"],
  ],
  [
    "presence off by intention, with a promise of silence",
    { nodes: [node("a"), node("b", { presence: "off", crashDetection: "silence" })] },
    [],
  ],
  [
    "no promise of silence beside presence",
    { nodes: [node("a", { silenceMs: 0 }), node("b")] },
    ["note silence-off @ node a"],
  ],
  [
    "no promise of silence with a lease for which it is not the default",
    { nodes: [node("a", { silenceMs: 0, leaseTtlMs: 4_999 }), node("b", { leaseTtlMs: 4_999 })] },
    [],
  ],
  [
    "no promise of silence, which is all there is",
    { nodes: [node("a", { presence: "off", crashDetection: "silence", silenceMs: 0 }), node("b")] },
    ["warning silence-off @ node a"],
  ],
  [
    "a node of an earlier version",
    { nodes: [node("a"), node("b", { crashDetection: null, silenceMs: null })] },
    [],
  ],
  [
    "an observer without a promise",
    { nodes: [node("a"), node("b"), node("w", { silenceMs: 0, competes: false })] },
    [],
  ],
  [
    "an observer without presence",
    { nodes: [node("a"), node("b"), node("w", { presence: "off", competes: false })] },
    [],
  ],
  [
    "a go-cluster node",
    { nodes: [node("a"), node("b", { state: null, presence: null, leaseTtlMs: null, competes: null })] },
    ["note go-cluster-node @ node b"],
  ],
];

test.each(states)("%s", (_title, change, expected) => {
  expect(found(change)).toEqual(expected);
});

describe("a bucket that does not exist", () => {
  const missing = { bucket: bucket({ exists: false }), lease: null };
  const first = (change: Partial<Facts>) => diagnose(facts({ ...missing, ...change }))[0];

  test("is a warning also if the nodes could not be listed", () => {
    expect(first({ nodes: null })).toMatchObject({
      severity: "warning",
      code: "bucket-missing",
      todo: expect.stringContaining("nats-leader create-bucket"),
    });
  });

  test("is a warning that names the nodes which run", () => {
    expect(first({})).toMatchObject({
      severity: "warning",
      what: expect.stringContaining("nodes run: a, b"),
    });
  });

  test("without nodes suggests a mistake in the cluster id, and names the clusters that exist", () => {
    const found = first({ nodes: [], otherClusters: ["c1", "c2", "c3", "c4", "c5", "c6"] });
    expect(found).toMatchObject({
      severity: "warning",
      what: 'it does not exist, and no node of cluster "billing" answers',
      todo: expect.stringContaining("(this account has the clusters c1, c2, c3, c4, c5, ...)"),
    });
    expect(first({ nodes: [] })?.todo).toContain("check the cluster id and the account");
  });
});

describe("a lost server is one finding, with the reports of other servers as consequences", () => {
  const gone = { offline: true, current: false };
  const others = ["n1", "n2"].map((name) =>
    server(name, {
      routes: [name === "n1" ? "n2" : "n1"],
      meta: meta({ peers: [peer(name === "n1" ? "n2" : "n1"), peer("n3", gone)] }),
    }),
  );
  const replicas = bucket({ peers: [peer("n1"), peer("n3", gone)] });
  /** Code of each finding, with the codes of its consequences in brackets. */
  const codes = (change: Partial<Facts>): string[] =>
    diagnose(facts(change)).map(
      ({ code, consequences = [] }) => `${code} (${consequences.map((one) => one.code)})`,
    );
  const routes = "routes-missing,routes-missing";

  test.each([
    ["by its name", "n3"],
    ["by its address alone", "127.0.0.1:8224"],
  ])("if its monitoring port is known %s", (_how, name) => {
    const silent = server(name, { error: "no answer", routes: null, meta: null, cluster: null });
    expect(codes({ servers: [...others, silent], bucket: replicas })).toEqual([
      `server-down (${routes},meta-peer-offline,bucket-peer-offline)`,
    ]);
    expect(codes({ servers: [...others, silent], bucket: bucket() })).toEqual([
      `server-down (${routes},meta-peer-offline)`,
    ]);
  });

  test("if only other servers know it", () => {
    expect(codes({ servers: others, bucket: replicas })).toEqual([
      `meta-peer-offline (${routes},bucket-peer-offline)`,
    ]);
    expect(codes({ servers: [], bucket: replicas })).toEqual(["bucket-peer-offline ()"]);
    const early = others.map((one) => ({ ...one, meta: meta({ peers: [peer("n2"), peer("n3")] }) }));
    expect(codes({ servers: early })).toEqual(["routes-missing (routes-missing)"]);
  });

  test("in its first seconds: replicas that are not current or behind, no meta leader, no leader of the bucket, no node leads", () => {
    const silent = server("127.0.0.1:8224", { error: "no answer", routes: null, meta: null, cluster: null });
    const unhealthy = { ok: false, error: "JetStream is not current with the meta leader" };
    const early = others.map((one) => ({
      ...one,
      health: unhealthy,
      meta: meta({ leader: null, peers: [] }),
    }));
    const change: Partial<Facts> = {
      servers: [...early, silent],
      bucket: bucket({ leader: null, peers: [peer("n1"), peer("n2"), peer("n3", { current: false })] }),
      lease: { leader: null, epoch: 0, holder: null, garbage: null, answers: null, ageMs: 0, ttlMs: 10_000 },
    };
    const health = "server-unhealthy,server-unhealthy";
    const after = `meta-leaderless,bucket-leaderless,bucket-peer-behind,nobody-leads`;
    expect(codes(change)).toEqual([`server-down (${health},${routes},${after})`]);
    const lagging = bucket({ peers: [peer("n1"), peer("n3", { lag: 5_000 })] });
    expect(codes({ servers: [...others, silent], bucket: lagging })).toEqual([
      `server-down (${routes},meta-peer-offline,lag)`,
    ]);
  });

  test("in its first seconds: nodes that were connected to it, or could not create their consumer, have no presence", () => {
    const silent = server("n3", { error: "no answer", routes: null, meta: null, cluster: null });
    const early = [node("a", { presence: "off" }), node("b"), node("c", { presence: "off" })];
    const change = { servers: [...others, silent], nodes: early };
    expect(codes(change)).toEqual([`server-down (${routes},meta-peer-offline,presence-off,presence-off)`]);
    expect(codes({ nodes: early })).toEqual(["presence-off ()", "presence-off ()"]);
    const denied = [node("a", { presence: "denied" }), node("b")];
    expect(codes({ ...change, nodes: denied })).toEqual([
      `server-down (${routes},meta-peer-offline)`,
      "presence-off ()",
    ]);
  });

  test("not so what concerns a server that runs", () => {
    const silent = server("n3", { error: "no answer", routes: null, meta: null, cluster: null });
    const behind = bucket({ leader: "n1", peers: [peer("n2", { current: false }), peer("n3", gone)] });
    expect(codes({ servers: [...others, silent], bucket: behind })).toEqual([
      `server-down (${routes},meta-peer-offline,bucket-peer-offline)`,
      "bucket-peer-behind ()",
    ]);
  });

  test("two lost servers are two findings", () => {
    const down = ["n2", "n3"].map((name) =>
      server(name, { error: "no answer", routes: null, meta: null, cluster: null }),
    );
    const alone = server("n1", { routes: [], meta: meta({ leader: null, peers: [] }) });
    expect(codes({ servers: [alone, ...down] })).toEqual([
      "server-down (routes-missing)",
      "server-down ()",
      "meta-leaderless ()",
    ]);
  });

  test("a missing route between running servers is a finding of its own", () => {
    const apart = withFirst({ routes: ["n2"] });
    expect(codes({ ...apart, bucket: replicas })).toEqual(["routes-missing ()", "bucket-peer-offline ()"]);
  });
});

describe("the expected number of servers", () => {
  test("is the operator's number", () => {
    expect(found({ expectedServers: 3 })).toEqual([]);
    const five = found({ expectedServers: 5 });
    expect(five).toEqual(["n1", "n2", "n3"].map((name) => `critical routes-missing @ ${name}`));
  });

  test("is the meta group's size, if the name of the missing server is unknown", () => {
    const servers = ["n1", "n2"].map((name) =>
      server(name, { routes: [name === "n1" ? "n2" : "n1"], meta: meta({ size: 3, peers: [] }) }),
    );
    expect(found({ servers, bucket: null })).toEqual(
      ["n1", "n2"].map((name) => `critical routes-missing @ ${name}`),
    );
  });

  test("is not the meta group's size if it spans several clusters", () => {
    const east = ["n1", "n2"].map((name) =>
      server(name, {
        routes: [name === "n1" ? "n2" : "n1"],
        gateways: { configured: ["west"], connected: ["west"] },
        meta: meta({ size: 4, peers: [] }),
      }),
    );
    expect(found({ servers: east })).toEqual([]);
  });
});

describe("clocks", () => {
  const clock = (change: Partial<ClockReading> = {}): ClockReading => ({
    offsetMs: 40,
    offsetErrorMs: 10,
    ratePpm: 100,
    rateErrorPpm: 500,
    ...change,
  });
  /** n2 leads the bucket, so its clock is the reference. Both readings have an error of 10 ms and 500 ppm. */
  const other = (change: Partial<ClockReading>): Partial<Facts> => ({
    servers: [server("n1"), server("n2", { clock: clock() }), server("n3")],
    nodes: [node("a"), node("b", { clock: clock(change) })],
  });

  test("that agree give no finding, whatever this machine's clock shows", () => {
    expect(found(other({}))).toEqual([]);
  });

  test.each([1_060, -980])("whose offset is %d ms may differ by 1 s beyond the error bounds", (offsetMs) => {
    expect(found(other({ offsetMs }))).toEqual([]);
    const more = offsetMs + Math.sign(offsetMs);
    expect(found(other({ offsetMs: more }))).toEqual(["warning clock-offset @ node b"]);
  });

  test.each([1, -1])("may differ in rate by 1 % beyond the error bounds (direction %d)", (sign) => {
    expect(found(other({ ratePpm: 100 + sign * 11_000 }))).toEqual([]);
    expect(found(other({ ratePpm: 100 + sign * 11_001 }))).toEqual(["warning clock-rate @ node b"]);
    expect(found(other({ ratePpm: 100 + sign * 51_000 }))).toEqual(["warning clock-rate @ node b"]);
    expect(found(other({ ratePpm: 100 + sign * 51_001 }))).toEqual(["critical clock-rate @ node b"]);
  });

  test("that were not read, or only in part, give no finding", () => {
    expect(found(other({ offsetMs: null, ratePpm: null }))).toEqual([]);
    expect(found({ nodes: [node("b"), node("a", { clock: clock({ offsetMs: 1e9 }) })] })).toEqual([]);
  });
});

describe("permissions", () => {
  const tried = (change: Partial<TriedPermission>): Partial<Facts> => ({
    permissions: {
      role: "node",
      command: "nats-leader permissions node --cluster-id c",
      tried: [{ direction: "publish", subject: "x", purpose: "y", vital: true, allowed: true, ...change }],
    },
  });

  test("are missing if they were denied, not if they could not be tried", () => {
    expect(found(tried({}))).toEqual([]);
    expect(found(tried({ allowed: null }))).toEqual([]);
    expect(found(tried({ allowed: false }))).toEqual(["critical permission-missing @ this user"]);
    expect(found(tried({ allowed: false, vital: false }))).toEqual([
      "warning permission-missing @ this user",
    ]);
  });
});

test("the most severe finding comes first and decides the verdict", () => {
  const findings = diagnose(
    facts({
      ...withFirst({ version: "2.12.1", memory: usage(900), health: { ok: false, error: "x" } }),
    }),
  );
  expect(findings.map(({ severity }) => severity)).toEqual(["critical", "warning", "note"]);
  expect(verdictOf(findings)).toBe("critical");
  expect(verdictOf(findings.slice(1))).toBe("warning");
  expect(verdictOf(findings.slice(2))).toBe("ok");
});

test("every finding has a problem and an action", () => {
  for (const [, change] of states) {
    for (const finding of diagnose(facts(change))) {
      expect(finding.what.length, finding.code).toBeGreaterThan(5);
      expect(finding.todo.length, finding.code).toBeGreaterThan(10);
    }
  }
});
