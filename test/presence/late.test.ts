/** After a leader's death: renewals that are applied after the confirmation, and lost advisories. */
import { expect, test } from "vitest";
import { freshId } from "../support/fresh-id.ts";
import { operatorOf } from "../support/node/operator.ts";
import { hearQuestions, isLeaseWrite, presenceIn } from "../support/node/presence.ts";
import { proxied } from "../support/node/proxy.ts";
import { startLeader, startNode } from "../support/node/test-node.ts";
import { LONG } from "../support/patience.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

test("a renewal from a connection that is confirmed closed does not delay the takeover: it was sent before", async () => {
  const clusterId = freshId();
  const [own, others] = [await proxied(server), await proxied(server)];
  const leader = await startLeader(own, { ...LONG, clusterId, nodeId: "leader" });
  const b = await startNode(others, { ...LONG, clusterId, nodeId: "b" });
  await b.sees(leader);
  const operator = await operatorOf(server, clusterId);
  const record = await operator.record();
  own.refuse(true);
  const taking = others.takeNextToServer(isLeaseWrite(clusterId));
  own.cut();
  const takeover = await taking;
  // As if the write had waited for a quorum.
  await operator.put({ ...record, nonce: Number(record["nonce"]) + 1 });
  takeover.release();
  expect((await b.becomes()).epoch).toBe(2);
  own.refuse(false);
  expect(await leader.next("lose-leadership")).toMatchObject({ reason: "superseded" });
});

test("a lost advisory is compensated for when the renewals stop", async () => {
  const clusterId = freshId();
  const [own, others] = [await proxied(server), await proxied(server)];
  const options = { leaseTtlMs: 30_000, heartbeatIntervalMs: 500, clusterId };
  const leader = await startLeader(own, { ...options, nodeId: "leader" });
  const b = await startNode(others, { ...options, nodeId: "b" });
  await b.sees(leader);
  const operator = await operatorOf(server, clusterId);
  await presenceIn(operator);
  const questions = await hearQuestions(operator);
  others.filterToClient((frame) => !frame.subject.startsWith("$JS.EVENT.ADVISORY.CONSUMER.DELETED"));
  own.refuse(true);
  own.cut();
  expect((await b.becomes()).epoch).toBe(2);
  expect(questions.items).toHaveLength(1);
});

test("a leader that is connected and silent causes an inquiry, and is replaced only after its lease", async () => {
  const clusterId = freshId();
  const own = await proxied(server);
  const options = { leaseTtlMs: 2000, clusterId };
  const leader = await startLeader(own, { ...options, nodeId: "leader" });
  const b = await startNode(server, { ...options, nodeId: "b" });
  await b.sees(leader);
  const operator = await operatorOf(server, clusterId);
  const heard = await operator.hear();
  const questions = await hearQuestions(operator);
  own.toServer("hold");
  await questions.next(() => true);
  expect(b.node.leader?.nodeId).toBe("leader");
  const lastMs = heard.items.at(-1)?.atMs ?? 0;
  await leader.next("lose-leadership");
  expect((await b.becomes()).epoch).toBe(2);
  if (lastMs > 0) expect(performance.now() - lastMs).toBeGreaterThanOrEqual(options.leaseTtlMs - 20);
  own.toServer("pass");
});
