/** Decoding of server documents to facts, and the permissions that a role needs. */
import { describe, expect, test } from "vitest";
import { askedNow } from "../../src/doctor/clocks/clock.ts";
import type { ServerFacts } from "../../src/doctor/facts.ts";
import { accountUsage } from "../../src/doctor/sources/account-usage.ts";
import { AdvertisedServers } from "../../src/doctor/sources/advertised-servers.ts";
import type { ServerAnswer } from "../../src/doctor/sources/ask-servers.ts";
import { timeIn } from "../../src/doctor/sources/json.ts";
import { readBucket } from "../../src/doctor/sources/read-bucket.ts";
import {
  type Documents,
  merged,
  readServer,
  unknownServer,
  withNames,
} from "../../src/doctor/sources/read-server.ts";
import { permissionsCommand, wantedBy } from "../../src/doctor/sources/roles.ts";
import { covers, mayPublish } from "../../src/doctor/sources/try-permissions.ts";
import { newStreamConfig } from "../../src/nats/lease/stream-config.ts";
import { PERMISSION_ROLES, type PermissionRole, permissionsFor } from "../../src/nats/permissions.ts";
import { bucket } from "../support/doctor/healthy-cluster.ts";

const VARZ = {
  server_id: "ID1",
  server_name: "n1",
  version: "2.15.1",
  start: "2026-01-01T00:00:00.5Z",
  now: "2026-01-01T00:00:02.75Z",
  connections: 4,
  slow_consumers: 1,
  cluster: { name: "east" },
  gateway: { name: "east", gateways: [{ name: "east" }, { name: "west" }] },
};

function documents(change: Partial<Documents> = {}): Documents {
  return {
    varz: VARZ,
    jsz: null,
    routez: null,
    gatewayz: null,
    healthz: null,
    connz: null,
    closedz: null,
    ...change,
  };
}

