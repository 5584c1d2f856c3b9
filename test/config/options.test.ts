import { readFileSync } from "node:fs";
import type { NatsConnection } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { optionsTable } from "../../scripts/build/generated.ts";
import { hostNodeId } from "../../src/config/node-id.ts";
import {
  DEFAULTS,
  type NodeOptions,
  PACKAGE_VERSION,
  type ResolvedOptions,
  resolveOptions,
} from "../../src/config/resolve.ts";
import { ClusterError } from "../../src/errors.ts";
import { Node } from "../../src/node/node.ts";
import { errorOf, FAKE_SEED, linesOf, MINIMAL } from "../support/config/refused-options.ts";

const FAKE_JWT = "eyJ0eXAiOiJKV1QifQ.eyJqdGkiOiJYIn0.c2lnbmF0dXJl";
const FAKE_CREDS = "-----BEGIN NATS USER JWT-----\nabc\n------END NATS USER JWT------";

function fakeConnection(): NatsConnection {
  const noop = (): void => {};
  return {
    publish: noop,
    request: noop,
    subscribe: noop,
    status: noop,
    isClosed: noop,
  } as unknown as NatsConnection;
}

test("two ids and a server are enough; the rest are the documented defaults", () => {
  const resolved = resolveOptions(MINIMAL);
  const { connectTimeoutMs, reconnectWaitMs, logLevel, ...flat } = DEFAULTS;
  expect(resolved).toMatchObject(flat);
  expect(logLevel).toBe("info");
  expect(resolved.nats).toEqual({ servers: ["nats://127.0.0.1:4222"], connectTimeoutMs, reconnectWaitMs });
  expect(resolved.election).toEqual({
    nodeId: "a",
    crashDetection: "presence",
    silenceMs: 2_000,
    leaseTtlMs: 10_000,
    heartbeatIntervalMs: 3_000,
    requestTimeoutMs: 1_000,
    retryDelayMs: 250,
    successorGraceMs: 50,
    cooldownMs: 10_000,
  });
});

test("resolved options cannot be changed", () => {
  const resolved = resolveOptions({ ...MINIMAL, tls: { ca: "ca.pem" } });
  for (const part of [resolved, resolved.nats, resolved.nats.servers, resolved.nats.tls, resolved.election]) {
    expect(Object.isFrozen(part)).toBe(true);
  }
});

test("an option that is undefined counts as not given", () => {
  const undefinedOnes = { user: undefined, pass: undefined, leaseTtlMs: undefined, logger: undefined };
  expect(resolveOptions({ ...MINIMAL, ...undefinedOnes })).toEqual(resolveOptions(MINIMAL));
});

test("the package version is that of package.json", () => {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  expect(PACKAGE_VERSION).toBe((JSON.parse(text) as { version: string }).version);
});

interface Accepted {
  readonly why: string;
  readonly options: Partial<NodeOptions>;
  readonly result: { [Key in keyof ResolvedOptions]?: unknown };
}

const ACCEPTED: readonly Accepted[] = [
  {
    why: "short leases get short intervals",
    options: { leaseTtlMs: 1_000 },
    result: {
      heartbeatIntervalMs: 300,
      requestTimeoutMs: 150,
      retryDelayMs: 50,
      cooldownMs: 1_000,
      nats: { servers: ["nats://127.0.0.1:4222"], connectTimeoutMs: 2_000, reconnectWaitMs: 50 },
    },
  },
  {
    why: "long leases keep the usual heartbeat",
    options: { leaseTtlMs: 3_600_000 },
    result: { heartbeatIntervalMs: 3_000, requestTimeoutMs: 1_000, retryDelayMs: 250 },
  },
  {
    why: "the longest heartbeat shortens the default timeout",
    options: { leaseTtlMs: 1_000, heartbeatIntervalMs: 499 },
    result: { requestTimeoutMs: 100, retryDelayMs: 50 },
  },
  { why: "the longest heartbeat of the default lease", options: { heartbeatIntervalMs: 4_999 }, result: {} },
  { why: "the longest timeout of the defaults", options: { requestTimeoutMs: 3_125 }, result: {} },
  { why: "no cool-down", options: { cooldownMs: 0 }, result: { cooldownMs: 0 } },
  { why: "no waiting for work", options: { drainTimeoutMs: 0 }, result: { drainTimeoutMs: 0 } },
  { why: "an observer does not compete", options: { observer: true }, result: { observer: true } },
  {
    why: "interop speaks as go-cluster",
    options: { interop: "go-cluster" },
    result: { serviceVersion: "1.0.0" },
  },
  {
    why: "a given version beats interop's",
    options: { interop: "go-cluster", serviceVersion: "2.3.4-rc.1+build.5" },
    result: { serviceVersion: "2.3.4-rc.1+build.5" },
  },
  { why: "silence", options: { logger: false }, result: { logger: false } },
  { why: "console as a logger", options: { logger: console }, result: { logger: console } },
];

