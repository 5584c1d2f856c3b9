/** Requests and renewals stay bounded if presence cannot be created, or is lost repeatedly. */
import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { streamName } from "../../src/nats/names.ts";
import { freshId } from "../support/fresh-id.ts";
import { type Operator, operatorOf } from "../support/node/operator.ts";
import {
  deletePresence,
  hearAttempts,
  presenceIn,
  sharedConnection,
  watched,
} from "../support/node/presence.ts";
import { startLeader, startNode } from "../support/node/test-node.ts";
import { LONG } from "../support/patience.ts";
import { Recorder } from "../support/recorder.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

/** Receives every request in the account to create a presence consumer. */
async function hearCreations(operator: Operator): Promise<Recorder<string>> {
  const creations = new Recorder<string>();
  operator.connection.subscribe("$JS.API.CONSUMER.CREATE.>", {
    callback: (_error, message) => {
      if (message.subject.includes("presence_")) creations.push(message.subject);
    },
  });
  await operator.connection.flush();
  return creations;
}

/** A cluster whose stream accepts no further consumer. */
async function crowded(): Promise<Operator> {
  const operator = await operatorOf(server, freshId());
  await operator.createBucket(0, { max_consumers: 1 });
  const stream = streamName(operator.clusterId);
  const config = { durable_name: "full", ack_policy: "none", deliver_policy: "new" };
  await operator.api(`CONSUMER.DURABLE.CREATE.${stream}.full`, { stream_name: stream, config });
  return operator;
}

test("several elections on one connection whose streams accept no consumer: attempts are made with a pause", async () => {
  const operators = [await crowded(), await crowded(), await crowded()] as const;
  const creations = await hearCreations(operators[0]);
  const connection = await sharedConnection(server);
  const nodes = await Promise.all(
    operators.map(({ clusterId }) => startLeader({ connection }, { ...LONG, clusterId, nodeId: "a" })),
  );
  await pause(1000);
  expect(creations.items.length).toBeGreaterThan(1);
  expect(creations.items.length).toBeLessThan(10);
  // Presence is created as soon as a stream accepts it.
  for (const operator of operators)
    await operator.api(`CONSUMER.DELETE.${streamName(operator.clusterId)}.full`);
  const presence = await presenceIn(operators[0]);
  for (const operator of operators) expect(await presenceIn(operator)).toBe(presence);
  for (const node of nodes) await node.leads();
  for (const node of nodes) expect(node.warnings("SESSION")).toEqual([expect.stringContaining("10026")]);
});

test("a presence that is deleted after every creation is created less and less often, with no useless renewal", async () => {
  const clusterId = freshId();
  const leader = await startLeader(server, { ...LONG, clusterId, nodeId: "a" });
  const operator = await operatorOf(server, clusterId);
  await presenceIn(operator);
  const [creations, writes] = [await hearCreations(operator), await hearAttempts(operator)];
  let presence: string | undefined;
  for (let times = 1; times <= 4; times++) {
    presence = await presenceIn(operator, presence);
    await deletePresence(operator, presence);
    await waitFor(() => creations.items.length >= times);
  }
  await presenceIn(operator, presence);
  expect(creations.items).toHaveLength(4);
  expect(writes.items).toHaveLength(4);
  expect(leader.types()).toEqual(["started", "become-leader", "leader-change"]);
});

test("the stream of one election is deleted, and with it the presence of the connection: the other elections keep their terms", async () => {
  const connection = await sharedConnection(server);
  const clusterIds = [freshId(), freshId()] as const;
  const one = await startLeader({ connection }, { ...LONG, clusterId: clusterIds[0], nodeId: "a" });
  const two = await startLeader({ connection }, { ...LONG, clusterId: clusterIds[1], nodeId: "a" });
  const follower = await startNode(server, { ...LONG, clusterId: clusterIds[1], nodeId: "b" });
  await follower.sees(two);
  const [gone, kept] = [await operatorOf(server, clusterIds[0]), await operatorOf(server, clusterIds[1])];
  const before = await presenceIn(kept);
  expect(before).toContain(streamName(clusterIds[0]));
  await gone.deleteBucket();
  expect(await one.next("lose-leadership")).toMatchObject({ reason: "deleted" });
  await watched(server, await presenceIn(kept, before));
  expect(two.types()).toEqual(["started", "become-leader", "leader-change"]);
  expect(follower.count("become-leader")).toBe(0);
  await connection.close();
  expect((await follower.becomes()).epoch).toBe(2);
});