describe("a server's documents", () => {
  test("are decoded, and missing fields stay null", () => {
    expect(readServer(documents(), "monitoring")).toEqual({
      ...unknownServer("n1", "monitoring"),
      serverId: "ID1",
      version: "2.15.1",
      cluster: "east",
      uptimeMs: 2_250,
      connections: 4,
      slowConsumers: 1,
    });
    expect(readServer(documents({ varz: { hello: "world" } }), "monitoring")).toBeNull();
    expect(readServer(documents({ varz: null }), "system")).toBeNull();
  });

  test("count traffic, requests, and connections that are open or ended within a minute", () => {
    const now = "2026-01-01T02:00:00Z";
    const connections = [
      { cid: 3, name: "reader", pending_bytes: 70, last_activity: "2026-01-01T01:59:59Z" },
      { cid: 4, pending_bytes: 5, last_activity: "2026-01-01T01:00:00Z" },
      { cid: 5, pending_bytes: 0, last_activity: "2026-01-01T01:00:01Z" },
    ];
    const closed = ["Authentication Failure", "Authentication Timeout", "Slow Consumer (Write Deadline)"];
    closed.push("Slow Consumer (Pending Bytes)", "Stale Connection", "Client Closed");
    const ended = closed.map((reason) => ({ reason, stop: "2026-01-01T01:59:01Z" }));
    const long = { reason: "Authentication Failure", stop: "2026-01-01T01:59:00Z" };
    const server = readServer(
      documents({
        varz: { ...VARZ, total_connections: 9, in_msgs: 1, out_msgs: 2, in_bytes: 3, out_bytes: 4 },
        jsz: { config: { max_memory: 1 }, api: { total: 12, errors: 2 } },
        routez: {
          routes: [{ remote_name: "n3", pending_size: 4 }, { remote_name: "n2" }, { remote_name: "n3" }],
        },
        connz: { now, total: 300, connections },
        closedz: { now, total: 7, connections: [...ended, long] },
      }),
      "monitoring",
    );
    expect(server).toMatchObject({
      totalConnections: 9,
      traffic: { inMsgs: 1, outMsgs: 2, inBytes: 3, outBytes: 4 },
      api: { requests: 12, errors: 2 },
      routePending: [
        { to: "n2", bytes: 0 },
        { to: "n3", bytes: 4 },
      ],
      open: {
        total: 300,
        listed: 3,
        idle: 1,
        pendingBytes: 75,
        slowest: { id: 3, name: "reader", pendingBytes: 70 },
      },
      closed: { all: 6, authentication: 2, slow: 2, stale: 1 },
    });
  });

  test("give one route per server, and ids in place of names on old servers", () => {
    const routes = [{ remote_name: "n2" }, { remote_name: "n2" }, { remote_id: "ID3" }, { junk: 1 }];
    const server = readServer(documents({ routez: { routes } }), "monitoring");
    if (server === null) throw new Error("the documents have a name");
    expect(server.routes).toEqual(["ID3", "n2"]);
    expect(withNames([server], new Map([["ID3", "n3"]]))[0]?.routes).toEqual(["n2", "n3"]);
  });

  test("list the other clusters: configured ones and those from gossip", () => {
    const gatewayz = {
      outbound_gateways: { west: { configured: true }, south: { connection: { cid: 1 } } },
      inbound_gateways: { north: [{}] },
    };
    expect(readServer(documents({ gatewayz }), "system")?.gateways).toEqual({
      configured: ["north", "south", "west"],
      connected: ["south"],
    });
  });

  test("distinguish disabled JetStream from empty JetStream", () => {
    const of = (jsz: Documents["jsz"]) => readServer(documents({ jsz }), "system");
    expect(of({ disabled: true, config: { max_memory: 1, max_storage: 1 } })?.jetstream).toBe(false);
    expect(of({ config: { max_memory: 0, max_storage: 0 } })).toMatchObject({
      jetstream: false,
      storage: null,
    });
    expect(of({ memory: 0, storage: 7, config: { max_memory: 10, max_storage: -1 } })).toMatchObject({
      jetstream: true,
      memory: { usedBytes: 0, limitBytes: 10 },
      storage: { usedBytes: 7, limitBytes: null },
    });
  });

  test("give the state of a stream only from its leader", () => {
    const replicas = [
      { name: "n2", current: true, lag: 5 },
      { name: "n3", offline: true },
    ];
    const consumers = [{ name: "c", num_pending: 3 }];
    const detail = (name: string, leader?: string) => ({
      name,
      consumer_detail: consumers,
      ...(leader === undefined ? {} : { cluster: { leader, replicas } }),
    });
    const stream_detail = [detail("LED", "n1"), detail("FOLLOWED", "n2"), detail("SINGLE")];
    const jsz = { config: {}, account_details: [{ name: "A", stream_detail }] };
    const pending = [{ name: "c", pending: 3 }];
    expect(readServer(documents({ jsz }), "system")?.streams).toEqual([
      {
        account: "A",
        stream: "LED",
        consumers: pending,
        peers: [
          { name: "n2", current: true, offline: false, lag: 5 },
          { name: "n3", current: false, offline: true, lag: 0 },
        ],
      },
      { account: "A", stream: "SINGLE", consumers: pending, peers: [] },
    ]);
  });

  test("of several sources are merged; the first source with a field wins", () => {
    const [one, ...others] = merged([
      { ...unknownServer("n1", "monitoring"), connections: 3 },
      { ...unknownServer("n1", "system"), connections: 4, slowConsumers: 2 },
    ]);
    expect(others).toEqual([]);
    expect(one).toMatchObject({ connections: 3, slowConsumers: 2, sources: ["monitoring", "system"] });
  });

  test("that have one name and different ids are not merged", () => {
    const of = (serverId: string | null, connections: number): ServerFacts => {
      return { ...unknownServer("n1", "monitoring"), serverId, connections };
    };
    const found = merged([of("X", 1), of("Y", 2), of("Y", 3), of(null, 4)]);
    expect(found.map(({ serverId, connections }) => [serverId, connections])).toEqual([
      ["X", 1],
      ["Y", 2],
    ]);
  });
});

test("times keep fractions of a millisecond", () => {
  const whole = Date.parse("2026-01-01T00:00:00Z");
  const at = (now: string): number | null => timeIn({ now }, "now");
  expect(at("2026-01-01T00:00:00.000500000Z")).toBeCloseTo(whole + 0.5, 3);
  expect(at("2026-01-01T01:00:00.25+01:00")).toBe(whole + 250);
  expect(at("2026-01-01T00:00:00Z")).toBe(whole);
  expect(at("soon")).toBeNull();
});

