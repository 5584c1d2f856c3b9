/** Credentials, permissions and TLS: which are accepted, how the others are refused, and that no secret is logged or emitted. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { createAccount, createOperator, createUser } from "@nats-io/nkeys";
import { afterAll, describe, expect, test } from "vitest";
import type { NodeOptions } from "../../src/index.ts";
import { leaseSubject } from "../../src/nats/names.ts";
import { startNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { freshId } from "../support/fresh-id.ts";
import { operatorOf } from "../support/node/operator.ts";
import { CALM, makeNode, QUICK, startLeader, startNode, type TestNode } from "../support/node/test-node.ts";
import { useForAll, useNatsServer } from "../support/use-server.ts";

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** Everything that a node has logged and emitted. */
function saidBy(node: TestNode): string {
  return inspect([node.log, node.events.items], { depth: 12, breakLength: Number.POSITIVE_INFINITY });
}

describe("a method of authentication", () => {
  const nkey = createUser();
  const cases: readonly (readonly [string, string, Partial<NodeOptions>])[] = [
    [
      "user and password",
      'authorization { user: leader, password: "s3cr3t-pass" }',
      { user: "leader", pass: "s3cr3t-pass" },
    ],
    ["a token", 'authorization { token: "s3cr3t-token" }', { token: "s3cr3t-token" }],
    [
      "an nkey",
      `authorization { users: [{ nkey: ${nkey.getPublicKey()} }] }`,
      { nkeySeed: text(nkey.getSeed()) },
    ],
  ];

  test.each(cases)("by %s lets a node lead", async (_, config, login) => {
    await using server = await startNatsServer({ config });
    const a = await startLeader(server, { clusterId: freshId(), nodeId: "a", ...login });
    expect(a.node.epoch).toBe(1);
    await a.node.stop();
    expect(saidBy(a)).not.toMatch(/s3cr3t|SU[A-Z2-7]{50}/);
  });

  test("in the url lets a node lead, with special characters percent-encoded", async () => {
    const pass = "p@ss:w/rd";
    await using server = await startNatsServer({
      config: `authorization { user: leader, password: "${pass}" }`,
    });
    const servers = server.url.replace("nats://", `nats://leader:${encodeURIComponent(pass)}@`);
    const a = await startLeader({ servers }, { clusterId: freshId(), nodeId: "a" });
    await a.node.stop();
    expect(saidBy(a)).not.toContain(pass);
    expect(saidBy(a)).not.toContain(encodeURIComponent(pass));
  });

  test("by creds, as text and as a file, lets a node lead", async () => {
    const { config, creds } = operatorMode();
    await using server = await startNatsServer({ config });
    const folder = mkdtempSync(join(tmpdir(), "nats-leader-creds-"));
    atEnd(() => rmSync(folder, { recursive: true, force: true }));
    const credsFile = join(folder, "user.creds");
    writeFileSync(credsFile, creds);
    for (const login of [{ creds }, { credsFile }]) {
      const a = await startLeader(server, { clusterId: freshId(), nodeId: "a", ...login });
      expect(a.node.epoch).toBe(1);
      await a.node.stop();
      expect(saidBy(a)).not.toMatch(/SU[A-Z2-7]{50}|eyJ/);
    }
  });
});

describe("wrong credentials", () => {
  const wrongSeed = text(createUser().getSeed());
  const wrong: readonly (readonly [string, Partial<NodeOptions>, string])[] = [
    ["a wrong password", { user: "leader", pass: "wr0ng-pass" }, "wr0ng-pass"],
    ["a wrong token", { token: "wr0ng-token" }, "wr0ng-token"],
    ["a wrong nkey", { nkeySeed: wrongSeed }, wrongSeed],
    ["none at all", {}, "right-pass"],
  ];
  const server = useNatsServer({ config: 'authorization { user: leader, password: "right-pass" }' });

  test.each(wrong)("(%s) reject start with AUTHORIZATION and do not leak", async (_, login, secret) => {
    const a = makeNode(server, { clusterId: freshId(), nodeId: "a", ...login });
    const error: unknown = await a.start().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "AUTHORIZATION", recoverable: false });
    expect(inspect(error, { depth: 10, showHidden: true })).not.toContain(secret);
    expect(saidBy(a)).not.toContain(secret);
    expect(a.node.role).toBe("stopped");
  });
});

