/** The micro service, asked with plain NATS requests as go-cluster's tools ask. */
import type { NatsConnection } from "@nats-io/transport-node";
import { describe, expect, test } from "vitest";
import { PACKAGE_VERSION } from "../../src/config/resolve.ts";
import { ClusterClient } from "../../src/manager/cluster-client.ts";
import { handOver, leaveCluster } from "../../src/manager/operations.ts";
import { startNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { freshId } from "../support/fresh-id.ts";
import { operatorOf } from "../support/node/operator.ts";
import { settled, startLeader, startNode, type TestNode } from "../support/node/test-node.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

type Json = Record<string, unknown>;

/** Two nodes, of which the first leads, and a connection for requests to them. */
async function pair(): Promise<{ a: TestNode; b: TestNode; nc: NatsConnection; clusterId: string }> {
  const clusterId = freshId();
  const a = await startLeader(server, { clusterId, nodeId: "a" });
  const b = await startNode(server, { clusterId, nodeId: "b" });
  await b.sees(a);
  const { connection } = await operatorOf(server, clusterId);
  return { a, b, nc: connection, clusterId };
}

async function ask(nc: NatsConnection, subject: string, body?: string): Promise<Json> {
  return (await nc.request(subject, body, { timeout: 2000 })).json<Json>();
}

/** All answers within a short time, by node id. */
async function askAll(nc: NatsConnection, subject: string, expected: number): Promise<Json[]> {
  const answers: Json[] = [];
  const many = await nc.requestMany(subject, undefined, {
    strategy: "count",
    maxMessages: expected,
    maxWait: 2000,
  });
  for await (const answer of many) answers.push(answer.json<Json>());
  return answers.sort((x, y) => nodeOf(x).localeCompare(nodeOf(y)));
}

function nodeOf(answer: Json): string {
  return String((answer["metadata"] as Json)["node"]);
}

function endpointsOf(answer: Json | undefined): Json[] {
  return (answer?.["endpoints"] ?? []) as Json[];
}

test("status answers with go-cluster's six fields for each node", async () => {
  const { nc, clusterId } = await pair();
  const leader = await ask(nc, `cluster_${clusterId}.status.a`);
  expect(leader).toMatchObject({ nodeId: "a", role: "PRIMARY", leader: "a", epoch: 1, connected: true });
  expect(leader["uptimeMs"]).toBeGreaterThanOrEqual(0);
  expect(leader).toMatchObject({
    state: "leader",
    held: expect.any(Boolean),
    competes: true,
    presence: "on",
    clusterId,
  });
  const follower = await ask(nc, `cluster_${clusterId}.status.b`);
  expect(follower).toMatchObject({ nodeId: "b", role: "PASSIVE", leader: "a", epoch: 1, connected: true });
  expect(follower).toMatchObject({ state: "follower", held: false });
});

test("status of a node that sees no leader has an empty leader and epoch 0", async () => {
  const clusterId = freshId();
  await startNode(server, { clusterId, nodeId: "watcher", observer: true });
  const { connection } = await operatorOf(server, clusterId);
  const status = await ask(connection, `cluster_${clusterId}.status.watcher`);
  expect(status).toMatchObject({
    role: "PASSIVE",
    leader: "",
    epoch: 0,
    competes: false,
    standby: "observer",
  });
});

test("status says why a node would not campaign, and how long a cooldown lasts", async () => {
  const clusterId = freshId();
  const a = await startLeader(server, { clusterId, nodeId: "a", cooldownMs: 60_000 });
  const { connection } = await operatorOf(server, clusterId);
  const standby = async () => {
    const { standby = null, standbyMs = null } = await ask(connection, `cluster_${clusterId}.status.a`);
    return { standby, standbyMs };
  };
  expect(await standby()).toEqual({ standby: null, standbyMs: null });
  await a.node.stepDown();
  const cooldown = await standby();
  expect(cooldown).toEqual({ standby: "cooldown", standbyMs: expect.any(Number) });
  expect(cooldown.standbyMs).toBeGreaterThan(0);
  expect(cooldown.standbyMs).toBeLessThanOrEqual(60_000);
  await a.node.withdraw();
  expect(await standby()).toEqual({ standby: "withdrawn", standbyMs: null });
});

describe("two processes with one node id", () => {
  async function twins() {
    const clusterId = freshId();
    const leader = await startLeader(server, { clusterId, nodeId: "twin" });
    const other = await startNode(server, { clusterId, nodeId: "twin", observer: true });
    await leader.until(() => leader.warnings("DUPLICATE_NODE_ID").length > 0);
    await other.until(() => other.warnings("DUPLICATE_NODE_ID").length > 0);
    const client = await ClusterClient.connect({ clusterId, servers: server.url });
    atEnd(() => client.close());
    return { leader, other, client };
  }

  test("a step-down reaches the one that leads", async () => {
    const { leader, client } = await twins();
    const { leader: nodeId, incarnation } = await client.situation();
    expect([nodeId, incarnation]).toEqual(["twin", leader.node.leader?.incarnation]);
    await client.stepDown("twin", undefined, 2000, incarnation);
    await leader.next("released");
  });

  test("a status is the leader's and names the other process; leave and handover are refused", async () => {
    const { leader, client } = await twins();
    const answer = await client.statusOf("twin");
    expect(answer?.status).toMatchObject({
      role: "PRIMARY",
      incarnation: leader.node.leader?.incarnation,
      duplicate: expect.stringMatching(/./),
    });
    await expect(leaveCluster(client, "twin", 2000)).rejects.toThrow(
      /two processes answer for node id "twin"/,
    );
    await expect(handOver(client, "twin", 2000)).rejects.toMatchObject({ code: "HANDOVER_REFUSED" });
    expect(leader.node.isLeader()).toBe(true);
  });

  test("are one again when the other has stopped", async () => {
    const { other, client } = await twins();
    await other.node.stop();
    expect((await client.statusOf("twin"))?.status).not.toHaveProperty("duplicate");
  });

  test("a node that is started again is no duplicate of its earlier incarnation", async () => {
    const a = await startLeader(server, { clusterId: freshId(), nodeId: "a" });
    await a.node.stop();
    await a.node.start();
    await a.node.campaign({ timeoutMs: 5000 });
    expect(a.warnings("DUPLICATE_NODE_ID")).toEqual([]);
  });
});

describe("a client that changes the leadership believes the lease, not the answers", () => {
  /** Answers `ok` on a control subject, and as a leader on the status subject, in the name of a node that does not exist. */
  async function pretender() {
    const { a, nc, clusterId } = await pair();
    const status = {
      nodeId: "ghost",
      role: "PRIMARY",
      leader: "ghost",
      epoch: 9,
      uptimeMs: 1,
      connected: true,
    };
    const answer = (subject: string, body: object): void =>
      void nc.subscribe(subject, {
        callback: (_error, message) => void message.respond(JSON.stringify(body)),
      });
    answer(`cluster_${clusterId}.status.ghost`, status);
    answer(`cluster_${clusterId}.control.ghost.stepdown`, { ok: true });
    await nc.flush();
    const client = await ClusterClient.connect({ clusterId, servers: server.url }, { timeoutMs: 1000 });
    atEnd(() => client.close());
    return { a, client };
  }

  test("a step-down that is confirmed and did not happen", async () => {
    const { a, client } = await pretender();
    await expect(client.stepDown("ghost", undefined, 2000)).rejects.toMatchObject({
      code: "TIMEOUT",
      message: expect.stringContaining('node "ghost" confirmed a step-down, and the lease has not changed'),
    });
    await a.leads();
    expect(a.count("lose-leadership")).toBe(0);
  });

  test("a node that says that it leads and is not in the lease", async () => {
    const { a, client } = await pretender();
    const since = await client.lease();
    await expect(client.untilLeads("ghost", since, 300)).rejects.toMatchObject({
      code: "TIMEOUT",
      message: expect.stringContaining('"a" leads'),
    });
    await expect(handOver(client, "ghost", 1000)).rejects.toMatchObject({ code: "HANDOVER_REFUSED" });
    await a.leads();
    expect(a.count("lose-leadership")).toBe(0);
  });
});

test("ping answers ok with the time in milliseconds", async () => {
  const { nc, clusterId } = await pair();
  for (const id of ["a", "b"]) {
    const answer = await ask(nc, `cluster_${clusterId}.ping.${id}`);
    expect(answer["ok"]).toBe(true);
    expect(Math.abs(Number(answer["timestamp"]) - Date.now())).toBeLessThan(5000);
  }
});

describe("stepdown", () => {
  test("of the leader, without a body as go-cluster sends it, fails over before it answers", async () => {
    const { a, b, nc, clusterId } = await pair();
    expect(await ask(nc, `cluster_${clusterId}.control.a.stepdown`)).toEqual({ ok: true });
    expect(a.node.isLeader()).toBe(false);
    await settled([b, a], 1);
    await b.leads();
  });

  test("of a follower answers that it is not the leader, and changes nothing", async () => {
    const { a, nc, clusterId } = await pair();
    const answer = await ask(nc, `cluster_${clusterId}.control.b.stepdown`);
    expect(answer).toMatchObject({ ok: false, error: expect.stringContaining("not the leader") });
    expect(a.node).toMatchObject({ role: "leader", epoch: 1 });
  });

  test("to a named node hands over to it; to a node that is not running it is refused", async () => {
    const { a, b, nc, clusterId } = await pair();
    const subject = `cluster_${clusterId}.control.a.stepdown`;
    expect(await ask(nc, subject, '{"to":"absent"}')).toMatchObject({ ok: false });
    expect(await ask(nc, subject, "not JSON")).toMatchObject({ ok: false });
    expect(await ask(nc, subject, '{"to":"a.b"}')).toMatchObject({ ok: false });
    await a.leads();
    expect(await ask(nc, subject, '{"to":"b"}')).toEqual({ ok: true });
    await settled([b, a], 1);
  });

  test("twice at once: the second request joins the first", async () => {
    const { b, a, nc, clusterId } = await pair();
    const subject = `cluster_${clusterId}.control.a.stepdown`;
    const answers = await Promise.all([ask(nc, subject), ask(nc, subject)]);
    expect(answers.map((answer) => answer["ok"])).toEqual([true, true]);
    await settled([b, a], 1);
    expect(b.node.epoch).toBe(2);
  });
});

describe("discovery", () => {
  test.each([
    ["PING", "io.nats.micro.v1.ping_response"],
    ["INFO", "io.nats.micro.v1.info_response"],
    ["STATS", "io.nats.micro.v1.stats_response"],
  ])("$SRV.%s is answered by each node individually", async (verb, type) => {
    const { nc, clusterId, a, b } = await pair();
    const answers = await askAll(nc, `$SRV.${verb}.cluster_${clusterId}`, 2);
    expect(answers.map(nodeOf)).toEqual(["a", "b"]);
    for (const answer of answers) expect(answer).toMatchObject({ type, name: `cluster_${clusterId}` });
    expect(answers.map((answer) => answer["id"])).toEqual([a.node.service?.id, b.node.service?.id]);
    const [one] = await askAll(nc, `$SRV.${verb}.cluster_${clusterId}.${b.node.service?.id}`, 1);
    expect(nodeOf(one ?? {})).toBe("b");
  });

  test("INFO lists the four endpoints and the current state", async () => {
    const { nc, clusterId, a, b } = await pair();
    await a.node.stepDown();
    await settled([b, a], 1);
    const [first, second] = await askAll(nc, `$SRV.INFO.cluster_${clusterId}`, 2);
    const subjects = endpointsOf(first).map((endpoint) => endpoint["subject"]);
    expect(subjects).toEqual([
      `cluster_${clusterId}.status.a`,
      `cluster_${clusterId}.ping.a`,
      `cluster_${clusterId}.control.a.candidate`,
      `cluster_${clusterId}.control.a.stepdown`,
    ]);
    expect(first).toMatchObject({
      version: PACKAGE_VERSION,
      metadata: { role: "PASSIVE", epoch: "2", leader: "b", cluster: clusterId },
    });
    expect(second).toMatchObject({ metadata: { role: "PRIMARY", epoch: "2", leader: "b" } });
  });

  test("STATS counts requests", async () => {
    const { nc, clusterId } = await pair();
    for (let i = 0; i < 3; i++) await ask(nc, `cluster_${clusterId}.ping.a`);
    const [first] = await askAll(nc, `$SRV.STATS.cluster_${clusterId}`, 2);
    const ping = endpointsOf(first).find((endpoint) => endpoint["name"] === "ping");
    expect(ping).toMatchObject({ num_requests: 3, num_errors: 0 });
  });

  test("with interop reports go-cluster's version", async () => {
    const clusterId = freshId();
    await startLeader(server, { clusterId, nodeId: "a", interop: "go-cluster" });
    const { connection } = await operatorOf(server, clusterId);
    const [info] = await askAll(connection, `$SRV.INFO.cluster_${clusterId}`, 1);
    expect(info).toMatchObject({ version: "1.0.0" });
  });
});

describe("a node without a service", () => {
  test("does not answer after its stop, and the other still does", async () => {
    const { a, nc, clusterId } = await pair();
    await a.node.stop();
    await expect(ask(nc, `cluster_${clusterId}.status.a`)).rejects.toThrow(/no responders/i);
    expect(await ask(nc, `cluster_${clusterId}.status.b`)).toMatchObject({ nodeId: "b" });
  });

  test("does not answer with service: false, and still leads", async () => {
    const clusterId = freshId();
    const a = await startLeader(server, { clusterId, nodeId: "a", service: false });
    expect(a.node.service).toBeNull();
    const { connection } = await operatorOf(server, clusterId);
    await expect(ask(connection, `cluster_${clusterId}.status.a`)).rejects.toThrow(/no responders/i);
  });
});

test("after a reconnect the service answers again, with the current state", async () => {
  const own = await startNatsServer();
  try {
    const clusterId = freshId();
    const a = await startLeader(own, { leaseTtlMs: 10_000, clusterId, nodeId: "a" });
    await own.restart();
    await a.next("resumed");
    const { connection } = await operatorOf(own, clusterId);
    expect(await ask(connection, `cluster_${clusterId}.status.a`)).toMatchObject({
      role: "PRIMARY",
      epoch: 1,
    });
    await a.node.stop();
  } finally {
    await own.dispose();
  }
});
