/** Log lines: one for each transition, with node and reason, and never a secret. */
import { PassThrough } from "node:stream";
import { inspect } from "node:util";
import { pino } from "pino";
import { describe, expect, test } from "vitest";
import { waitFor, within } from "../../scripts/shared/wait.ts";
import { Node, type NodeOptions } from "../../src/index.ts";
import { type NatsServer, startNatsServer } from "../../src/testing.ts";
import { freshId } from "../support/fresh-id.ts";
import { startChildNode } from "../support/node/child-node.ts";
import { operatorOf } from "../support/node/operator.ts";
import { proxied } from "../support/node/proxy.ts";
import {
  CALM,
  type LogLine,
  makeNode,
  QUICK,
  settled,
  startLeader,
  startNode,
} from "../support/node/test-node.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

/** Event, epoch and reason of each line except warnings. */
function transitions(lines: readonly LogLine[]): string[] {
  return lines
    .filter((line) => line.fields["event"] !== "warning")
    .map(({ fields }) =>
      [fields["event"], fields["epoch"], fields["reason"]].filter((part) => part !== undefined).join(" "),
    );
}

describe("a passed-in logger", () => {
  test("gets one line per transition, each with cluster, node, incarnation and, where there is one, epoch and reason", async () => {
    const clusterId = freshId();
    const a = await startLeader(server, { clusterId, nodeId: "a" });
    const b = await startNode(server, { clusterId, nodeId: "b" });
    await b.sees(a);
    await a.node.stepDown();
    await settled([b, a], 1);
    await a.node.stop();
    await b.node.stop();
    expect(transitions(a.log)).toEqual([
      "started",
      "become-leader 1",
      "leader-change 1",
      "drain 1 released",
      "released 1",
      "leader-change",
      "leader-change 2",
      "stopped requested",
    ]);
    expect(transitions(b.log)).toEqual([
      "started",
      "leader-change 1",
      "leader-change",
      "become-leader 2",
      "leader-change 2",
      "drain 2 stopped",
      "released 2",
      "leader-change",
      "stopped requested",
    ]);
    const incarnations = new Set(a.log.map((line) => line.fields["incarnation"]));
    expect(incarnations.size).toBe(1);
    for (const line of a.log) {
      expect(line.fields).toMatchObject({ cluster: clusterId, node: "a", incarnation: expect.any(String) });
      expect(line.message).not.toBe("");
      expect(line.level).toBe("info");
    }
  });

  test("gets losses, suspensions and disconnects at level warn", async () => {
    const proxy = await proxied(server);
    const a = await startLeader(proxy, { ...QUICK, clusterId: freshId(), nodeId: "a" });
    proxy.refuse(true);
    proxy.cut();
    await a.next("lose-leadership");
    proxy.refuse(false);
    await a.next("nats-reconnect");
    const lines = a.log.filter((line) => line.level === "warn").map((line) => line.fields["event"]);
    expect(lines).toEqual(expect.arrayContaining(["suspended", "nats-disconnect", "lose-leadership"]));
    const lose = a.log.filter((line) => line.fields["event"] === "lose-leadership");
    expect(lose).toMatchObject([{ level: "warn", fields: { epoch: 1, reason: "expired" } }]);
  });

  test("may be pino: lines are JSON with its levels", async () => {
    const stream = new PassThrough();
    const logger = pino({ level: "info" }, stream);
    const a = makeNode(server, { clusterId: freshId(), nodeId: "a", logger });
    await a.start();
    await a.becomes();
    await a.node.stop();
    const text = String(stream.read());
    const lines = text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    // Not the warnings, which a busy machine may add.
    const events = lines.filter((line) => line["event"] !== "warning");
    expect(events.map((line) => line["event"])).toEqual([
      "started",
      "become-leader",
      "leader-change",
      "drain",
      "released",
      "leader-change",
      "stopped",
    ]);
    expect(events[1]).toMatchObject({ level: 30, node: "a", epoch: 1, msg: "became leader" });
  });

  test("that throws does not affect the node", async () => {
    const fail = (): never => {
      throw new Error("disk full");
    };
    const logger = { debug: fail, info: fail, warn: fail, error: fail };
    const a = makeNode(server, { clusterId: freshId(), nodeId: "a", logger, cooldownMs: 0 });
    await a.start();
    await a.becomes();
    await a.node.stepDown();
    await a.becomes();
    await a.node.stop();
  });
});

test("the built-in logger writes JSON lines to stderr, and nothing to stdout", async () => {
  const clusterId = freshId();
  const child = await startChildNode(server, { clusterId, nodeId: "a", logLevel: "info" });
  await child.next("become");
  child.child.kill("SIGTERM");
  await within(child.child.exit);
  const lines = child.child.stderr
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(lines.map((line) => line["event"])).toEqual(
    expect.arrayContaining(["started", "become-leader", "drain", "released", "stopped"]),
  );
  for (const line of lines)
    expect(line).toMatchObject({ name: "nats-leader", cluster: clusterId, node: "a" });
  expect(child.types().every((type) => type !== undefined)).toBe(true);
});

