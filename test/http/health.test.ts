/** Health and leadership of real nodes and members, through handovers and the loss of NATS. */
import { expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { createHandler } from "../../src/http.ts";
import { startNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { freshId } from "../support/fresh-id.ts";
import { RealGroup } from "../support/group/real-group.ts";
import { get, openDoor } from "../support/http/door.ts";
import { makeNode, QUICK, startLeader, startNode } from "../support/node/test-node.ts";
import { PATIENCE_MS } from "../support/patience.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

test("/leader follows a handover: 200 on one node, 503 with its name on the other", async () => {
  const clusterId = freshId();
  const a = await startLeader(server, { clusterId, nodeId: "a" });
  const b = await startNode(server, { clusterId, nodeId: "b" });
  await b.sees(a);
  const [doorA, doorB] = [await openDoor({ nodes: [a.node] }), await openDoor({ nodes: [b.node] })];
  const first = await untilStatus(`${doorA.url}/leader`, 200);
  expect(first).toMatchObject({ json: { clusterId, nodeId: "a", held: true } });
  expect(await get(`${doorB.url}/leader`)).toMatchObject({
    status: 503,
    json: { held: false, nodeId: "b", leader: { nodeId: "a", epoch: first.json["epoch"] } },
  });

  await a.node.stepDown({ to: "b" });
  await b.leads();
  await a.sees(b);
  const second = await untilStatus(`${doorB.url}/leader`, 200);
  expect(second).toMatchObject({ json: { nodeId: "b" } });
  expect(second.json["epoch"]).toBe(b.node.term?.epoch);
  expect(Number(second.json["epoch"])).toBeGreaterThan(Number(first.json["epoch"]));
  expect(await get(`${doorA.url}/leader`)).toMatchObject({ status: 503, json: { leader: { nodeId: "b" } } });
  for (const { url } of [doorA, doorB]) expect((await get(`${url}/readyz`)).status).toBe(200);
});

test("/leader is 503 from the deadline on, although no code of the node has run since", async () => {
  const clusterId = freshId();
  const a = await startLeader(server, { clusterId, nodeId: "a", ...QUICK, crashDetection: "lease" });
  const handler = createHandler({ nodes: [a.node] });
  const request = new Request("http://localhost/leader");
  await waitFor(async () => (await handler(request)).status === 200);
  // The loop is blocked for longer than the span: no timer and no renewal of the node runs before the request.
  const until = performance.now() + QUICK.leaseTtlMs;
  while (performance.now() < until);
  expect((await handler(request)).status).toBe(503);
  await a.until(() => a.node.isLeader());
});

test("a node is ready once it takes part, and no longer when it has stopped", async () => {
  const node = makeNode(server, { clusterId: freshId(), nodeId: "a" });
  const { url } = await openDoor({ nodes: [node.node] });
  expect((await get(`${url}/readyz`)).status).toBe(503);
  expect((await get(`${url}/leader`)).status).toBe(503);
  await node.start();
  expect(await get(`${url}/readyz`)).toMatchObject({ status: 200, json: { ready: true, reasons: [] } });
  await node.node.stop();
  expect((await get(`${url}/readyz`)).status).toBe(503);
  expect((await get(`${url}/livez`)).status).toBe(200);
});

test("a node that is stopping is not ready, while its work still runs", async () => {
  const node = await startLeader(server, { clusterId: freshId(), nodeId: "a" });
  const { url } = await openDoor({ nodes: [node.node] });
  let release = (): void => {};
  const working = node.node.runWhileLeader(() => new Promise<void>((resolve) => (release = resolve)));
  await waitFor(() => String(release) !== "() => {}", { timeoutMs: PATIENCE_MS });
  const stopping = node.node.stop();
  expect(await get(`${url}/readyz`)).toMatchObject({ status: 503, json: { ready: false } });
  expect(await get(`${url}/leader`)).toMatchObject({ status: 503, json: { reason: "the node is draining" } });
  release();
  await Promise.all([working, stopping]);
});

test("NATS goes: followers and leader are ready until the span is over; alive all the time; and ready again afterwards", async () => {
  const nats = await startNatsServer();
  atEnd(() => nats.stop());
  const clusterId = freshId();
  const a = await startLeader(nats, { clusterId, nodeId: "a", ...QUICK });
  const b = await startNode(nats, { clusterId, nodeId: "b", ...QUICK });
  await b.sees(a);
  const doors = [await openDoor({ nodes: [a.node] }), await openDoor({ nodes: [b.node] })];
  for (const { url } of doors) expect((await get(`${url}/readyz`)).status).toBe(200);

  await nats.kill();
  await Promise.all([a.next("nats-disconnect"), b.next("nats-disconnect")]);
  for (const { url } of doors) {
    const unready = await untilStatus(`${url}/readyz`, 503);
    const [, silentMs = "", spanMs = ""] =
      /for (\d+) ms, longer than the span of (\d+) ms/.exec(unready.text) ?? [];
    expect(Number(spanMs)).toBe(1_250);
    expect(Number(silentMs)).toBeGreaterThanOrEqual(1_250);
    expect((await get(`${url}/livez`)).status).toBe(200);
    expect((await get(`${url}/leader`)).status).toBe(503);
    expect((await get(`${url}/status`)).json).toMatchObject({ nodes: [{ connected: false, held: false }] });
  }

  await nats.start();
  for (const { url } of doors) await untilStatus(`${url}/readyz`, 200);
});

test("a member is ready with its session, and /leader answers for each resource", async () => {
  const group = new RealGroup(server.url, { resources: ["r1", "r2"] });
  const a = group.make("a");
  const { url } = await openDoor({ groups: [a] });
  expect((await get(`${url}/readyz`)).status).toBe(503);
  await group.begin(a);
  await untilStatus(`${url}/readyz`, 200);
  await Promise.all([a.untilOwned("r1"), a.untilOwned("r2")]);
  const owned = await untilStatus(`${url}/leader?resource=r1`, 200);
  expect(owned).toMatchObject({
    status: 200,
    json: { groupId: group.groupId, memberId: "a", resource: "r1" },
  });
  expect(owned.json["epoch"]).toBe(a.term("r1")?.epoch);

  const b = await group.start("b");
  const door = await openDoor({ groups: [b] });
  await a.drain();
  await Promise.all([b.untilOwned("r1"), b.untilOwned("r2")]);
  await untilStatus(`${door.url}/leader?resource=r1`, 200);
  await waitFor(() => a.owner("r1")?.memberId === "b", { timeoutMs: PATIENCE_MS });
  expect(await get(`${url}/leader?resource=r1`)).toMatchObject({
    status: 503,
    json: { owner: { memberId: "b", epoch: b.term("r1")?.epoch } },
  });
  expect((await get(`${url}/readyz`)).status).toBe(200);
  expect((await get(`${door.url}/status`)).json).toMatchObject({
    groups: [
      { groupId: group.groupId, memberId: "b", owned: 2, resources: 2, unowned: 0, members: ["a", "b"] },
    ],
  });
  await b.stop();
  expect((await get(`${door.url}/readyz`)).status).toBe(503);
});

/** On a busy machine a leader is not held for a moment, until the event loop has checked its sockets. */
async function untilStatus(url: string, status: number): ReturnType<typeof get> {
  let got = await get(url);
  await waitFor(
    async () => {
      got = await get(url);
      return got.status === status;
    },
    { timeoutMs: PATIENCE_MS, message: () => `${url} answers ${got.status} ${got.text}, not ${status}` },
  );
  return got;
}
