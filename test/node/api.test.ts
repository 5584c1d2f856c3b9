/** The calls of an application: campaign, runWhileLeader, events, limits of waits, passed-in connections. */
import { connect } from "@nats-io/transport-node";
import { describe, expect, test } from "vitest";
import { deferred, waitFor, within } from "../../scripts/shared/wait.ts";
import { Node, type NodeEvent, type Term } from "../../src/index.ts";
import { candidateSubject, statusSubject } from "../../src/nats/names.ts";
import { startNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { freshId } from "../support/fresh-id.ts";
import { operatorOf } from "../support/node/operator.ts";
import { proxied } from "../support/node/proxy.ts";
import { CALM, makeNode, QUICK, startLeader, startNode } from "../support/node/test-node.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

describe("campaign()", () => {
  test("resolves with the term: when it begins, and at once while it runs", async () => {
    const a = await startNode(server, { clusterId: freshId(), nodeId: "a" });
    const term = await a.node.campaign();
    expect(term).toBe(a.node.term);
    await a.until(() => term.held);
    expect(await a.node.campaign()).toBe(term);
  });

  test("of a follower resolves when the leader has left", async () => {
    const clusterId = freshId();
    const a = await startLeader(server, { clusterId, nodeId: "a" });
    const b = await startNode(server, { clusterId, nodeId: "b" });
    await b.sees(a);
    const campaign = b.node.campaign();
    await a.node.stop();
    expect((await campaign).epoch).toBe(2);
  });

  test("ends with TIMEOUT, ABORTED or STOPPED, and the node goes on", async () => {
    const clusterId = freshId();
    const a = await startLeader(server, { clusterId, nodeId: "a" });
    const b = await startNode(server, { clusterId, nodeId: "b" });
    await expect(b.node.campaign({ timeoutMs: 50 })).rejects.toMatchObject({
      code: "TIMEOUT",
      recoverable: true,
    });
    await expect(b.node.campaign({ signal: AbortSignal.timeout(50) })).rejects.toMatchObject({
      code: "ABORTED",
    });
    await expect(b.node.campaign({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "ABORTED" });
    const waiting = b.node.campaign();
    waiting.catch(() => {});
    await b.node.stop();
    await expect(waiting).rejects.toMatchObject({ code: "STOPPED" });
    await a.leads();
  });
});

describe("runWhileLeader()", () => {
  test("runs in each term of this node, after onBecomeLeader, and resolves when the node stops", async () => {
    const clusterId = freshId();
    const calls: string[] = [];
    const a = await startNode(
      server,
      { clusterId, nodeId: "a", cooldownMs: 0 },
      { onBecomeLeader: ({ epoch }) => void calls.push(`become ${epoch}`) },
    );
    const ran = deferred();
    const done = a.node.runWhileLeader(async (term) => {
      calls.push(`work ${term.epoch} ${term.lossReason}`);
      if (term.epoch === 3) ran.resolve();
      await new Promise((resolve) => term.signal.addEventListener("abort", resolve));
      calls.push(`end ${term.epoch} ${term.lossReason}`);
    });
    for (const epoch of [1, 2]) {
      await waitFor(() => calls.at(-1) === `work ${epoch} null`);
      await a.node.stepDown();
    }
    await ran.promise;
    await a.node.stop();
    await within(done);
    expect(calls).toEqual([
      "become 1",
      "work 1 null",
      "end 1 released",
      "become 2",
      "work 2 null",
      "end 2 released",
      "become 3",
      "work 3 null",
      "end 3 stopped",
    ]);
  });

  test("whose work throws rejects with HOOK_FAILED, and the node steps down", async () => {
    const clusterId = freshId();
    const a = await startLeader(server, { clusterId, nodeId: "a" });
    const b = await startNode(server, { clusterId, nodeId: "b" });
    await b.sees(a);
    const failure = new Error("disk on fire");
    const work = a.node.runWhileLeader(async () => {
      throw failure;
    });
    await expect(work).rejects.toMatchObject({ code: "HOOK_FAILED", cause: failure });
    expect((await a.next("lose-leadership")).reason).toBe("hook-failed");
    await b.until(() => b.node.isLeader());
    expect(a.events.items.find((event) => event.type === "hook-error")).toMatchObject({ hook: "work" });
  });

  test("whose work throws because its signal was aborted has not failed", async () => {
    const a = await startLeader(server, { clusterId: freshId(), nodeId: "a" });
    const running = deferred();
    const work = a.node.runWhileLeader(async (term) => {
      running.resolve();
      await new Promise((_, reject) =>
        term.signal.addEventListener("abort", () => reject(term.signal.reason)),
      );
    });
    await running.promise;
    await a.node.stop();
    await work;
    expect(a.count("hook-error")).toBe(0);
  });

  test("ends with its signal: the work is aborted, the term goes on", async () => {
    const a = await startLeader(server, { clusterId: freshId(), nodeId: "a" });
    const stop = new AbortController();
    const running = deferred<Term>();
    const work = a.node.runWhileLeader(
      async (term, { signal }) => {
        running.resolve(term);
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
      },
      { signal: stop.signal },
    );
    const term = await running.promise;
    stop.abort();
    await within(work);
    expect([term.signal.aborted, a.node.term]).toEqual([false, term]);
    await a.until(() => term.held && a.node.isLeader());
  });

  test("several run side by side, and each is waited for", async () => {
    const a = await startLeader(server, { clusterId: freshId(), nodeId: "a" });
    const ended: number[] = [];
    const works = [1, 2, 3].map((n) => {
      const running = deferred();
      const done = a.node.runWhileLeader(async (term) => {
        running.resolve();
        await new Promise((resolve) => term.signal.addEventListener("abort", resolve));
        ended.push(n);
      });
      return { running: running.promise, done };
    });
    await Promise.all(works.map((work) => work.running));
    await a.node.stepDown();
    expect(ended.sort()).toEqual([1, 2, 3]);
    await a.node.stop();
    await Promise.all(works.map((work) => work.done));
  });

  test("is cancelled at once when the lease is lost, and runs again in the next term", async () => {
    const proxy = await proxied(server);
    const a = await startLeader(proxy, { ...QUICK, clusterId: freshId(), nodeId: "a" });
    const epochs: number[] = [];
    const reasons: (string | null)[] = [];
    const work = a.node.runWhileLeader(async (term) => {
      epochs.push(term.epoch);
      await new Promise((resolve) => term.signal.addEventListener("abort", resolve));
      reasons.push(term.lossReason);
    });
    await waitFor(() => epochs.length === 1);
    proxy.blackhole(true);
    await waitFor(() => reasons.length === 1);
    proxy.blackhole(false);
    await waitFor(() => epochs.length === 2);
    await a.node.stop();
    await work;
    expect(reasons).toEqual(["expired", "stopped"]);
    expect(epochs[1]).toBeGreaterThan(1);
  });
});

describe("events()", () => {
  test("yields all events of an incarnation, in order, to every reader, and ends with the stop", async () => {
    const a = makeNode(server, { clusterId: freshId(), nodeId: "a" });
    const read = async (events: AsyncIterable<NodeEvent>): Promise<NodeEvent[]> => {
      const all: NodeEvent[] = [];
      for await (const event of events) all.push(event);
      return all;
    };
    const readers = [read(a.node.events()), read(a.node.events())];
    await a.start();
    await a.becomes();
    await a.node.stepDown();
    await a.node.stop();
    const [first, second] = await within(Promise.all(readers));
    expect(first?.map((event) => event.type)).toEqual([
      "started",
      "become-leader",
      "leader-change",
      "lose-leadership",
      "released",
      "leader-change",
      "stopped",
    ]);
    expect(second).toEqual(first);
    const times = first?.map((event) => event.at) ?? [];
    expect(times).toEqual([...times].sort((x, y) => x - y));
  });

  test("reports to a slow reader how many events were dropped, and yields the newest", async () => {
    const a = await startLeader(server, { clusterId: freshId(), nodeId: "a", cooldownMs: 0 });
    const events = a.node.events();
    const all: NodeEvent[] = [];
    const reading = (async () => {
      for await (const event of a.node.events()) all.push(event);
    })();
    for (let term = 0; term < 220; term++) {
      await a.node.stepDown();
      await a.until(() => a.node.isLeader());
    }
    await a.node.stop();
    const first = await events.next();
    expect(first.value).toMatchObject({ type: "overflow" });
    const rest: NodeEvent[] = [];
    for await (const event of events) rest.push(event);
    await reading;
    expect(rest).toEqual(all.slice(-1024));
    expect(rest.at(-1)?.type).toBe("stopped");
    // 220 times lose-leadership, released, leader-change, become-leader, leader-change; then the first three and stopped.
    expect(all.filter(({ type }) => type !== "warning")).toHaveLength(220 * 5 + 4);
    expect((first.value as { dropped: number }).dropped).toBe(all.length - 1024);
  });

  test("ends when its reader leaves, or its signal aborts", async () => {
    const a = await startLeader(server, { clusterId: freshId(), nodeId: "a" });
    const left = a.node.events();
    const stop = new AbortController();
    const aborted = a.node.events({ signal: stop.signal });
    const waiting = aborted.next();
    stop.abort();
    expect(await within(waiting)).toEqual({ done: true, value: undefined });
    const reading = (async () => {
      for await (const event of left) if (event.type === "lose-leadership") break;
    })();
    await a.node.stepDown();
    await within(reading);
    expect(await left.next()).toEqual({ done: true, value: undefined });
    expect(await a.node.events({ signal: AbortSignal.abort() }).next()).toMatchObject({ done: true });
  });
});

describe("start()", () => {
  test("that is aborted before or while it connects leaves nothing behind, and can be repeated", async () => {
    const proxy = await proxied(server);
    proxy.blackhole(true);
    const a = makeNode(proxy, { clusterId: freshId(), nodeId: "a", connectTimeoutMs: 10_000 });
    await expect(a.node.start({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "ABORTED" });
    const reason = new Error("no time");
    const abort = new AbortController();
    const starting = a.node.start({ signal: abort.signal });
    await waitFor(() => proxy.connections > 0);
    abort.abort(reason);
    await expect(starting).rejects.toMatchObject({ code: "ABORTED" });
    expect(a.node.role).toBe("stopped");
    proxy.blackhole(false);
    await waitFor(() => proxy.connections === 0);
    await a.start();
    await a.becomes();
  });

  test("that is aborted while it opens the bucket leaves nothing behind", async () => {
    const proxy = await proxied(server);
    const clusterId = freshId();
    const a = makeNode(proxy, { clusterId, nodeId: "a" });
    const taking = proxy.takeNextToServer((frame) => frame.subject.startsWith("$JS.API.STREAM.CREATE"));
    const abort = new AbortController();
    const starting = a.node.start({ signal: abort.signal });
    await taking;
    abort.abort();
    await expect(starting).rejects.toMatchObject({ code: "ABORTED" });
    await waitFor(() => proxy.connections === 0);
  });

  test("that stop() ends resolves, and runWhileLeader() then resolves without running its work", async () => {
    const proxy = await proxied(server);
    proxy.blackhole(true);
    const a = makeNode(proxy, { clusterId: freshId(), nodeId: "a" });
    const starting = a.node.start();
    await waitFor(() => proxy.connections > 0);
    const stopping = a.node.stop();
    await within(starting);
    await within(stopping);
    await within(a.node.runWhileLeader(() => expect.unreachable()));
    // An open socket would keep the process alive.
    await waitFor(() => proxy.connections === 0);
    proxy.blackhole(false);
  });

  test("that is stopped just before it completes leaves no service on a connection that was passed in", async () => {
    const proxy = await proxied(server);
    const connection = await connect({ servers: proxy.url, pingInterval: 1000, maxPingOut: 2 });
    atEnd(() => connection.close());
    const clusterId = freshId();
    const a = makeNode({ connection }, { clusterId, nodeId: "a", crashDetection: "lease" });
    const subscribing = proxy.takeNextToServer((frame) =>
      frame.text.includes(`cluster_${clusterId}.status.a`),
    );
    const starting = a.start();
    const subscription = await subscribing; // its service is being set up
    const stopping = a.node.stop();
    subscription.release();
    await Promise.allSettled([starting, within(stopping)]);
    await connection.flush();
    const { connection: other } = await operatorOf(server, clusterId);
    for (const subject of [`cluster_${clusterId}.status.a`, `$SRV.PING.cluster_${clusterId}`]) {
      const asking = other.request(subject, undefined, { timeout: 500 });
      await expect(asking).rejects.toThrow(/no responders/i);
    }
  });

  test("on a server without JetStream rejects with JETSTREAM_UNAVAILABLE", async () => {
    await using own = await startNatsServer({ jetstream: false });
    const a = makeNode(own, { clusterId: freshId(), nodeId: "a", connectTimeoutMs: 500 });
    await expect(a.start()).rejects.toMatchObject({ code: "JETSTREAM_UNAVAILABLE", recoverable: true });
  });
});

test("await using stops the node at the end of the block", async () => {
  const clusterId = freshId();
  const b = await startNode(server, { clusterId, nodeId: "b", observer: true });
  {
    await using node = new Node({ ...CALM, clusterId, nodeId: "a", servers: server.url, logger: false });
    await node.start();
    await node.campaign();
    await b.until(() => b.node.leader?.nodeId === "a");
  }
  await b.sees(null);
  {
    await using never = new Node({ clusterId, nodeId: "c", servers: server.url });
    expect(never.role).toBe("stopped");
  }
});

describe("a connection that is passed in", () => {
  test("is used and not closed, and several nodes of different clusters share it", async () => {
    const connection = await connect({ servers: server.url, pingInterval: 1000, maxPingOut: 2 });
    atEnd(() => connection.close());
    const ids = [freshId(), freshId(), freshId()];
    const nodes = await Promise.all(
      ids.map((clusterId) => startLeader({ connection }, { clusterId, nodeId: "a" })),
    );
    const { connection: other } = await operatorOf(server, freshId());
    for (const clusterId of ids) {
      const status = await other.request(`cluster_${clusterId}.status.a`, undefined, { timeout: 2000 });
      expect(status.json()).toMatchObject({ role: "PRIMARY", epoch: 1, presence: "on" });
    }
    const [first, ...rest] = nodes;
    await first?.node.stop();
    expect(connection.isClosed()).toBe(false);
    expect(rest.map((node) => node.node.isLeader())).toEqual([true, true]);
    for (const node of rest) await node.node.stop();
    await connection.flush();
    // The stopped nodes left no service on the connection.
    const status = other.request(`cluster_${ids[0]}.status.a`, undefined, { timeout: 500 });
    await expect(status).rejects.toThrow(/no responders/i);
  });

  test("can carry two nodes of one cluster, one of which leads", async () => {
    const connection = await connect({ servers: server.url, pingInterval: 1000, maxPingOut: 2 });
    atEnd(() => connection.close());
    const clusterId = freshId();
    const a = await startLeader({ connection }, { clusterId, nodeId: "a" });
    const b = await startNode({ connection }, { clusterId, nodeId: "b" });
    await b.sees(a);
    await a.node.stepDown();
    await b.until(() => b.node.isLeader());
    expect(b.node.epoch).toBe(2);
  });

  test("that pings too slowly for a presence is used without one, with a warning", async () => {
    const connection = await connect({ servers: server.url });
    atEnd(() => connection.close());
    const clusterId = freshId();
    const a = await startLeader({ connection }, { clusterId, nodeId: "a" });
    expect(a.warnings("SESSION")).toContainEqual(expect.stringMatching(/pingInterval/));
    const record = await (await operatorOf(server, clusterId)).record();
    expect((record["session"] as Record<string, unknown>)["presence"]).toBeUndefined();
  });

  test("that gives up reconnecting is used with a warning; when it has given up, campaign() rejects and the node stops", async () => {
    const own = await startNatsServer();
    atEnd(() => own.dispose());
    const connection = await connect({
      servers: own.url,
      maxReconnectAttempts: 2,
      reconnectTimeWait: 10,
      pingInterval: 1000,
      maxPingOut: 2,
    });
    atEnd(() => connection.close());
    const options = { ...QUICK, clusterId: freshId() };
    const a = await startLeader({ connection }, { ...options, nodeId: "a" });
    expect(a.warnings("SESSION")).toEqual([expect.stringMatching(/maxReconnectAttempts: -1/)]);
    const b = await startNode({ connection }, { ...options, nodeId: "b", crashDetection: "lease" });
    expect(b.warnings("SESSION")).toEqual([expect.stringMatching(/after 2 attempts/)]);
    const patient = await startNode(own, { ...options, nodeId: "p" });
    expect(patient.warnings("SESSION")).toEqual([]);
    const waiting = expect(b.node.campaign()).rejects.toMatchObject({ code: "NO_CONNECTION" });
    await own.kill();
    await waiting;
    expect((await a.next("stopped")).reason).toBe("connection-closed");
    expect((await b.next("stopped")).reason).toBe("connection-closed");
    expect(a.node.role).toBe("stopped");
    await expect(b.node.campaign()).rejects.toMatchObject({ code: "NO_CONNECTION" });
    expect(patient.node.role).not.toBe("stopped");
  });

  test("that is closed already is refused, and one that is closed under a leader stops it", async () => {
    const connection = await connect({ servers: server.url, pingInterval: 1000, maxPingOut: 2 });
    const a = await startLeader({ connection }, { ...QUICK, clusterId: freshId(), nodeId: "a" });
    await connection.close();
    await a.next("nats-disconnect");
    expect(a.node.isLeader()).toBe(false);
    expect((await a.next("lose-leadership")).reason).toBe("stopped");
    expect((await a.next("stopped")).reason).toBe("connection-closed");
    expect(a.warnings("CONNECTION_CLOSED")).toHaveLength(1);
    await expect(a.node.campaign()).rejects.toMatchObject({ code: "NO_CONNECTION" });
    const again = makeNode({ connection }, { clusterId: freshId(), nodeId: "a" });
    await expect(again.start()).rejects.toMatchObject({ code: "NO_CONNECTION" });
  });
});

test("heartbeats that are no shorter than half the TTL are refused before anything is connected", () => {
  for (const heartbeatIntervalMs of [1500, 3000, 5000]) {
    const make = (): Node =>
      new Node({ ...CALM, heartbeatIntervalMs, clusterId: "c", nodeId: "a", servers: "nats://localhost:1" });
    expect(make).toThrow(expect.objectContaining({ code: "INVALID_CONFIG" }));
    expect(make).toThrow(/heartbeatIntervalMs \d+ must be less than half of leaseTtlMs 3000/);
  }
});

describe("a start that does not succeed", () => {
  test("ends the iterators of its events: NATS is away, or stop() was called", async () => {
    const away = new Node({ clusterId: freshId(), servers: "nats://127.0.0.1:1", logger: false });
    const events = away.events();
    await expect(away.start()).rejects.toMatchObject({ code: "NO_CONNECTION" });
    expect(await events.next()).toEqual({ done: true, value: undefined });

    const proxy = await proxied(server);
    proxy.blackhole(true);
    const stopped = new Node({ clusterId: freshId(), servers: proxy.url, logger: false });
    const others = stopped.events();
    const start = stopped.start();
    await stopped.stop();
    await start;
    expect(await others.next()).toEqual({ done: true, value: undefined });
    await expect(stopped.campaign()).rejects.toMatchObject({ code: "STOPPED" });
    await stopped.runWhileLeader(() => {});
  });

  test("is aborted by its signal at any moment, also when the node already takes part", async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const log = ({ event }: { readonly event?: unknown }): void => {
      if (event === "started") controller.abort();
    };
    const logger = { debug: log, info: log, warn: log, error: log };
    const node = new Node({ clusterId: freshId(), servers: server.url, logger });
    await expect(node.start({ signal })).rejects.toMatchObject({ code: "ABORTED" });
    expect(node.role).toBe("stopped");
    await node.start();
    await node.campaign();
    await node.stop();
  });
});

test("a handover ends at the limits of its call while the successor does not answer, and the term goes on", async () => {
  const clusterId = freshId();
  const { node } = await startLeader(server, { clusterId, nodeId: "a" });
  // Without a subscriber the server would answer at once.
  const silent = await connect({ servers: server.url });
  atEnd(() => silent.close());
  for (const subject of [candidateSubject(clusterId, "silent"), statusSubject(clusterId, "silent")])
    silent.subscribe(subject);
  await silent.flush();
  await expect(node.stepDown({ to: "silent", timeoutMs: 1 })).rejects.toMatchObject({ code: "TIMEOUT" });
  const signal = AbortSignal.timeout(1);
  await expect(node.stepDown({ to: "silent", signal })).rejects.toMatchObject({ code: "ABORTED" });
  for (const to of ["", "*", "a.b", null as unknown as string]) {
    await expect(node.stepDown({ to })).rejects.toMatchObject({ code: "INVALID_CONFIG" });
  }
  expect(node.term?.epoch).toBe(1);
});