test.each(ACCEPTED)("accepted: $why", ({ options, result }) => {
  expect(resolveOptions({ ...MINIMAL, ...options })).toMatchObject(result);
});

const SERVERS: readonly { given: NodeOptions["servers"]; nats: object }[] = [
  { given: "localhost", nats: { servers: ["nats://localhost:4222"] } },
  { given: " nats://localhost:4222/ ", nats: { servers: ["nats://localhost:4222"] } },
  { given: ["NATS://a:1", "b:65535"], nats: { servers: ["nats://a:1", "nats://b:65535"] } },
  { given: "nats://[::1]:4223", nats: { servers: ["nats://[::1]:4223"] } },
  { given: ["nats://a", "tls://b"], nats: { servers: ["nats://a:4222", "tls://b:4222"], tls: {} } },
  { given: "nats://me:p%40ss@a", nats: { servers: ["nats://a:4222"], user: "me", pass: "p@ss" } },
  { given: "nats://t0ken@a", nats: { servers: ["nats://a:4222"], token: "t0ken" } },
  {
    given: ["nats://me:x@a", "nats://b", "nats://me:x@c"],
    nats: { servers: ["nats://a:4222", "nats://b:4222", "nats://c:4222"], user: "me", pass: "x" },
  },
];

test.each(SERVERS)("servers $given becomes addresses without credentials", ({ given, nats }) => {
  const { connectTimeoutMs, reconnectWaitMs } = DEFAULTS;
  expect(resolveOptions({ ...MINIMAL, servers: given }).nats).toEqual({
    ...nats,
    connectTimeoutMs,
    reconnectWaitMs,
  });
});

const LOGINS: readonly Partial<NodeOptions>[] = [
  { user: "me", pass: "x" },
  { token: "x" },
  { nkeySeed: FAKE_SEED },
  { jwt: FAKE_JWT, nkeySeed: FAKE_SEED },
  { credsFile: "/etc/nats/me.creds" },
  { creds: FAKE_CREDS },
  { tls: { ca: "ca.pem", cert: "cert.pem", key: "key.pem", handshakeFirst: true } },
  { inboxPrefix: "_INBOX_billing.a" },
];

test.each(LOGINS)("%o reaches the connection as given", (login) => {
  expect(resolveOptions({ ...MINIMAL, ...login }).nats).toMatchObject(login);
});

test("with a passed-in connection no other connection option is set", () => {
  const connection = fakeConnection();
  const { nats } = resolveOptions({ clusterId: "c", nodeId: "a", connection });
  expect(Object.keys(nats)).toEqual(["connection"]);
  expect(nats.connection).toBe(connection);
});

test("a domain is used with a passed-in connection, too", () => {
  const connection = fakeConnection();
  expect(resolveOptions({ clusterId: "c", connection, domain: "hub-1,(eu)" }).nats).toEqual({
    connection,
    domain: "hub-1,(eu)",
  });
});

