/** The procedures of docs/operations.md for a lost bucket and for a restored backup. */
import { expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { FencedStream } from "../../src/fencing.ts";
import { Node } from "../../src/index.ts";
import { isAtLeast } from "../../src/nats/api/server-version.ts";
import { freshId } from "../support/fresh-id.ts";
import { goRecord, type Operator, operatorOf } from "../support/node/operator.ts";
import { backUp, restore } from "../support/node/stream-backup.ts";
import { QUICK, settled, startLeader, startNode } from "../support/node/test-node.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

/**
 * The epoch of a new node, which remembers no epoch and stops as soon as it has led. No TestNode: that one requires rising
 * epochs.
 */
async function nextEpoch(clusterId: string): Promise<number> {
  await using node = new Node({ ...QUICK, clusterId, nodeId: "fresh", servers: server.url, logger: false });
  await node.start();
  return (await node.campaign({ signal: AbortSignal.timeout(15_000) })).epoch;
}

/** Runs that many terms, then stops every node. */
async function terms(clusterId: string, count: number): Promise<number> {
  let epoch = 0;
  for (let term = 0; term < count; term++) epoch = await nextEpoch(clusterId);
  return epoch;
}

/** A write under this epoch to a stream that fences. */
async function fencedWrite({ connection, clusterId }: Operator, epoch: number): Promise<void> {
  const stream = await FencedStream.connect(connection, {
    stream: `F_${clusterId}`,
    subjects: [`f.${clusterId}`],
  });
  try {
    const writer = await stream.open({ epoch, nodeId: "fresh", incarnation: `i${epoch}` });
    await writer.publish(`f.${clusterId}`, "x");
  } finally {
    stream.close();
  }
}

test("a bucket lost while no node runs: epochs restart, a fence (2.11 and later) refuses them, and a record that an operator writes raises them", async () => {
  const clusterId = freshId();
  const operator = await operatorOf(server, clusterId);
  expect(await terms(clusterId, 4)).toBe(4);
  const fences = isAtLeast(server.version, "2.11.0");
  if (fences) await fencedWrite(operator, 4);

  await operator.deleteBucket();
  expect(await nextEpoch(clusterId)).toBe(1);
  if (fences) {
    await expect(fencedWrite(operator, 1)).rejects.toMatchObject({
      code: "STALE_EPOCH",
      message: expect.stringMatching(/1.*4/),
    });
  }

  await operator.put(goRecord("restored", 4));
  expect(await nextEpoch(clusterId)).toBe(5);
  if (fences) await fencedWrite(operator, 5);
});

test("an empty bucket that an operator creates starts at the epoch of the record put into it", async () => {
  const clusterId = freshId();
  const operator = await operatorOf(server, clusterId);
  await operator.createBucket(0); // as `nats kv add KV_CLUSTER_<id> --history 1` does
  await operator.put(goRecord("restored", 41));
  expect(await nextEpoch(clusterId)).toBe(42);
});

test("an old backup restored while no node runs sets epochs back; a record with the largest known epoch raises them again", async () => {
  const clusterId = freshId();
  const operator = await operatorOf(server, clusterId);
  await terms(clusterId, 2);
  const backup = await backUp(operator);
  expect(await terms(clusterId, 3)).toBe(5);
  await expect(restore(operator, backup)).rejects.toThrow(/already in use/);

  await operator.deleteBucket();
  await restore(operator, backup);
  expect(await nextEpoch(clusterId)).toBe(3); // existed before the restore
  await operator.put(goRecord("restored", 5));
  expect(await nextEpoch(clusterId)).toBe(6);
});

test("an old backup restored under running nodes ends the term; nodes that remember a larger epoch continue above it, with a warning", async () => {
  const clusterId = freshId();
  const operator = await operatorOf(server, clusterId);
  await terms(clusterId, 1);
  const backup = await backUp(operator);
  expect(await terms(clusterId, 3)).toBe(4);
  const a = await startLeader(server, { ...QUICK, clusterId, nodeId: "a" });
  const b = await startNode(server, { ...QUICK, clusterId, nodeId: "b" });
  await b.sees(a);
  expect(a.node.epoch).toBe(5);
  await operator.deleteBucket();
  // Running nodes recreate the bucket at once. If they are faster than the restore, it fails: the name is in use.
  await restore(operator, backup).catch(() => {});
  expect(await a.next("lose-leadership")).toMatchObject({ term: { epoch: 5 } });
  const [next] = await settled([a, b], 5, 15_000);
  expect(next.node.epoch).toBeGreaterThan(5);
  // A restore that is faster than both nodes leaves the smaller epoch as the only trace.
  const codes = ["BUCKET_MISSING", "BUCKET_RECREATED", "EPOCH_REGRESSED"];
  await waitFor(() => [a, b].some((node) => codes.some((code) => node.warnings(code).length > 0)), {
    message: () =>
      `a warning of either node; their events: ${JSON.stringify([a.events.items, b.events.items])}`,
  });
});