describe("a user with too few permissions", () => {
  const server = useNatsServer({
    config: `accounts { A { jetstream: enabled, users: [
      { user: admin, password: p }
      { user: no_api, password: p, permissions { publish { deny: ["$JS.API.>"] } } }
      { user: no_create, password: p, permissions { publish { deny: ["$JS.API.STREAM.CREATE.>"] } } }
      { user: reader, password: p, permissions { publish { deny: ["$KV.>"] } } }
      { user: no_presence, password: p, permissions { publish { deny: ["$JS.API.CONSUMER.>"] } } }
      { user: no_beats, password: p, permissions { publish { deny: ["nats_leader.beat.>"] } } }
      { user: no_service, password: p, permissions { subscribe { deny: ["$SRV.>", "cluster_*.>"] } } }
      { user: no_inbox, password: p, permissions { subscribe { allow: ["_MY.>", "nats_leader.>", "$JS.EVENT.>", "$SRV.>", "cluster_*.>"] } } }
    ] } }`,
  });

  test.each([
    ["no_api", /\$JS\.API\.STREAM\.INFO/],
    ["no_create", /\$JS\.API\.STREAM\.CREATE/],
  ])("(%s) is refused at the start, with the subject to allow", async (user, subject) => {
    const a = makeNode(server, { clusterId: freshId(), nodeId: "a", user, pass: "p" });
    await expect(a.start()).rejects.toMatchObject({
      code: "AUTHORIZATION",
      message: expect.stringMatching(subject),
    });
  });

  test("(no_inbox) is refused at the start, and accepted with the prefix it may use", async () => {
    const login = { user: "no_inbox", pass: "p" };
    const clusterId = freshId();
    const a = makeNode(server, { clusterId, nodeId: "a", ...login });
    await expect(a.start()).rejects.toMatchObject({
      code: "AUTHORIZATION",
      message: expect.stringMatching(/_INBOX/),
    });
    const b = await startLeader(server, { clusterId, nodeId: "b", ...login, inboxPrefix: "_MY" });
    expect(b.node.epoch).toBe(1);
  });

  test("(reader) never leads, names the subject to allow, and disturbs no other node", async () => {
    const clusterId = freshId();
    const admin = await startLeader(server, {
      ...QUICK,
      clusterId,
      nodeId: "admin",
      user: "admin",
      pass: "p",
    });
    const reader = await startNode(server, {
      ...QUICK,
      clusterId,
      nodeId: "reader",
      user: "reader",
      pass: "p",
    });
    await reader.sees(admin);
    await admin.node.stop();
    await reader.until(() => saidBy(reader).includes(leaseSubject(clusterId)));
    await admin.start();
    await admin.until(() => admin.node.isLeader());
    await reader.sees(admin);
    expect(reader.count("become-leader")).toBe(0);
  });

  test("(no_presence) leads without a presence, with a warning", async () => {
    const clusterId = freshId();
    const a = await startLeader(server, { clusterId, nodeId: "a", user: "no_presence", pass: "p" });
    await a.until(() => /crash detection/.test(saidBy(a)));
    const operator = await operatorOf(server, clusterId, { user: "admin", pass: "p" });
    const status = await operator.connection.request(`cluster_${clusterId}.status.a`, undefined, {
      timeout: 2000,
    });
    expect(status.json()).toMatchObject({ presence: "denied", role: "PRIMARY" });
  });

  test("(no_beats) says in its status that it promises no silence, also before it leads", async () => {
    const clusterId = freshId();
    const shared = { ...CALM, silenceMs: 1_000, clusterId, pass: "p" };
    await startLeader(server, { ...shared, nodeId: "admin", user: "admin" });
    const a = await startNode(server, { ...shared, nodeId: "a", user: "no_beats" });
    await a.until(() => a.warnings("SESSION").length > 0);
    const operator = await operatorOf(server, clusterId, { user: "admin", pass: "p" });
    const silenceOf = async (nodeId: string): Promise<unknown> => {
      const answer = await operator.connection.request(`cluster_${clusterId}.status.${nodeId}`);
      return answer.json<{ silenceMs: unknown }>().silenceMs;
    };
    expect(await Promise.all([silenceOf("admin"), silenceOf("a")])).toEqual([1_000, 0]);
  });

  test("(no_service) leads without a service, with a warning", async () => {
    const a = await startLeader(server, { clusterId: freshId(), nodeId: "a", user: "no_service", pass: "p" });
    await a.until(() => a.warnings("SERVICE").length > 0);
    await a.leads();
  });
});

