import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { SessionBinding } from "../../src/election/types.ts";
import { streamName } from "../../src/nats/names.ts";
import { openSession } from "../../src/nats/session.ts";
import type { SessionEvent } from "../../src/runtime/ports.ts";
import { type NatsServer, startNatsServer } from "../../src/testing.ts";
import { spawnChild } from "../support/child.ts";
import { startProxy } from "../support/tcp-proxy.ts";
import { waitFor } from "../support/wait.ts";
import { api, atEnd, freshId, link, noAbort, sessionOn, storeOn } from "./support.ts";

let server: NatsServer;
beforeAll(async () => {
  server = await startNatsServer();
});
afterAll(() => server.dispose());

const isRebound = (event: SessionEvent): event is Extract<SessionEvent, { type: "rebound" }> => event.type === "rebound";

function presenceOf(binding: SessionBinding | null): string {
  if (binding?.presence === undefined) throw new Error(`no presence in ${JSON.stringify(binding)}`);
  return binding.presence;
}

/** A bucket's stream, to have presence on. */
async function freshStream(on: NatsServer = server): Promise<string> {
  const clusterId = freshId();
  const { store } = await storeOn(on, clusterId);
  await store.open(noAbort());
  return streamName(clusterId);
}

describe("a session", () => {
  test("names server and connection, other ones after each reconnect", async () => {
    const proxy = await startProxy({ target: { port: server.port } });
    atEnd(() => proxy.close());
    const nats = await link(proxy);
    const { session, events } = sessionOn(nats);
    const first = session.binding;
    expect(first).toEqual({
      serverId: nats.connection.info?.server_id,
      clientId: nats.connection.info?.client_id,
    });
    proxy.cut();
    await events.next((event) => event.type === "disconnected");
    expect(session.connected || session.binding !== null).toBe(session.connected);
    const again = await events.next((event) => event.type === "connected");
    expect(again).toEqual({ type: "connected", binding: session.binding });
    expect(session.binding?.serverId).toBe(first?.serverId);
    expect(session.binding?.clientId).not.toBe(first?.clientId);
    expect(session.connected).toBe(true);
  });

  test("follows its server through a restart", async () => {
    const own = await startNatsServer();
    atEnd(() => own.dispose());
    const { session, events } = sessionOn(await link(own));
    const before = session.binding;
    await own.kill();
    await events.next((event) => event.type === "disconnected");
    expect([session.connected, session.binding]).toEqual([false, null]);
    await own.start();
    await events.next((event) => event.type === "connected");
    expect(session.binding?.serverId).not.toBe(before?.serverId);
    expect(events.items.map((event) => event.type)).toEqual(["disconnected", "connected"]);
  });

  test("is suspended about 2 s after its server froze, before nats.js has closed the socket for good", async () => {
    const own = await startNatsServer();
    atEnd(() => own.dispose());
    const { events } = sessionOn(await link(own));
    await own.pause();
    await events.next((event) => event.type === "disconnected", 5000);
    await own.resume();
    await events.next((event) => event.type === "connected", 10_000);
  });

  test("ends when the connection is closed", async () => {
    const nats = await link(server);
    const { session, events } = sessionOn(nats);
    await nats.connection.close();
    await events.next((event) => event.type === "closed");
    expect(events.items.map((event) => event.type)).toEqual(["disconnected", "closed"]);
    expect([session.connected, session.binding]).toEqual([false, null]);
    expect(await session.confirmDeath({ serverId: "S", clientId: 1 }, 100)).toBe(false);
  });

  test("is shared by the elections on one connection, and survives each of them", async () => {
    const nats = await link(server);
    const one = sessionOn(nats);
    const two = sessionOn(nats);
    expect(one.session.monitor).toBe(two.session.monitor);
    await one.session.release();
    await one.session.release();
    await nats.connection.reconnect();
    await two.events.next((event) => event.type === "connected");
    expect(one.events.items).toEqual([]);
    await two.session.release();
    const three = sessionOn(nats);
    expect(three.session.binding).not.toBeNull();
  });

  test("calls every listener, also when one throws", async () => {
    const warned = new Promise<Error>((resolve) => process.once("warning", resolve));
    const nats = await link(server);
    const session = openSession(nats.connection);
    atEnd(() => session.release());
    session.listen(() => {
      throw new Error("a session listener's bug");
    });
    const { events } = sessionOn(nats);
    await nats.connection.reconnect();
    await events.next((event) => event.type === "connected");
    expect((await warned).message).toBe("a session listener's bug");
  });
});