test("a bucket is decoded from the API's answer and from a server's list of streams", () => {
  const stream = { created: "2026-01-01T00:00:00Z", state: { last_seq: 1, bytes: 500 } };
  const config = { ...newStreamConfig("billing", 3, 0), max_bytes: 1_000, placement: { cluster: "west" } };
  const cluster = { raft_group: "S-R3F", leader: "n2", replicas: [{ name: "n1", current: true }] };
  expect(readBucket({ ...stream, config, cluster }, "billing")).toMatchObject({
    exists: true,
    replicas: 3,
    republish: true,
    clustered: true,
    leader: "n2",
    placement: { cluster: "west", tags: [] },
    size: { usedBytes: 500, limitBytes: 1_000 },
  });
  const single = { ...stream, config: newStreamConfig("billing", 1, 0), cluster: { leader: "n1" } };
  expect(readBucket(single, "billing")).toMatchObject({ clustered: false, size: { limitBytes: null } });
  expect(readBucket({ error: "no" }, "billing")).toBeNull();
});

test("of an account with limits per replica count, the tier with the highest usage counts", () => {
  const tier = (storage: number) => ({ memory: 0, storage, limits: { max_memory: -1, max_storage: 100 } });
  const tiers = { R1: tier(10), R3: tier(90) };
  const limits = { max_memory: 0, max_storage: 0 };
  const found = accountUsage({ memory: 0, storage: 100, limits, tiers });
  expect(found).toEqual({
    memory: { usedBytes: 0, limitBytes: null },
    storage: { usedBytes: 90, limitBytes: 100 },
  });
  expect(accountUsage({ memory: 1, storage: 2, limits: { max_memory: -1, max_storage: 5 } })).toMatchObject({
    storage: { usedBytes: 2, limitBytes: 5 },
  });
});

describe("the permissions of a role", () => {
  const who = { clusterId: "billing", nodeId: null, unique: "doctor_x" };

  test.each(PERMISSION_ROLES)(
    "%s are those of permissionsFor(), without the inbox, each with a probe",
    (role) => {
      for (const nodeId of [null, "a"]) {
        const { publish, subscribe, inboxPrefix } = permissionsFor({
          clusterId: "billing",
          role,
          ...(nodeId === null ? {} : { nodeId }),
        });
        const wanted = wantedBy(role, { ...who, nodeId, bucket: bucket() });
        const own = subscribe.filter((subject) => subject !== `${inboxPrefix}.>`);
        expect(wanted.map(({ subject }) => subject)).toEqual([...publish, ...own]);
        for (const { subject, probe } of wanted) {
          expect(covers(subject, probe), `${subject} covers ${probe}`).toBe(true);
          expect(probe).not.toMatch(/[*>]/);
        }
      }
    },
  );

  test("of a node depend on the bucket: a consumer watches one that does not republish", () => {
    const more = (found: Parameters<typeof bucket>[0]): string[] => {
      const usual = wantedBy("node", { ...who, bucket: bucket() }).map(({ subject }) => subject);
      const wanted = wantedBy("node", { ...who, bucket: bucket(found) }).map(({ subject }) => subject);
      return wanted.filter((subject) => !usual.includes(subject));
    };
    const stream = "KV_KV_CLUSTER_billing";
    expect(more({ republish: false })).toEqual([
      `$JS.API.CONSUMER.CREATE.${stream}.*.$KV.KV_CLUSTER_billing.leader`,
    ]);
    expect(more({ exists: false })).toEqual([]);
  });

  test("are printed by the command that a finding names", () => {
    const command = (role: PermissionRole, more: Partial<Parameters<typeof permissionsCommand>[1]>): string =>
      permissionsCommand(role, { ...who, bucket: bucket(), domain: null, ...more });
    const start = "nats-leader permissions";
    expect(command("observer", { nodeId: "w" })).toBe(`${start} observer --cluster-id billing --node-id w`);
    expect(command("observer", { nodeId: "w", withoutService: true })).toBe(
      `${start} observer --cluster-id billing`,
    );
    expect(command("operator", { nodeId: "w" })).toBe(`${start} operator --cluster-id billing`);
    expect(command("node", { nodeId: "a", bucket: bucket({ republish: false }), domain: "it's" })).toBe(
      `${start} node --cluster-id billing --node-id a --watch-consumer --domain 'it'\\''s'`,
    );
  });

  test("without micro service are those of an observer without node id, of a node all but its endpoints", () => {
    const subjects = (role: PermissionRole, nodeId: string | null, withoutService: boolean): string[] =>
      wantedBy(role, { ...who, nodeId, withoutService, bucket: bucket() }).map(({ subject }) => subject);
    expect(subjects("observer", "w", true)).toEqual(subjects("observer", null, false));
    const gone = subjects("node", "a", false).filter((one) => !subjects("node", "a", true).includes(one));
    expect(gone).toContain("cluster_billing.ping.a");
    expect(gone).toContain("$SRV.INFO");
    expect(gone.every((one) => /^(cluster_billing|\$SRV)\./.test(one))).toBe(true);
  });

  test("are tried without an effect: never the lease and a deletion, with garbage what changes a stream", () => {
    const trialOf = (role: PermissionRole, found: Parameters<typeof bucket>[0], part: string): string[] =>
      wantedBy(role, { ...who, bucket: bucket(found) })
        .filter(({ direction, subject }) => direction === "publish" && subject.includes(part))
        .map(({ trial }) => trial);
    expect(trialOf("node", { exists: false }, "$KV.KV_CLUSTER_billing.leader")).toEqual(["never"]);
    expect(trialOf("administrator", {}, "STREAM.CREATE")).toEqual(["garbage", "garbage"]);
    expect(trialOf("node", { republish: false }, "CONSUMER.CREATE")).toEqual(["garbage", "garbage"]);
    expect(trialOf("administrator", {}, "STREAM.DELETE")).toEqual(["never", "never"]);
    expect(trialOf("administrator", {}, "STREAM.UPDATE")).toEqual(["garbage", "garbage"]);
    expect(trialOf("operator", {}, "control.*.stepdown")).toEqual(["read"]);
  });
});