describe("credentials that are revoked while leading", () => {
  test("end the term at the deadline with a clear warning; the node retries and recovers when they are restored", async () => {
    const folder = mkdtempSync(join(tmpdir(), "nats-leader-users-"));
    atEnd(() => rmSync(folder, { recursive: true, force: true }));
    const users = join(folder, "users.conf");
    const admin = "{ user: admin, password: p }";
    const grant = (...more: string[]): void =>
      writeFileSync(users, `authorization { users: [${[admin, ...more].join(", ")}] }\n`);
    grant("{ user: leader, password: s3cr3t }");
    // nats-server resolves included paths relative to the including file, even absolute ones.
    const include = join("../".repeat(20), users);
    const server = await startNatsServer({ config: `include ${JSON.stringify(include)}` });
    atEnd(() => server.dispose());
    const clusterId = freshId();
    const a = await startLeader(server, { ...QUICK, clusterId, nodeId: "a", user: "leader", pass: "s3cr3t" });
    const { term } = a.node;
    const reload = (): void => {
      if (server.pid === undefined) throw new Error("the server has no process of its own");
      process.kill(server.pid, "SIGHUP");
    };
    grant();
    reload();
    const lost = await a.next("lose-leadership");
    expect(lost).toMatchObject({ reason: "expired", term: { epoch: 1 } });
    expect([term?.held, a.node.isLeader(), a.node.connected]).toEqual([false, false, false]);
    await a.until(() => a.count("nats-disconnect") > 0 && a.warnings("SESSION").length > 0);
    expect(a.warnings("SESSION")).toMatchObject([
      expect.stringMatching(/refuses the credentials.*still trying/),
    ]);
    expect(a.log.filter((line) => line.fields["code"] === "SESSION")).toMatchObject([{ level: "warn" }]);
    expect(saidBy(a)).not.toContain("s3cr3t");
    grant("{ user: leader, password: s3cr3t }");
    reload();
    await a.next("become-leader", ({ term: next }) => next.epoch > 1, 15_000);
    await a.leads();
  });
});

describe("a user JWT that its account revokes while leading", () => {
  test("ends the term at the deadline with a clear warning; no node leads with it afterwards", async () => {
    const { config, revoked, creds } = operatorMode();
    const folder = mkdtempSync(join(tmpdir(), "nats-leader-jwt-"));
    atEnd(() => rmSync(folder, { recursive: true, force: true }));
    const file = join(folder, "operator.conf");
    writeFileSync(file, config);
    const include = join("../".repeat(20), file);
    const server = await startNatsServer({ config: `include ${JSON.stringify(include)}` });
    atEnd(() => server.dispose());
    const clusterId = freshId();
    const a = await startLeader(server, { ...QUICK, clusterId, nodeId: "a", creds });
    const { term } = a.node;
    writeFileSync(file, revoked);
    if (server.pid === undefined) throw new Error("the server has no process of its own");
    process.kill(server.pid, "SIGHUP");
    expect(await a.next("lose-leadership", undefined, 15_000)).toMatchObject({
      reason: "expired",
      term: { epoch: 1 },
    });
    expect([term?.held, a.node.isLeader()]).toEqual([false, false]);
    await a.until(() => a.warnings("SESSION").length > 0, 15_000);
    expect(a.warnings("SESSION")).toMatchObject([expect.stringMatching(/refuses the credentials/)]);
    const b = makeNode(server, { clusterId, nodeId: "b", creds });
    await expect(b.start()).rejects.toMatchObject({ code: "AUTHORIZATION" });
    expect([...[a, b].map(saidBy)].join()).not.toMatch(/SU[A-Z2-7]{50}|eyJ/);
  });
});

describe("TLS", () => {
  let pki: Pki;
  const server = useForAll(() => {
    pki = makePki();
    const tls = `cert_file: "${pki.cert}", key_file: "${pki.key}"`;
    return startNatsServer({ config: `tls { ${tls}, ca_file: "${pki.ca}", verify: true }` });
  });
  afterAll(() => pki.remove());

  const options = (): { clusterId: string; nodeId: string } => ({ clusterId: freshId(), nodeId: "a" });

  test("with an authority and a client certificate, as files or as text, lets a node lead", async () => {
    const { ca, cert, key } = pki;
    const [caText, certText, keyText] = [ca, cert, key].map((path) => readFileSync(path, "utf8"));
    for (const tls of [
      { ca, cert, key },
      { ca: caText ?? "", cert: certText ?? "", key: keyText ?? "" },
    ]) {
      const a = await startLeader({ servers: server.url.replace("nats:", "tls:") }, { ...options(), tls });
      expect(a.node.epoch).toBe(1);
      await a.node.stop();
      expect(saidBy(a)).not.toContain("PRIVATE KEY");
    }
  });

  test("with an unknown authority is refused, and the error names what to check", async () => {
    const a = makeNode({ servers: server.url.replace("nats:", "tls:") }, options());
    await expect(a.start()).rejects.toMatchObject({
      code: "NO_CONNECTION",
      message: expect.stringMatching(/TLS.*tls\.ca/),
    });
  });

  test("without the client certificate that the server asks for is refused", async () => {
    const a = makeNode(server, { ...options(), tls: { ca: pki.ca }, connectTimeoutMs: 2000 });
    await expect(a.start()).rejects.toMatchObject({
      code: expect.stringMatching(/NO_CONNECTION|AUTHORIZATION/),
    });
    expect(a.node.role).toBe("stopped");
  });

  test("keeps the term over a reconnect", async () => {
    const { ca, cert, key } = pki;
    const tls = `cert_file: "${cert}", key_file: "${key}"`;
    const own = await startNatsServer({ config: `tls { ${tls} }` });
    atEnd(() => own.dispose());
    const a = await startLeader(own, { ...CALM, ...options(), leaseTtlMs: 10_000, tls: { ca } });
    const { term } = a.node;
    await own.restart();
    await a.next("resumed");
    expect(a.node.term).toBe(term);
    expect(key).toBeTruthy();
  });
});