describe("presence", () => {
  test("is a consumer that matches nothing, lives in memory and has one replica", async () => {
    const stream = await freshStream();
    const nats = await link(server);
    const { session, events, warnings } = sessionOn(nats);
    expect(session.presenceState).toBe("off");
    expect(await session.usePresence(stream)).toBe("on");
    const presence = presenceOf(session.binding);
    expect(events.items).toEqual([{ type: "rebound", binding: session.binding }]);
    const [onStream, consumer] = presence.split(".");
    expect(onStream).toBe(stream);
    const { config } = await api(nats, `CONSUMER.INFO.${stream}.${consumer}`);
    expect(config).toMatchObject({
      ack_policy: "none",
      deliver_policy: "new",
      mem_storage: true,
      num_replicas: 1,
      inactive_threshold: 5_000_000,
      filter_subject: expect.stringContaining(".presence."),
    });
    expect(warnings).toEqual([]);
  });

  test("is claimed only by the elections that asked for it", async () => {
    const stream = await freshStream();
    const nats = await link(server);
    const asks = sessionOn(nats);
    const doesNot = sessionOn(nats);
    await asks.session.usePresence(stream);
    expect(asks.session.binding?.presence).toBeDefined();
    expect(doesNot.session.binding).toEqual({ serverId: expect.any(String), clientId: expect.any(Number) });
    expect(doesNot.events.items).toEqual([]);
    const later = sessionOn(nats);
    await later.session.usePresence(await freshStream());
    expect(later.session.binding).toEqual(asks.session.binding);
  });

  test("moves to another election's stream when its own election ends or its stream is deleted", async () => {
    const streams = [await freshStream(), await freshStream(), await freshStream()] as const;
    const nats = await link(server);
    const [one, two, three] = [sessionOn(nats), sessionOn(nats), sessionOn(nats)];
    await one.session.usePresence(streams[0]);
    await two.session.usePresence(streams[1]);
    await three.session.usePresence(streams[2]);
    expect(presenceOf(three.session.binding)).toContain(`${streams[0]}.`);
    await one.session.release();
    await three.events.next((event) => isRebound(event) && event.binding?.presence?.startsWith(`${streams[1]}.`) === true);
    await api(nats, `STREAM.DELETE.${streams[1]}`);
    await three.events.next((event) => isRebound(event) && event.binding?.presence?.startsWith(`${streams[2]}.`) === true);
    expect(two.session.binding).toEqual(three.session.binding);
  });

  test("is made anew when an operator deletes the consumer, under another name", async () => {
    const stream = await freshStream();
    const nats = await link(server);
    const { session, events } = sessionOn(nats);
    await session.usePresence(stream);
    const before = presenceOf(session.binding);
    await api(nats, `CONSUMER.DELETE.${before}`);
    await events.next((event) => isRebound(event) && event.binding?.presence === undefined);
    await events.next((event) => isRebound(event) && event.binding?.presence !== undefined);
    expect(presenceOf(session.binding)).not.toBe(before);
  });

  test("is made anew after a reconnect: first connected without it, then rebound with it", async () => {
    const stream = await freshStream();
    const nats = await link(server);
    const { session, events } = sessionOn(nats);
    await session.usePresence(stream);
    const before = presenceOf(session.binding);
    await nats.connection.reconnect();
    const connected = await events.next((event) => event.type === "connected");
    expect(connected.type === "connected" && connected.binding?.presence).toBeUndefined();
    const rebound = await events.next((event) => isRebound(event));
    expect(isRebound(rebound) && rebound.binding?.presence).not.toBe(before);
    expect(session.presenceState).toBe("on");
  });

  test("asked for while disconnected comes with the connection", async () => {
    const proxy = await startProxy({ target: { port: server.port } });
    atEnd(() => proxy.close());
    const stream = await freshStream();
    const { session, events } = sessionOn(await link(proxy));
    proxy.refuse(true);
    proxy.cut();
    await events.next((event) => event.type === "disconnected");
    expect(await session.usePresence(stream)).toBe("off");
    proxy.refuse(false);
    await events.next((event) => isRebound(event) && event.binding?.presence !== undefined);
  });

  test("is given back when the last election is over", async () => {
    const stream = await freshStream();
    const nats = await link(server);
    const { session } = sessionOn(nats);
    await session.usePresence(stream);
    const watcher = sessionOn(await link(server));
    watcher.session.watchPresence(presenceOf(session.binding));
    await watcher.session.monitor.connection.flush();
    const presence = presenceOf(session.binding);
    await session.release();
    await watcher.events.next((event) => event.type === "presence-lost" && event.presence === presence);
    expect((await api(nats, `STREAM.INFO.${stream}`))["state"]).toMatchObject({ consumer_count: 0 });
  });

  test("is not had on a borrowed connection that would notice a dead server late", async () => {
    const { connect } = await import("@nats-io/transport-node");
    const connection = await connect({ servers: server.url });
    atEnd(() => connection.close());
    const { session, warnings } = sessionOn({ connection, owned: false, close: async () => {} });
    expect(await session.usePresence(await freshStream())).toBe("off");
    expect(session.binding?.presence).toBeUndefined();
    expect(warnings.join()).toMatch(/pingInterval 120000, maxPingOut 2.*pingInterval: 1000/);
  });

  test("that is not permitted is one clear warning, and a binding without it", async () => {
    const own = await startNatsServer({
      config: `accounts { A { jetstream: enabled, users: [
        { user: admin, password: p }
        { user: u, password: p, permissions { publish { deny: ["$JS.API.CONSUMER.>"] } } } ] } }`,
    });
    atEnd(() => own.dispose());
    const clusterId = freshId();
    const { store } = await storeOn(own, clusterId, {}, { user: "admin", pass: "p" });
    await store.open(noAbort());
    const { session, warnings, events } = sessionOn(await link(own, { user: "u", pass: "p" }));
    expect(await session.usePresence(streamName(clusterId))).toBe("denied");
    expect(session.binding?.presence).toBeUndefined();
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/no fast crash detection: .*allow this user to publish to "\$JS.API.CONSUMER.CREATE/);
    expect(events.items).toEqual([]);
  });
});