test.each([
  ["a.b", "a.b", true],
  ["a.*", "a.b", true],
  ["a.*", "a.b.c", false],
  ["a.>", "a.b.c", true],
  ["a.>", "a", false],
  ["a.b.c", "a.b", false],
  ["*.b", "a.c", false],
])("%s covers %s: %s", (pattern, subject, expected) => {
  expect(covers(pattern, subject)).toBe(expected);
});

test("mayPublish evaluates a user's permissions", () => {
  const may = (publish: object): boolean => mayPublish({ permissions: { publish } }, "$KV.b.leader");
  expect(mayPublish({}, "$KV.b.leader")).toBe(true);
  expect(may({ allow: ["$KV.b.*"] })).toBe(true);
  expect(may({ allow: ["app.>"] })).toBe(false);
  expect(may({ deny: ["$KV.>"] })).toBe(false);
  expect(may({ deny: ["app.>"] })).toBe(true);
});

describe("the servers that a server advertises", () => {
  const answer = (name: string, cluster: string): ServerAnswer => ({
    ...{ name, data: {}, asked: askedNow() },
    server: { name, cluster },
  });
  const urls = (count: number): string[] =>
    Array.from({ length: count }, (_, index) => `10.0.0.${index}:4222`);
  const [one, two, far] = [answer("n1", "east"), answer("n2", "east"), answer("far", "west")];

  test("may be missing while fewer servers of the cluster have answered than there are URLs", () => {
    const servers = new AdvertisedServers();
    const info = { cluster: "east", connect_urls: urls(2) };
    expect([[one], [one, far], [one, two]].map((found) => servers.areMissing(info, found))).toEqual([
      ...[true, true, false],
    ]);
    expect(servers.areMissing({}, [answer("n1", "")])).toBe(false);
    expect(servers.areMissing(undefined, [])).toBe(false);
  });

  test("are not missing again when the same URLs belonged to fewer servers", () => {
    const servers = new AdvertisedServers();
    const info = { cluster: "east", connect_urls: urls(4) };
    servers.learn(info, [one, far]);
    expect(servers.areMissing(info, [one])).toBe(false);
    servers.learn(info, [one, two]);
    servers.learn(info, [one]);
    expect([[one], [one, two]].map((found) => servers.areMissing(info, found))).toEqual([true, false]);
    expect(servers.areMissing({ ...info, connect_urls: urls(5) }, [one, two])).toBe(true);
  });
});
