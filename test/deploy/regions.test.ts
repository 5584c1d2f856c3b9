/** Two regions joined by gateways with latency: the bucket is in one region, and a node competes in each. */
import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import { Regions } from "../../scripts/shared/regions.ts";
import { streamName } from "../../src/nats/names.ts";
import { atEnd } from "../support/at-end.ts";
import { freshId } from "../support/fresh-id.ts";
import { operatorOf } from "../support/node/operator.ts";
import { CALM, settled, startLeader, startNode, type TestNode } from "../support/node/test-node.ts";

const LATENCY_MS = 30;
const PATIENCE_MS = 20_000;

test("a silent gateway, or the loss of the bucket's region, ends a remote leader's term at its deadline; no two nodes lead", async () => {
  const regions = await Regions.start({
    layout: "gateways",
    regions: [
      ["eu", 3],
      ["us", 2],
    ],
    delayMs: () => LATENCY_MS,
  });
  atEnd(() => regions.dispose());
  // The round trip to the named successor is longer than the default grace.
  const options = { ...CALM, clusterId: freshId(), cooldownMs: 0, successorGraceMs: 1000 };
  const near = await startLeader({ servers: regions.urls("eu") }, { ...options, nodeId: "eu" });
  const far = await startNode({ servers: regions.urls("us") }, { ...options, nodeId: "us" });
  await far.sees(near, PATIENCE_MS);
  const operator = await operatorOf({ url: regions.urls("us") }, options.clusterId);
  expect(await operator.api(`STREAM.INFO.${streamName(options.clusterId)}`)).toMatchObject({
    config: { num_replicas: 3 },
    cluster: { name: "eu" },
  });

  await handOver(near, far);
  const before = far.node.epoch;
  regions.break("eu", "us", "silent");
  expect(await far.next("lose-leadership", ({ term }) => term.epoch === before, PATIENCE_MS)).toMatchObject({
    reason: "expired",
  });
  await near.next("become-leader", ({ term }) => term.epoch > before, PATIENCE_MS);
  expect(far.node.isLeader()).toBe(false);
  regions.mend("eu", "us"); // the bytes that were held back arrive now, too late to have an effect
  await settled([near, far], before, PATIENCE_MS);
  await near.leads(PATIENCE_MS);

  await handOver(near, far);
  const terms = near.count("become-leader") + far.count("become-leader");
  const { epoch } = far.node;
  await regions.lose("eu");
  expect(await far.next("lose-leadership", ({ term }) => term.epoch === epoch, PATIENCE_MS)).toMatchObject({
    reason: "expired",
  });
  await pause(CALM.leaseTtlMs); // long enough for any node that can write to become leader
  expect([near.node.isLeader(), far.node.isLeader()]).toEqual([false, false]);
  expect(near.count("become-leader") + far.count("become-leader")).toBe(terms);
  await regions.restore("eu");
  await settled([near, far], epoch, 60_000);
});

async function handOver(from: TestNode, to: TestNode): Promise<void> {
  await from.node.stepDown({ to: to.id });
  await to.leads(PATIENCE_MS);
  await from.sees(to, PATIENCE_MS);
}