describe("a process that is killed", () => {
  test("loses its presence within milliseconds, its death is confirmed, and only its own", async () => {
    const stream = await freshStream();
    const child = spawnChild<{ binding?: SessionBinding }>("test/nats/presence-holder.ts", {
      args: [server.url, stream],
    });
    atEnd(() => child[Symbol.asyncDispose]());
    const { binding } = await child.next((line) => line.binding !== undefined);
    if (binding === undefined) throw new Error("no binding");
    const watcher = sessionOn(await link(server));
    watcher.session.watchPresence(presenceOf(binding));
    const other = sessionOn(await link(server));
    await watcher.session.monitor.connection.flush();
    expect(await watcher.session.confirmDeath(binding, 1000)).toBe(false);
    const start = performance.now();
    child.kill("SIGKILL");
    await watcher.events.next((event) => event.type === "presence-lost" && event.presence === presenceOf(binding));
    expect(await watcher.session.confirmDeath(binding, 1000)).toBe(true);
    expect(performance.now() - start).toBeLessThan(500);
    expect(other.events.items).toEqual([]);
    expect(await watcher.session.confirmDeath({ ...binding, serverId: "NAOTHER" }, 100)).toBe(false);
  });

  test("is watched by every election that looks, until it looks elsewhere", async () => {
    const stream = await freshStream();
    const holder = sessionOn(await link(server));
    await holder.session.usePresence(stream);
    const presence = presenceOf(holder.session.binding);
    const nats = await link(server);
    const [one, two] = [sessionOn(nats), sessionOn(nats)];
    one.session.watchPresence(presence);
    two.session.watchPresence(presence);
    one.session.watchPresence("OTHER.x");
    await nats.connection.flush();
    await holder.session.release();
    await two.events.next((event) => event.type === "presence-lost");
    expect(one.events.items).toEqual([]);
  });
});