test("without a node id, each node draws its own: the host name and random characters", () => {
  const drawn = () => resolveOptions({ clusterId: "c", servers: "a" });
  const [one, other] = [drawn(), drawn()];
  expect(one.nodeId).toMatch(/^[A-Za-z0-9_-]{1,48}-[0-9a-z]{6}$/);
  expect(one.election.nodeId).toBe(one.nodeId);
  expect(one.nodeId).not.toBe(other.nodeId);
  expect(new Node({ clusterId: "c", servers: "a" }).nodeId).toMatch(/-[0-9a-z]{6}$/);
});

test.each([
  ["web-1.example.com", /^web-1-example-com-[0-9a-z]{6}$/],
  ["größe 7", /^gr--e-7-[0-9a-z]{6}$/],
  ["x".repeat(64), /^x{48}-[0-9a-z]{6}$/],
  ["", /^node-[0-9a-z]{6}$/],
])("the host name %j becomes a valid node id", (host, nodeId) => {
  expect(hostNodeId(host)).toMatch(nodeId);
});

/** Each with its whole line: users depend on these messages. */
const REFUSED: readonly (readonly [object, string])[] = [
  [
    { nodeId: "a.b" },
    'nodeId "a.b" must be 1 to 64 of the characters A-Z a-z 0-9 _ - (it becomes a token of NATS subjects)',
  ],
  [
    { clusterId: undefined },
    "clusterId is missing; it must be 1 to 64 of the characters A-Z a-z 0-9 _ - (it becomes a token of NATS subjects)",
  ],
  [
    { servers: undefined },
    "servers is missing; it must be one or a list of nats://host:port, unless an open connection is given",
  ],
  [{ servers: [] }, "servers [] must be one or a list of nats://host:port, tls://host:port or host:port"],
  [
    { servers: "ws://a:80" },
    'servers "ws://a:80" must be nats://host:port, tls://host:port or host:port, with a port from 1 to 65535',
  ],
  [
    { servers: "a:4222,b:4222" },
    'servers "a:***" must be nats://host:port, tls://host:port or host:port, with a port from 1 to 65535; a list is an array',
  ],
  [
    { servers: "nats://a:0" },
    'servers "nats://a:0" must be nats://host:port, tls://host:port or host:port, with a port from 1 to 65535',
  ],
  [
    { servers: "nats://me:%zz@a" },
    'servers "nats://***@a" must have credentials as user:pass@ or token@, special characters percent-encoded',
  ],
  [
    { servers: ["nats://me:x@a", "nats://me:y@b"] },
    'servers ["nats://***@a", "nats://***@b"] must all have the same credentials: after a reconnect any of them may be in use',
  ],
  [
    { leaseTtlMs: 999 },
    "leaseTtlMs 999 must be a whole number of milliseconds from 1000 to 3600000; the leader's span is this less max(250, 5 %)",
  ],
  [
    { cooldownMs: "5000" },
    'cooldownMs "5000" must be a whole number of milliseconds from 0 to 86400000, as a number: environment variables are strings, convert them with Number(...)',
  ],
  [{ cooldownMs: Number.NaN }, "cooldownMs NaN must be a whole number of milliseconds from 0 to 86400000"],
  [
    { cooldownMs: Number.POSITIVE_INFINITY },
    "cooldownMs Infinity must be a whole number of milliseconds from 0 to 86400000",
  ],
  [{ cooldownMs: 0.5 }, "cooldownMs 0.5 must be a whole number of milliseconds from 0 to 86400000"],
  [
    { observer: "false" },
    'observer "false" must be true or false (true: follow, never compete), as a boolean: environment variables are strings, convert them with ... === "true"',
  ],
  [
    { replicas: "3" },
    'replicas "3" must be "auto", 1, 3 or 5, as a number: environment variables are strings, convert them with Number(...)',
  ],
  [{ replicas: 2 }, 'replicas 2 must be "auto", 1, 3 or 5'],
  [{ crashDetection: "none" }, 'crashDetection "none" must be "presence", "silence" or "lease"'],
  ...[-1, 1, 499, 1_800_001, 700.5].map((silenceMs): readonly [object, string] => [
    { silenceMs },
    `silenceMs ${silenceMs} must be 0 (no promise of silence) or a whole number of milliseconds from 500 to 1800000; at most half of leaseTtlMs`,
  ]),
  [
    { silenceMs: 5_001 },
    "silenceMs 5001 must be at most half of leaseTtlMs 10000 (5000), so that a silent leader is replaced before its lease expires",
  ],
  [
    { silenceMs: 2_000, leaseTtlMs: 3_999 },
    "silenceMs 2000 must be at most half of leaseTtlMs 3999 (1999), so that a silent leader is replaced before its lease expires",
  ],
  [
    { silenceMs: 0, crashDetection: "silence" },
    'silenceMs 0 must be from 500 to 5000 with crashDetection "silence": without a promise of silence a leader that vanishes is replaced only when its lease has expired, which crashDetection "lease" says',
  ],
  [
    { silenceMs: 2_000, crashDetection: "lease" },
    'silenceMs 2000 must be 0 or omitted with crashDetection "lease", with which a leader is replaced only when its lease has expired',
  ],
  [{ interop: "go" }, 'interop "go" must be "go-cluster"'],
  ...["a.b", "a*", ">", "", "a b", "d\u00f6main", "x".repeat(65)].map((domain): readonly [object, string] => [
    { domain },
    `domain ${JSON.stringify(domain)} must be the name of a JetStream domain: 1 to 64 printable ASCII characters other than . * >`,
  ]),
  [
    { serviceVersion: "1.0" },
    'serviceVersion "1.0" must be a semantic version such as 1.2.3, of at most 255 characters',
  ],
  [
    { logger: {} },
    "logger (an object) must be an object with the functions debug, info, warn and error (pino has them), or false",
  ],
  [
    { logLevel: "info", logger: false },
    'logLevel "info" must come without logger: it sets the level of the built-in logger only',
  ],
  [
    { inboxPrefix: "_INBOX.>" },
    'inboxPrefix "_INBOX.>" must be a subject without wildcards, such as _INBOX_billing',
  ],
  [{ user: "me" }, 'user "me" must come with pass'],
  [{ pass: "x" }, "pass (a hidden string) must come with user"],
  [{ jwt: FAKE_JWT }, "jwt (a hidden string) must come with nkeySeed, the key that signs for it"],
  [{ nkeySeed: "SUX" }, "nkeySeed (a hidden string) must be the seed of a user nkey (SU and 56 of A-Z 2-7)"],
  [
    { creds: "/etc/me.creds" },
    "creds (a hidden string) must be the text of a .creds file (its path belongs in credsFile)",
  ],
  [
    { credsFile: FAKE_CREDS },
    "credsFile (a hidden string) must be the path of a .creds file (its text belongs in creds)",
  ],
  [{ token: "x", credsFile: "f" }, "token, credsFile (hidden): must be one authentication method, not 2"],
  [
    { token: "x", servers: "nats://me:y@a" },
    "token, credentials in servers (hidden): must be one authentication method, not 2",
  ],
  [{ tls: { cert: "c.pem" } }, "tls.cert (hidden) must come with its counterpart: cert and key go together"],
  [{ tls: { caFile: "c.pem" } }, "tls.caFile is not an option; did you mean tls.ca?"],
  [
    { tls: { ca: 5 } },
    "tls.ca (a number) must fit into tls, an object with ca, cert, key (each a path or PEM text, cert and key together) and handshakeFirst (boolean)",
  ],
  [
    { connection: {}, servers: undefined },
    "connection (an object) must be an open connection of @nats-io/transport-node; excludes all other options on how to connect",
  ],
  [
    { connection: fakeConnection(), tls: {} },
    "connection (an object) must come without servers, tls: an open connection excludes options on how to connect",
  ],
  [
    { heartbeatIntervalMs: 6000 },
    "heartbeatIntervalMs 6000 must be less than half of leaseTtlMs 10000 (4999 at most), so that one lost renewal can be repeated before the deadline",
  ],
  [
    { requestTimeoutMs: 3126 },
    "requestTimeoutMs 3126 does not fit: heartbeatIntervalMs 3000 + 2 x requestTimeoutMs 3126 + retryDelayMs 250 = 9502 must be at most 9500 (leaseTtlMs 10000 less its margin 500), so that a renewal without an answer can be repeated, with the full time for its answer, before the deadline",
  ],
  [
    { retryDelayMs: 6_401 },
    "retryDelayMs 6401 does not fit: heartbeatIntervalMs 3000 + 2 x requestTimeoutMs 50 + retryDelayMs 6401 = 9501 must be at most 9500 (leaseTtlMs 10000 less its margin 500), so that a renewal without an answer can be repeated, with the full time for its answer, before the deadline",
  ],
  [
    { reconnectWaitMs: 2_751 },
    "reconnectWaitMs 2751 does not fit: heartbeatIntervalMs 3000 + 2 x reconnectWaitMs 2751 + requestTimeoutMs 1000 = 9502 must be at most 9500 (leaseTtlMs 10000 less its margin 500), so that a leader whose connection drops can reconnect (after up to twice reconnectWaitMs) and renew before the deadline",
  ],
  [
    { successorGraceMs: 1_001, leaseTtlMs: 1_000 },
    "successorGraceMs 1001 must be at most leaseTtlMs 1000, so that a successor that fails costs no more time than a dead leader",
  ],
];

