/** Step-downs and handovers: work ends first, the named successor leads, and a node that cannot lead is refused. */
import { describe, expect, test } from "vitest";
import { deferred } from "../../scripts/shared/wait.ts";
import { leaseSubject, streamName } from "../../src/nats/names.ts";
import { freshId } from "../support/fresh-id.ts";
import { requestsOn } from "../support/nats/requests-on.ts";
import { link } from "../support/nats/store-and-session.ts";
import { operatorOf } from "../support/node/operator.ts";
import { proxied } from "../support/node/proxy.ts";
import { CALM, QUICK, settled, startLeader, startNode, type TestNode } from "../support/node/test-node.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

async function cluster(size: number, options: object = {}): Promise<[TestNode, ...TestNode[]]> {
  const clusterId = freshId();
  const nodes = await Promise.all(
    Array.from({ length: size }, (_, index) =>
      startNode(server, { clusterId, nodeId: `n${index}`, ...options }),
    ),
  );
  return settled(nodes);
}

describe("work that takes longer than the TTL to stop", () => {
  test("in onLoseLeadership: the lease is kept, and the next term begins after it", async () => {
    const clusterId = freshId();
    const gate = deferred();
    const a = await startLeader(
      server,
      { ...QUICK, clusterId, nodeId: "a" },
      { onLoseLeadership: () => gate.promise },
    );
    const b = await startNode(server, { ...QUICK, clusterId, nodeId: "b" });
    await b.sees(a);
    const heard = await (await operatorOf(server, clusterId)).hear();
    const down = a.node.stepDown();
    await a.called("onLoseLeadership");
    expect([a.node.isLeader(), a.node.role]).toEqual([false, "draining"]);
    const draining = heard.items.length;
    await heard.until((items) => items.length >= draining + 8); // 8 renewals: more than two TTLs
    expect(b.count("become-leader")).toBe(0);
    expect(b.node.leader?.nodeId).toBe("a");
    gate.resolve();
    await down;
    const [lose] = a.calls("onLoseLeadership");
    const become = await b.called("onBecomeLeader");
    expect(become.atMs).toBeGreaterThan(lose?.endedMs ?? Number.NaN);
    expect(become.term?.epoch).toBe(2);
  });

  test("in runWhileLeader: the lease is kept, and the next leader's work begins after it", async () => {
    const clusterId = freshId();
    const gate = deferred();
    const a = await startLeader(server, { ...QUICK, clusterId, nodeId: "a" });
    const running = deferred();
    let endedMs = Number.NaN;
    const work = a.node.runWhileLeader(async (term) => {
      running.resolve();
      await new Promise((resolve) => term.signal.addEventListener("abort", resolve));
      await gate.promise;
      endedMs = performance.now();
    });
    await running.promise;
    const b = await startNode(server, { ...QUICK, clusterId, nodeId: "b" });
    await b.sees(a);
    const heard = await (await operatorOf(server, clusterId)).hear();
    const stopped = a.node.stop();
    await heard.until((items) => items.length >= 6);
    expect(b.count("become-leader")).toBe(0);
    gate.resolve();
    await Promise.all([stopped, work]);
    expect((await b.called("onBecomeLeader")).atMs).toBeGreaterThan(endedMs);
  });

  test("past drainTimeoutMs is not waited for any longer", async () => {
    const gate = deferred();
    const a = await startLeader(
      server,
      { ...CALM, clusterId: freshId(), nodeId: "a", drainTimeoutMs: 250 },
      { onLoseLeadership: () => gate.promise },
    );
    const before = performance.now();
    await a.node.stepDown();
    expect(performance.now() - before).toBeGreaterThanOrEqual(249);
    gate.resolve();
  });

  test("ends at the deadline when the network is lost during it", async () => {
    const proxy = await proxied(server);
    const gate = deferred();
    const a = await startLeader(
      proxy,
      { ...QUICK, clusterId: freshId(), nodeId: "a", crashDetection: "lease" },
      { onLoseLeadership: () => gate.promise },
    );
    proxy.blackhole(true);
    expect(await a.node.stepDown()).toEqual({ epoch: 1, leaseDeleted: false, drain: "timed-out" });
    expect(a.warnings("RELEASE_FAILED")).toHaveLength(1);
    gate.resolve();
    proxy.blackhole(false);
  });
});

