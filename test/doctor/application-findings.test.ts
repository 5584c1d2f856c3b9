/** What an application's credentials, its bucket's limits and placement are judged by. */
import { expect, test } from "vitest";
import type { ApplicationBucket, ApplicationFacts, Facts } from "../../src/doctor/facts.ts";
import { diagnose } from "../../src/doctor/findings/diagnose.ts";
import { accountLimits, readApplicationBucket } from "../../src/doctor/sources/application-reader.ts";
import { wantedForBucket } from "../../src/doctor/sources/roles.ts";
import { covers } from "../../src/doctor/sources/try-permissions.ts";
import { facts, peer, server } from "../support/doctor/healthy-cluster.ts";

const STREAM: ApplicationBucket = {
  exists: true,
  replicas: 3,
  storage: "file",
  size: { usedBytes: 100, limitBytes: 1_000 },
  placement: null,
  clustered: true,
  leader: "n1",
  peers: [peer("n2"), peer("n3")],
};
const ACCOUNT: ApplicationFacts["account"] = {
  storage: { usedBytes: 300, limitBytes: 3_000 },
  memory: { usedBytes: 0, limitBytes: 0 },
  streams: { used: 1, limit: 5 },
  consumers: { used: 1, limit: 5 },
};

function found(change: Partial<ApplicationFacts>, more: Partial<Facts> = {}): string[] {
  const application: ApplicationFacts = {
    bucket: "prices",
    user: "shop",
    readOnly: false,
    stream: STREAM,
    problem: null,
    tried: [],
    account: ACCOUNT,
    ...change,
  };
  return diagnose(facts({ applications: [application], ...more })).map(
    ({ severity, code }) => `${severity} ${code}`,
  );
}

const stream = (change: Partial<ApplicationBucket>): Partial<ApplicationFacts> => ({
  stream: { ...STREAM, ...change },
});

test("a bucket whose growth just fits into its account has no finding", () => {
  // (1000 - 100) * 3 replicas = 3000 - 300
  expect(found({})).toEqual([]);
  expect(found({ account: { ...ACCOUNT, storage: { usedBytes: 301, limitBytes: 3_000 } } })).toEqual([
    "warning application-limit",
  ]);
});

test.each([
  ["does not exist", stream({ exists: false }), "critical application-bucket-missing"],
  ["cannot be read", { stream: null, problem: "no JetStream" }, "critical application-bucket"],
  ["has no leader", stream({ leader: null }), "critical application-leaderless"],
  ["has two replicas", stream({ replicas: 2 }), "warning application-replicas"],
  [
    "has an offline replica",
    stream({ peers: [peer("n2", { offline: true })] }),
    "warning application-peer-offline",
  ],
  ["is 86 % full", stream({ size: { usedBytes: 860, limitBytes: 1_000 } }), "warning application-full"],
  ["is elsewhere", stream({ placement: { cluster: "west", tags: [] } }), "warning application-placement"],
  ["has no limit", stream({ size: { usedBytes: 1, limitBytes: null } }), "note application-unlimited"],
  [
    "cannot be created",
    { stream: { ...STREAM, exists: false }, account: { ...ACCOUNT, streams: { used: 5, limit: 5 } } },
    "warning application-limit",
  ],
  [
    "cannot be watched",
    { account: { ...ACCOUNT, consumers: { used: 5, limit: 5 } } },
    "warning application-limit",
  ],
] as const)("a bucket that %s", (_, change, finding) => {
  expect(found(change)).toContain(finding);
});

test("of several clusters, a bucket without placement may be in any", () => {
  const servers = [server("n1"), server("w1", { cluster: "west", routes: [] })];
  expect(found({}, { servers, bucket: null })).toContain("warning application-placement");
});

test("a bucket in memory is judged by the account's memory", () => {
  expect(found(stream({ storage: "memory" }))).toEqual([
    "warning application-memory",
    "warning application-limit",
  ]);
});

test("a missing right is named with the line that grants it", () => {
  const [finding] = diagnose(
    facts({
      applications: [
        {
          bucket: "prices",
          user: "shop",
          readOnly: true,
          stream: STREAM,
          problem: null,
          account: null,
          tried: [
            {
              direction: "publish",
              subject: "$KV.prices.>",
              purpose: "writing and deleting keys",
              vital: true,
              allowed: false,
            },
            {
              direction: "publish",
              subject: "$JS.FC.KV_prices.>",
              purpose: "flow control",
              vital: false,
              allowed: null,
            },
          ],
        },
      ],
    }),
  );
  expect(finding).toMatchObject({
    severity: "critical",
    where: 'user "shop", bucket prices',
    what: "it may not publish $KV.prices.>; the application needs this for writing and deleting keys",
    todo: 'add to the permissions of user "shop": publish { allow: ["$KV.prices.>"] }',
  });
});

test("every right is tried by a subject that it covers, and writing only if the application writes", () => {
  for (const readOnly of [true, false]) {
    const wanted = wantedForBucket("prices", readOnly, "unique");
    for (const { subject, probe } of wanted) expect(covers(subject, probe), subject).toBe(true);
    expect(wanted.some(({ subject }) => subject.startsWith("$KV."))).toBe(!readOnly);
    // A write is never tried: it would change the bucket.
    expect(wanted.filter(({ trial }) => trial === "never").map(({ subject }) => subject)).toEqual(
      readOnly ? [] : ["$KV.prices.>"],
    );
  }
});

test("answers of the server are decoded", () => {
  const config = { num_replicas: 3, storage: "file", max_bytes: -1, placement: { tags: ["region:eu"] } };
  const cluster = { leader: "n1", raft_group: "S", replicas: [{ name: "n2", current: true }] };
  expect(readApplicationBucket({ config, cluster, state: { bytes: 7 } })).toEqual({
    ...STREAM,
    size: { usedBytes: 7, limitBytes: null },
    placement: { cluster: "", tags: ["region:eu"] },
    peers: [peer("n2")],
  });
  const limits = { max_memory: 0, max_storage: 10, max_streams: 3, max_consumers: -1 };
  expect(accountLimits({ memory: 0, storage: 5, streams: 2, consumers: 4, limits })).toEqual({
    memory: { usedBytes: 0, limitBytes: 0 },
    storage: { usedBytes: 5, limitBytes: 10 },
    streams: { used: 2, limit: 3 },
    consumers: { used: 4, limit: null },
  });
});
