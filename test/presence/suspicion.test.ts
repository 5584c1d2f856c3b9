/** Advisories and answers about the leader's connection that are false, old, repeated or forged do not change the leader. */
import { describe, expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { consumerDeletedAdvisory } from "../../src/nats/names.ts";
import { freshId } from "../support/fresh-id.ts";
import { Operator, operatorOf } from "../support/node/operator.ts";
import {
  deletePresence,
  hearAttempts,
  hearQuestions,
  isLeaseWrite,
  isQuestion,
  presenceIn,
  sessionIn,
  sharedConnection,
  statusOf,
  watched,
} from "../support/node/presence.ts";
import { proxied } from "../support/node/proxy.ts";
import { CALM, startLeader, startNode, type TestNode } from "../support/node/test-node.ts";
import { LONG } from "../support/patience.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

interface Scene {
  readonly clusterId: string;
  readonly leader: TestNode;
  readonly followers: readonly TestNode[];
  readonly operator: Operator;
}

async function scene(options: { readonly leaseTtlMs: number } = CALM): Promise<Scene> {
  const clusterId = freshId();
  const leader = await startLeader(server, { ...options, clusterId, nodeId: "leader" });
  const followers = await Promise.all(
    ["b", "c"].map((nodeId) => startNode(server, { ...options, clusterId, nodeId })),
  );
  await Promise.all(followers.map((node) => node.sees(leader)));
  return { clusterId, leader, followers, operator: await operatorOf(server, clusterId) };
}

async function expectUntouched({ leader, followers }: Pick<Scene, "leader" | "followers">): Promise<void> {
  await leader.leads();
  expect([leader.node.role, leader.node.epoch]).toEqual(["leader", 1]);
  expect(leader.types().filter((type) => type !== "started")).toEqual(["become-leader", "leader-change"]);
  for (const node of followers) {
    expect(node.types()).toEqual(["started", "leader-change"]);
    expect(node.node.leader).toMatchObject({ nodeId: leader.id, epoch: 1 });
  }
}

test("its presence is deleted by an operator: the followers inquire, the leader stays, and the record names a new presence", async () => {
  const all = await scene();
  const { operator } = all;
  const questions = await hearQuestions(operator);
  let presence = await presenceIn(operator);
  const names = new Set([presence]);
  for (let times = 1; times <= 4; times++) {
    await watched(server, presence, all.followers.length);
    await deletePresence(operator, presence);
    await questions.until((asked) => asked.length >= times * all.followers.length);
    presence = await presenceIn(operator, presence);
    names.add(presence);
    await expectUntouched(all);
  }
  expect(names.size).toBe(5);
  const { client_id: own } = await sessionIn(operator);
  expect(new Set(questions.items)).toEqual(new Set([own]));
});

test("a hundred advisories without a death: the leader stays, and one inquiry is open at a time", async () => {
  const all = await scene();
  const { operator } = all;
  const questions = await hearQuestions(operator);
  const presence = await presenceIn(operator);
  for (let times = 0; times < 100; times++)
    operator.connection.publish(consumerDeletedAdvisory(presence), "{}");
  await operator.connection.flush();
  await questions.until((asked) => asked.length >= all.followers.length);
  await (await operator.hear()).next(() => true);
  await expectUntouched(all);
  // For each follower one open inquiry, and one more for all advisories that arrived during it.
  expect(questions.items.length).toBeLessThan(20);
});

test("advisories about an unknown presence or another cluster's leader cause no inquiry", async () => {
  const one = await scene();
  const other = await scene();
  const questions = await hearQuestions(one.operator);
  const presence = await presenceIn(other.operator);
  await watched(server, presence, other.followers.length);
  await deletePresence(other.operator, presence);
  one.operator.connection.publish(consumerDeletedAdvisory("KV_X.presence_1"), "{}");
  await questions.until((asked) => asked.length >= 2);
  await presenceIn(other.operator);
  expect(new Set(questions.items)).toEqual(new Set([(await sessionIn(other.operator)).client_id]));
  await expectUntouched(one);
  await expectUntouched(other);
});

describe("the leader has reconnected in between:", () => {
  test("a late confirmation for the old connection does not depose the leader on the new one", async () => {
    const clusterId = freshId();
    const [own, others] = [await proxied(server), await proxied(server)];
    const leader = await startLeader(own, { ...LONG, clusterId, nodeId: "leader" });
    const b = await startNode(others, { ...LONG, clusterId, nodeId: "b" });
    await b.sees(leader);
    const operator = await operatorOf(server, clusterId);
    const { client_id: before } = await sessionIn(operator);
    const heard = await operator.hear();
    const attempts = await hearAttempts(operator);
    const late = others.takeReplyTo(isQuestion);
    own.refuse(true);
    own.cut();
    // The answer about the old connection is on its way while the record already names the new one.
    const word = await late;
    expect(word.frame.text).not.toContain(`"cid":${before},`);
    own.refuse(false);
    await leader.next("resumed");
    await heard.next(
      ({ record }) => (record?.["session"] as { presence?: string } | undefined)?.presence !== undefined,
    );
    expect(word.release()).toBe(true);
    await statusOf(operator, "b"); // b has handled everything before this request
    expect(leader.node.isLeader()).toBe(true);
    expect(leader.types().filter((type) => type === "become-leader" || type === "lose-leadership")).toEqual([
      "become-leader",
    ]);
    expect(b.count("become-leader")).toBe(0);
    const writers = attempts.items.map((record) => (record as { node_id: string }).node_id);
    expect(new Set(writers)).toEqual(new Set(["leader"]));
  });

  test("a takeover that was already sent loses against the renewal that names the new connection", async () => {
    const clusterId = freshId();
    const [own, others] = [await proxied(server), await proxied(server)];
    const leader = await startLeader(own, { ...LONG, clusterId, nodeId: "leader" });
    const b = await startNode(others, { ...LONG, clusterId, nodeId: "b" });
    await b.sees(leader);
    own.refuse(true);
    const taking = others.takeNextToServer(isLeaseWrite(clusterId));
    own.cut();
    const takeover = await taking;
    own.refuse(false);
    await leader.next("resumed");
    takeover.release();
    await waitFor(() => b.node.role === "follower" && b.node.leader?.nodeId === "leader");
    expect(leader.node).toMatchObject({ role: "leader", epoch: 1 });
    expect(b.count("become-leader") + leader.count("lose-leadership")).toBe(0);
  });
});

test("many elections on one connection inquire once about a leader that all of them follow", async () => {
  const clusterIds = Array.from({ length: 30 }, () => freshId());
  const [leading, following] = [await sharedConnection(server), await sharedConnection(server)];
  const leaders = await Promise.all(
    clusterIds.map((clusterId) => startLeader({ connection: leading }, { ...LONG, clusterId, nodeId: "a" })),
  );
  const followers = await Promise.all(
    clusterIds.map((clusterId) => startNode({ connection: following }, { ...LONG, clusterId, nodeId: "b" })),
  );
  await Promise.all(followers.map((node) => node.until(() => node.node.epoch === 1)));
  const operator = await operatorOf(server, clusterIds[0] ?? "");
  const questions = await hearQuestions(operator);
  const presence = await presenceIn(operator);
  await watched(server, presence);
  await deletePresence(operator, presence);
  for (const [index, clusterId] of clusterIds.entries()) {
    const one = new Operator(operator.connection, clusterId);
    await presenceIn(one, presence);
    await statusOf(one, followers[index]?.id ?? "");
  }
  await Promise.all(leaders.map((node) => node.leads()));
  expect(leaders.map((node) => node.count("lose-leadership"))).toEqual(leaders.map(() => 0));
  expect(questions.items.length).toBeGreaterThan(0);
  expect(questions.items.length).toBeLessThan(5);
  await leading.close();
  await Promise.all(followers.map((node) => node.becomes()));
  expect(questions.items.length).toBeLessThan(10);
});