describe("a step-down to a named node", () => {
  test("among five makes it the next leader, every time", async () => {
    const nodes = await cluster(5, { successorGraceMs: CALM.leaseTtlMs, cooldownMs: 0 });
    for (let round = 0; round < 5; round++) {
      const { epoch } = nodes[0].node;
      const [leader, ...followers] = await settled(nodes);
      const to = followers[round % followers.length];
      await leader.node.stepDown({ to: to?.id });
      const [next] = await settled(nodes, epoch);
      expect(next.id).toBe(to?.id);
      expect(next.node.epoch).toBe(epoch + 1);
    }
  });

  test("makes it the next leader even in its cooldown", async () => {
    const [first, second] = await cluster(2, { cooldownMs: 60_000 });
    if (second === undefined) throw new Error("no second node");
    await first.node.stepDown({ to: second.id });
    await settled([second, first], 1);
    await second.node.stepDown({ to: first.id });
    await settled([first, second], 2);
    await first.leads();
  });

  test("that is not running, is an observer or leads already is refused, and the term goes on", async () => {
    const [leader] = await cluster(2);
    const { clusterId } = leader.node;
    await startNode(server, { clusterId, nodeId: "watcher", observer: true });
    for (const [to, why] of [
      ["absent", /did not answer/],
      ["watcher", /observer/],
      [leader.id, /is the leader already/],
    ] as const) {
      await expect(leader.node.stepDown({ to })).rejects.toMatchObject({
        code: "HANDOVER_REFUSED",
        message: expect.stringMatching(why),
      });
    }
    expect(leader.node).toMatchObject({ role: "leader", epoch: 1 });
    expect(leader.count("lose-leadership")).toBe(0);
  });

  test("in whose name a program answers that cannot serve control subjects is refused, and the lease is kept", async () => {
    const [leader] = await cluster(2);
    const { clusterId } = leader.node;
    const operator = await operatorOf(server, clusterId);
    const ghost = {
      nodeId: "ghost",
      role: "PASSIVE",
      leader: leader.id,
      epoch: 1,
      uptimeMs: 1,
      connected: true,
    };
    for (const more of [{}, { incarnation: "g", competes: true, state: "follower" }]) {
      const subscription = operator.connection.subscribe(`cluster_${clusterId}.status.ghost`, {
        callback: (_error, message) => void message.respond(JSON.stringify({ ...ghost, ...more })),
      });
      await operator.connection.flush();
      await expect(leader.node.stepDown({ to: "ghost" })).rejects.toMatchObject({
        code: "HANDOVER_REFUSED",
        message: expect.stringContaining("did not answer as a candidate"),
      });
      subscription.unsubscribe();
    }
    expect(leader.node).toMatchObject({ role: "leader", epoch: 1 });
    expect([leader.count("lose-leadership"), leader.count("released")]).toEqual([0, 0]);
  });

  test("that was killed is refused", async () => {
    const [leader, other] = await cluster(2);
    await other?.node.stop();
    await expect(leader.node.stepDown({ to: other?.id })).rejects.toMatchObject({ code: "HANDOVER_REFUSED" });
    await leader.leads();
  });

  test("that crashes during the handover: another node leads after successorGraceMs", async () => {
    const [leader, second, third] = await cluster(3, { successorGraceMs: 200 });
    if (second === undefined || third === undefined) throw new Error("too few nodes");
    const gate = deferred();
    const work = leader.node.runWhileLeader((term) => {
      term.signal.addEventListener("abort", () => void second.node.stop().then(() => gate.resolve()));
      return gate.promise;
    });
    await leader.node.stepDown({ to: second.id });
    const [next] = await settled([leader, third], 1);
    expect(next.id).toBe(third.id);
    await leader.node.stop();
    await work;
  });
});

test("an abort ends the wait for a step-down, not the step-down", async () => {
  const clusterId = freshId();
  const gate = deferred();
  const a = await startLeader(server, { clusterId, nodeId: "a" }, { onLoseLeadership: () => gate.promise });
  const b = await startNode(server, { clusterId, nodeId: "b" });
  await expect(a.node.stepDown({ timeoutMs: 100 })).rejects.toMatchObject({ code: "TIMEOUT" });
  expect(a.node.role).toBe("draining");
  gate.resolve();
  await b.until(() => b.node.isLeader());
  const abort = new AbortController();
  const down = b.node.stepDown({ signal: abort.signal });
  abort.abort(new Error("enough"));
  await expect(down).rejects.toMatchObject({ code: "ABORTED", cause: { message: "enough" } });
  await b.next("released");
});

test("a step-down costs one release, and for each other node one read before the next term begins", async () => {
  const clusterId = freshId();
  // Without heartbeats in between.
  const options = { clusterId, leaseTtlMs: 60_000 };
  const a = await startLeader(server, { ...options, nodeId: "a" });
  const b = await startNode(server, { ...options, nodeId: "b" });
  await b.sees(a);
  const { connection } = await link(server);
  const requests = await requestsOn(connection, "$JS.API.STREAM.>");
  const writes = await requestsOn(connection, leaseSubject(clusterId));
  await a.node.stepDown();
  await b.leads();
  await a.sees(b);
  expect(await writes.taken()).toHaveLength(2);
  // The release is read by b, the record of b by a.
  expect(await requests.taken()).toEqual(Array(2).fill(`$JS.API.STREAM.MSG.GET.${streamName(clusterId)}`));
});