// ------------------------------------------------------------------------------------------------- fixtures

interface Pki {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  remove(): void;
}

/** An authority, and a certificate for 127.0.0.1 that is valid for servers and clients; created by openssl. */
function makePki(): Pki {
  const folder = mkdtempSync(join(tmpdir(), "nats-leader-pki-"));
  const at = (name: string): string => join(folder, name);
  const openssl = (...args: string[]): void =>
    void execFileSync("openssl", args, { stdio: "pipe", cwd: folder });
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  openssl(
    "req",
    "-x509",
    ...newKey,
    "-days",
    "2",
    "-subj",
    "/CN=test-ca",
    "-keyout",
    "ca.key",
    "-out",
    "ca.pem",
  );
  openssl("req", ...newKey, "-subj", "/CN=node", "-keyout", "node.key", "-out", "node.csr");
  const use = "subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n";
  writeFileSync(at("node.ext"), use);
  const signing = [
    "-CA",
    "ca.pem",
    "-CAkey",
    "ca.key",
    "-CAcreateserial",
    "-days",
    "2",
    "-extfile",
    "node.ext",
  ];
  openssl("x509", "-req", "-in", "node.csr", ...signing, "-out", "node.pem");
  return {
    ca: at("ca.pem"),
    cert: at("node.pem"),
    key: at("node.key"),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

type KeyPair = ReturnType<typeof createUser>;

/** A JWT of operator mode: header, claims, and the signature by the issuer's nkey. */
function jwt(issuer: KeyPair, subject: string, name: string, nats: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const iat = Math.floor(Date.now() / 1000);
  const claims = { jti: `${name}-${iat}`, iat, iss: issuer.getPublicKey(), name, sub: subject, nats };
  const signed = `${part({ typ: "JWT", alg: "ed25519-nkey" })}.${part(claims)}`;
  const signature = Buffer.from(issuer.sign(new TextEncoder().encode(signed))).toString("base64url");
  return `${signed}.${signature}`;
}

/** A server's configuration in operator mode, and a user of its one account. */
/** `revoked`: the same configuration after the account has revoked the user. */
function operatorMode(): { config: string; revoked: string; creds: string } {
  const [operator, account, system, user] = [
    createOperator(),
    createAccount(),
    createAccount(),
    createUser(),
  ];
  const unlimited = {
    subs: -1,
    data: -1,
    payload: -1,
    imports: -1,
    exports: -1,
    wildcards: true,
    conn: -1,
    leaf: -1,
  };
  const jetstream = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };
  const defaults = { default_permissions: { pub: {}, sub: {} }, type: "account", version: 2 };
  const operatorJwt = jwt(operator, operator.getPublicKey(), "op", {
    type: "operator",
    version: 2,
    system_account: system.getPublicKey(),
  });
  const accountJwt = (revocations: object): string =>
    jwt(operator, account.getPublicKey(), "app", {
      limits: { ...unlimited, ...jetstream },
      revocations,
      ...defaults,
    });
  const systemJwt = jwt(operator, system.getPublicKey(), "sys", { limits: unlimited, ...defaults });
  const userJwt = jwt(account, user.getPublicKey(), "node", {
    pub: {},
    sub: {},
    subs: -1,
    data: -1,
    payload: -1,
    type: "user",
    version: 2,
  });
  const config = (revocations: object): string => `
    operator: ${operatorJwt}
    system_account: ${system.getPublicKey()}
    resolver: MEMORY
    resolver_preload: { ${account.getPublicKey()}: ${accountJwt(revocations)}, ${system.getPublicKey()}: ${systemJwt} }`;
  const creds = `-----BEGIN NATS USER JWT-----
${userJwt}
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
${text(user.getSeed())}
------END USER NKEY SEED------
`;
  // Revokes every JWT that was issued before this time, which is in the future.
  const all = Math.floor(Date.now() / 1000) + 3600;
  return { config: config({}), revoked: config({ [user.getPublicKey()]: all }), creds };
}
