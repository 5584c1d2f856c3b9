/** `Group` on a real server: who owns what when members come, go, drain and fail. */
import { once } from "node:events";
import { connect } from "@nats-io/transport-node";
import { describe, expect, test } from "vitest";
import { within } from "../../scripts/shared/wait.ts";
import type { GroupMemberEvent } from "../../src/group/events.ts";
import type { Group } from "../../src/group/group.ts";
import { Node } from "../../src/node/node.ts";
import { deferred } from "../../src/runtime/waiting.ts";
import { atEnd } from "../support/at-end.ts";
import { RealGroup } from "../support/group/real-group.ts";
import { proxied } from "../support/node/proxy.ts";
import { LONG, PATIENCE_MS } from "../support/patience.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

/** The first event of that type from now on. */
async function nextEvent<T extends GroupMemberEvent["type"]>(
  member: Group,
  type: T,
): Promise<Extract<GroupMemberEvent, { type: T }>> {
  for await (const event of member.events())
    if (event.type === type) return event as Extract<GroupMemberEvent, { type: T }>;
  throw new Error(`the member has stopped without "${type}"`);
}

describe("a group", () => {
  test("shares its resources, moves as few as possible, and gives back what a member had that left", async () => {
    const group = new RealGroup(server.url);
    await group.start("a");
    await group.untilShares({ a: 6 });
    await group.start("b");
    await group.untilShares({ a: 3, b: 3 });
    expect(group.runs).toHaveLength(9);
    await group.start("c");
    await group.untilShares({ a: 2, b: 2, c: 2 });
    expect(group.runs).toHaveLength(11);
    const left = await group.members.get("a")?.stop();
    expect(left).toEqual({ reason: "requested", drain: "complete", unfinished: [], pending: false });
    await group.untilShares({ a: 0, b: 3, c: 3 });
    expect(group.runs).toHaveLength(13);
  });

  test("takes over what a member had whose connection was cut, and the member loses it before", async () => {
    const group = new RealGroup(server.url, LONG);
    const nc = await connect({
      servers: server.url,
      maxReconnectAttempts: -1,
      pingInterval: 500,
      maxPingOut: 2,
    });
    atEnd(() => nc.close());
    const a = await group.start("a", { servers: undefined, connection: nc });
    await group.start("b");
    await group.untilShares({ a: 3, b: 3 });
    const ended = nextEvent(a, "stopped");
    const terms = [...a.owned.values()];
    await nc.close();
    expect(terms.some(({ held }) => held)).toBe(false);
    await group.untilShares({ a: 0, b: 6 });
    expect((await ended).reason).toBe("connection-closed");
    await expect(a.drain()).rejects.toMatchObject({ code: "NO_CONNECTION" });
  });

  test("never closes a connection that was passed in", async () => {
    const group = new RealGroup(server.url);
    const nc = await connect({
      servers: server.url,
      maxReconnectAttempts: -1,
      pingInterval: 500,
      maxPingOut: 2,
    });
    atEnd(() => nc.close());
    const a = await group.start("a", { servers: undefined, connection: nc });
    await group.untilShares({ a: 6 });
    await a.stop();
    expect(nc.isClosed()).toBe(false);
    await a.start();
    void group.work(a);
    await group.untilShares({ a: 6 });
  });

  test("keeps a resource with its owner until the work has ended, and starts the next work after that", async () => {
    const group = new RealGroup(server.url, { resources: ["x"] });
    const a = group.make("a");
    const end = deferred<void>();
    const order: string[] = [];
    await a.start();
    void a.runOwned(async (_term, { signal }) => {
      await once(signal, "abort");
      order.push("aborted");
      await end.promise;
      order.push("ended");
    });
    const { signal } = await a.untilOwned("x");
    const aborts = once(signal, "abort");
    const b = group.make("b", {}, { onOwn: () => void order.push("owned by b") });
    await b.start();
    const draining = a.drain();
    await within(aborts, { timeoutMs: PATIENCE_MS });
    expect(b.term("x")).toBeNull();
    end.resolve();
    expect(await draining).toEqual({ drain: "complete" });
    await b.untilOwned("x", { timeoutMs: PATIENCE_MS });
    expect(order).toEqual(["aborted", "ended", "owned by b"]);
  });

  test("does not give a member that drains anything, until it rejoins", async () => {
    const group = new RealGroup(server.url);
    const a = await group.start("a");
    await group.start("b");
    await group.untilShares({ a: 3, b: 3 });
    await a.drain({ timeoutMs: PATIENCE_MS });
    await group.untilShares({ a: 0, b: 6 });
    expect(a.members().find(({ memberId }) => memberId === "a")).toMatchObject({ draining: true, weight: 1 });
    await a.rejoin();
    await group.untilShares({ a: 3, b: 3 });
  });

  test("observes weight and maxOwned, and takes what no other member can", async () => {
    const group = new RealGroup(server.url, { resources: 8 });
    await group.start("a", { weight: 3 });
    await group.start("b", { weight: 1 });
    await group.untilShares({ a: 6, b: 2 });
    await group.start("c", { maxOwned: 1, weight: 10 });
    await group.untilShares({ c: 1 });
    await group.start("d", { weight: 0 });
    await group.untilShares({ d: 0, c: 1 });
  });

  test("moves a resource to the member that is named, in exchange for another one", async () => {
    const group = new RealGroup(server.url);
    const a = await group.start("a");
    const b = await group.start("b");
    await group.untilShares({ a: 3, b: 3 });
    const [resource = ""] = [...a.owned.keys()];
    const coordinator = a.plan().coordinator === "a" ? a : b;
    const other = coordinator === a ? b : a;
    await expect(other.move(resource, "b")).rejects.toMatchObject({ code: "HANDOVER_REFUSED" });
    await expect(coordinator.move("none", "b")).rejects.toThrow('"none" is not on the coordinator\'s list');
    await coordinator.move(resource, "b");
    await b.untilOwned(resource, { timeoutMs: PATIENCE_MS });
    await group.untilShares({ a: 3, b: 3 });
  });

  test("passes on a resource whose work fails, and the others stay where they are", async () => {
    const group = new RealGroup(server.url, { resources: ["bad", "good"] });
    const a = group.make("a");
    await a.start();
    const failed = nextEvent(a, "hook-error");
    void a
      .runOwned(({ resource }, { signal }) => {
        if (resource === "bad") throw new Error("no such table");
        return once(signal, "abort");
      })
      .catch(() => {});
    const { resource, hook, error } = await failed;
    expect([resource, hook, error.message]).toEqual(["bad", "work", "no such table"]);
    const b = await group.start("b");
    await b.untilOwned("bad", { timeoutMs: PATIENCE_MS });
    expect(a.term("good")?.held).toBe(true);
  });

  test("follows the lists of a source", async () => {
    const lists = [deferred<string[]>(), deferred<string[]>()];
    const group = new RealGroup(server.url, {
      resources: async function* () {
        yield ["a", "b"];
        for (const list of lists) yield await list.promise;
      },
    });
    const member = await group.start("m");
    await group.untilShares({ m: 2 });
    const kept = member.term("b");
    lists[0]?.resolve(["b", "c", "d"]);
    await member.untilOwned("d", { timeoutMs: PATIENCE_MS });
    await group.untilShares({ m: 3 });
    expect(member.term("b")).toBe(kept);
    expect(member.term("a")).toBeNull();
    expect(member.plan().resources.map(({ resource, owner }) => [resource, owner])).toEqual([
      ["b", "m"],
      ["c", "m"],
      ["d", "m"],
    ]);
  });

  test("and a cluster of the same name do not meet", async () => {
    const group = new RealGroup(server.url, LONG);
    const member = await group.start("a");
    await group.untilShares({ a: 6 });
    const node = new Node({
      clusterId: group.groupId,
      nodeId: "a",
      servers: server.url,
      logger: false,
      ...LONG,
    });
    atEnd(() => node.stop());
    await node.start();
    const term = await node.campaign({ timeoutMs: PATIENCE_MS });
    expect(term.held).toBe(true);
    await group.untilShares({ a: 6 });
    await node.stop();
    expect([...member.owned.values()].every(({ held }) => held)).toBe(true);
  });

  test("round trips that become too long for presence: the session goes on, no term is held, and a warning says why", async () => {
    const proxy = await proxied(server);
    const options = {
      ...LONG,
      servers: proxy.url,
      resources: 1,
      crashDetection: "presence",
      silenceMs: 0,
    } as const;
    const group = new RealGroup(proxy.url, options);
    const member = group.make("a");
    // A write may be given up before that, with a warning of its own.
    const warning = (async () => {
      for await (const event of member.events())
        if (event.type === "warning" && event.code === "SLOW_CONNECTION") return event;
      throw new Error("the member has ended without the warning");
    })();
    await group.begin(member);
    await group.untilShares({ a: 1 });
    const [term] = member.owned.values();
    proxy.delay(600);
    expect(await warning).toMatchObject({
      message: expect.stringContaining("needs less than 1000 ms: no term is held"),
    });
    expect(term?.held).toBe(false);
    expect(member.owned.size).toBe(1);
    proxy.delay(0);
    await term?.untilHeld({ timeoutMs: PATIENCE_MS });
    expect(term?.held).toBe(true);
  });

  test("start() rejects without a server and leaves nothing open; stop() ends a start", async () => {
    const group = new RealGroup("nats://127.0.0.1:1", { connectTimeoutMs: 200 });
    await expect(group.make("a").start()).rejects.toMatchObject({ code: "NO_CONNECTION" });
    const waits = group.make("b", {
      servers: server.url,
      resources: () => ({
        [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }),
      }),
    });
    const starting = waits.start();
    await waits.stop();
    await starting;
    expect(waits.members()).toEqual([]);
  });
});