describe("a death", () => {
  const accounts = `accounts {
    A { jetstream: enabled, users: [
      { user: a, password: p }
      { user: mute, password: p, permissions { publish { deny: ["$SYS.>"] } } } ] }
    B { jetstream: enabled, users: [{ user: b, password: p }] } }`;
  let own: NatsServer;
  beforeAll(async () => {
    own = await startNatsServer({ config: accounts });
  });
  afterAll(() => own.dispose());

  /** The binding of a holder in account A (or of another user), and a connection id that is nobody's. */
  async function holder(user = "a") {
    const clusterId = freshId();
    const { store } = await storeOn(own, clusterId, {}, { user, pass: "p" });
    await store.open(noAbort());
    const { session } = sessionOn(await link(own, { user, pass: "p" }));
    await session.usePresence(streamName(clusterId));
    const alive = session.binding;
    if (alive?.presence === undefined) throw new Error("no presence");
    return { alive, dead: { ...alive, clientId: 999_999 } };
  }

  async function asker(user = "a") {
    return sessionOn(await link(own, { user, pass: "p" })).session;
  }

  test("is not confirmed while the connection is open, nor on any doubt", async () => {
    const { alive, dead } = await holder();
    const session = await asker();
    expect(await session.confirmDeath(dead, 1000)).toBe(true);
    expect(await session.confirmDeath(alive, 1000)).toBe(false);
    expect(await session.confirmDeath({ ...dead, serverId: "NSOMEBODYELSE" }, 50)).toBe(false);
    expect(await session.confirmDeath(dead, 0)).toBe(false);
    const { presence: _promised, ...unpromised } = dead;
    expect(await session.confirmDeath(unpromised, 1000)).toBe(false);
    expect(await session.confirmDeath({ ...dead, presence: "S.presence_x" }, 1000)).toBe(false);
  });

  test("is not confirmed in another account, where nobody of the holder's is listed", async () => {
    const { dead, alive } = await holder();
    const session = await asker("b");
    expect(await session.confirmDeath(alive, 1000)).toBe(false);
    expect(await session.confirmDeath(dead, 1000)).toBe(false);
  });

  test("is not confirmed by a frozen server", async () => {
    const { dead } = await holder();
    const session = await asker();
    expect(await session.confirmDeath(dead, 1000)).toBe(true);
    await own.pause();
    const start = performance.now();
    expect(await session.confirmDeath(dead, 100)).toBe(false);
    expect(performance.now() - start).toBeLessThan(500);
    await own.resume();
    await waitFor(() => session.confirmDeath(dead, 1000));
  });

  test("is told from life also beside more than 1024 connections", async () => {
    const { dead } = await holder();
    const session = await asker();
    const crowd = await Promise.all(Array.from({ length: 1100 }, () => link(own, { user: "a", pass: "p" })));
    const ids = crowd.map((nats) => nats.connection.info?.client_id ?? 0).sort((a, b) => a - b);
    for (const clientId of [ids.at(0), ids.at(-1)]) {
      expect(await session.confirmDeath({ ...dead, clientId: clientId ?? 0 }, 2000)).toBe(false);
    }
    expect(await session.confirmDeath(dead, 2000)).toBe(true);
  });

  test("is not confirmed for a user that may not ask; and such a user gets no presence either", async () => {
    const { dead } = await holder();
    const session = await asker("mute");
    expect(await session.confirmDeath(dead, 1000)).toBe(false);
    const clusterId = freshId();
    const { store } = await storeOn(own, clusterId, {}, { user: "mute", pass: "p" });
    await store.open(noAbort());
    const muted = sessionOn(await link(own, { user: "mute", pass: "p" }));
    expect(await muted.session.usePresence(streamName(clusterId))).toBe("denied");
    expect(muted.warnings.join()).toContain('publish to "$SYS.REQ.ACCOUNT.PING.CONNZ"');
  });
});

test("the events of a server that goes are told in order, and nothing is left running", async () => {
  const nats = await link(server);
  const { session, events } = sessionOn(nats);
  await nats.connection.reconnect();
  await events.next((event) => event.type === "connected");
  await session.release();
  await nats.connection.close();
  expect(events.items.map((event) => event.type)).toEqual(["disconnected", "connected"]);
  await waitFor(() => nats.connection.isClosed());
});