test.each(REFUSED)("refused: %o", (options, line) => {
  expect(linesOf({ ...MINIMAL, ...options })).toEqual([line]);
});

const SUGGESTIONS: readonly (readonly [string, string | undefined])[] = [
  ["leaseTTLMs", "leaseTtlMs"],
  ["lease_ttl_ms", "leaseTtlMs"],
  ["leaseTtl", "leaseTtlMs"],
  ["ttl", "leaseTtlMs"],
  ["heartbeatMs", "heartbeatIntervalMs"],
  ["hartbeatIntervalMs", "heartbeatIntervalMs"],
  ["drainTimeout", "drainTimeoutMs"],
  ["clusterID", "clusterId"],
  ["server", "servers"],
  ["natsUrl", "servers"],
  ["password", "pass"],
  ["tokens", "token"],
  ["constructor", undefined],
  ["somethingElse", undefined],
];

test.each(SUGGESTIONS)("the unknown option %s is refused and %s suggested", (key, meant) => {
  const suffix = meant === undefined ? "" : `; did you mean ${meant}?`;
  expect(linesOf({ ...MINIMAL, [key]: 1 })).toEqual([`${key} is not an option${suffix}`]);
});

test("every problem is in the one error", () => {
  const lines = linesOf({
    nodeId: "a b",
    servers: "http://x",
    leaseTtlMs: 5_000,
    heartbeatIntervalMs: 2_500,
    replicas: 4,
    user: "me",
    token: "x",
    ttl: 3,
  });
  const named = [
    "clusterId",
    "nodeId",
    "servers",
    "heartbeatIntervalMs",
    "replicas",
    "user ",
    "user/pass, token",
    "ttl",
  ];
  expect(lines).toHaveLength(named.length);
  for (const name of named) expect(lines.filter((line) => line.startsWith(name))).not.toEqual([]);
});

test.each([[null], [undefined], ["a"], [5], [[]]])("%j in place of the options is refused", (options) => {
  const error = errorOf(options);
  expect(error).toBeInstanceOf(ClusterError);
  expect(error).toMatchObject({ code: "INVALID_CONFIG", recoverable: false });
  expect(error.message).toContain("must be an object");
});

test("the table names every option once, with its default", () => {
  const table = optionsTable();
  const rows = table.trimEnd().split("\n");
  expect(rows.every((row) => row.split("|").length === 6)).toBe(true);
  for (const [name, value] of Object.entries(DEFAULTS)) {
    const [row, ...more] = rows.filter((candidate) => candidate.startsWith(`| \`${name}\` |`));
    expect(more).toEqual([]);
    const shown =
      name === "serviceVersion" ? "this package's" : name === "cooldownMs" ? "leaseTtlMs" : String(value);
    expect(row?.split("|")[3]).toContain(shown);
  }
});