describe("secrets", () => {
  // Its plain, percent-encoded and base64 forms can all be recognized.
  const SECRET = "Zq7-s3cr3t-Xw9";
  const forms = [
    SECRET,
    encodeURIComponent(SECRET),
    Buffer.from(SECRET).toString("base64").replace(/=+$/, ""),
  ];
  const logins: readonly (readonly [string, string, (server: NatsServer) => Partial<NodeOptions>])[] = [
    [
      "a password",
      `authorization { user: u, password: "${SECRET}" }`,
      ({ url }) => ({ servers: url, user: "u", pass: SECRET }),
    ],
    [
      "a password in the url",
      `authorization { user: u, password: "${SECRET}" }`,
      ({ url }) => ({ servers: [url.replace("//", `//u:${encodeURIComponent(SECRET)}@`)] }),
    ],
    ["a token", `authorization { token: "${SECRET}" }`, ({ url }) => ({ servers: url, token: SECRET })],
    [
      "a token in the url",
      `authorization { token: "${SECRET}" }`,
      ({ url }) => ({ servers: url.replace("//", `//${SECRET}@`) }),
    ],
  ];

  test.each(logins)(
    "(%s) appear in no log line, event or error of an incarnation",
    async (_, config, login) => {
      const own = await startNatsServer({ config });
      try {
        const proxy = await proxied(own);
        const clusterId = freshId();
        const options = login({ ...own, url: proxy.url } as NatsServer);
        const a = makeNode(options, { ...QUICK, ...options, clusterId, nodeId: "a" });
        const said: unknown[] = [];
        await a.start();
        await a.becomes();
        proxy.blackhole(true);
        await a.next("lose-leadership");
        proxy.blackhole(false);
        await a.becomes();
        proxy.refuse(true);
        proxy.cut();
        await a.next("lose-leadership");
        said.push(await a.node.stepDown().catch((error: unknown) => error));
        said.push(await a.node.campaign({ timeoutMs: 50 }).catch((error: unknown) => error));
        await a.node.stop();
        said.push(await a.node.start().catch((error: unknown) => error)); // no server answers
        said.push(
          await makeNode(own, { clusterId, nodeId: "b" })
            .start()
            .catch((error: unknown) => error),
        );
        said.push(...a.log, ...a.events.items, a.node);
        const text = inspect(said, { depth: 15, showHidden: true, breakLength: Number.POSITIVE_INFINITY });
        for (const form of forms) expect(text).not.toContain(form);
        expect(a.log.length).toBeGreaterThan(8);
      } finally {
        await own.dispose();
      }
    },
  );

  test("in what a hook throws do not reach the log", async () => {
    const fail = (): never => {
      throw new Error(`cannot connect to postgres://app:${SECRET}@db/main`);
    };
    const a = await startNode(server, { clusterId: freshId(), nodeId: "a" }, { onBecomeLeader: fail });
    await a.next("released");
    const line = a.log.find((one) => one.fields["event"] === "hook-error");
    expect(line).toMatchObject({ fields: { err: { message: "cannot connect to postgres://***@db/main" } } });
    expect(inspect(a.log, { depth: 15, showHidden: true })).not.toContain(SECRET);
  });

  test("appear in no error about invalid options", () => {
    const wrong: readonly object[] = [
      { servers: `nats://u:${SECRET}@host:99999` },
      { servers: `nats://u:${SECRET}@` },
      { servers: ["nats://h:1"], user: "u", pass: SECRET, token: SECRET },
      { servers: "nats://h:1", pass: SECRET },
      { servers: "nats://h:1", nkeySeed: SECRET },
      { servers: "nats://h:1", creds: SECRET },
      { servers: "nats://h:1", password: SECRET },
    ];
    for (const options of wrong) {
      let thrown: unknown;
      try {
        new Node({ ...CALM, clusterId: "c", nodeId: "a", ...options } as NodeOptions);
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toMatchObject({ code: "INVALID_CONFIG" });
      expect(inspect(thrown, { depth: 10, showHidden: true })).not.toContain(SECRET);
    }
  });
});

test("a node id with control characters in a foreign record does not reach the log", async () => {
  const clusterId = freshId();
  const a = await startLeader(server, { ...QUICK, clusterId, nodeId: "a" });
  const operator = await operatorOf(server, clusterId);
  const record = { epoch: 2, acquired_at: 1, incarnation: "y", nonce: 1, ttl_ms: 1000 };
  await operator.put({ node_id: 'x\n{"level":60}\u001b[2J', ...record });
  await a.next("warning", ({ code }) => code === "GARBAGE_RECORD");
  await waitFor(async () => (await operator.record())["node_id"] === "a");
  expect(JSON.stringify(a.log)).not.toContain("[2J");
});
