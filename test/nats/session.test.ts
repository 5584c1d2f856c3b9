import { describe, expect, test } from "vitest";
import { confirmsDeath } from "../../scripts/shared/presence-questions.ts";
import { startProxy } from "../../scripts/shared/tcp-proxy.ts";
import { waitFor } from "../../scripts/shared/wait.ts";
import { openSession } from "../../src/nats/presence/session.ts";
import { startNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { link, sessionOn } from "../support/nats/store-and-session.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

describe("a session", () => {
  test("names its server and connection, and new ones after each reconnect", async () => {
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

  test("reconnects after a restart of its server", async () => {
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
    await events.next((event) => event.type === "disconnected");
    await own.resume();
    await events.next((event) => event.type === "connected");
  });

  test("emits one warning per outage about refused credentials, and keeps reconnecting", async () => {
    const config = (pass: string): string => `authorization { user: u, password: ${pass} }`;
    const first = await startNatsServer({ config: config("p1") });
    atEnd(() => first.dispose());
    const { events, warnings } = sessionOn(await link(first, { user: "u", pass: "p1" }));
    await first.stop();
    const second = await startNatsServer({ config: config("p2"), port: first.port });
    atEnd(() => second.dispose());
    await waitFor(() => warnings.length > 0);
    await second.stop();
    await first.start();
    await events.next((event) => event.type === "connected");
    expect(warnings).toEqual([expect.stringMatching(/refuses the credentials: .*check user and password/)]);
  });

  test("ends when the connection is closed", async () => {
    const nats = await link(server);
    const { session, events } = sessionOn(nats);
    await nats.connection.close();
    await events.next((event) => event.type === "closed");
    expect(events.items.map((event) => event.type)).toEqual(["disconnected", "closed"]);
    expect([session.connected, session.binding]).toEqual([false, null]);
    expect(await confirmsDeath(session, { serverId: "S", clientId: 1 }, 100)).toBe(false);
  });

  test("is shared by the elections on one connection, and outlives each of them", async () => {
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

  test("calls every listener, even if one throws", async () => {
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

test("the events of a server that stops are emitted in order, and nothing is left running", async () => {
  const nats = await link(server);
  const { session, events } = sessionOn(nats);
  await nats.connection.reconnect();
  await events.next((event) => event.type === "connected");
  await session.release();
  await nats.connection.close();
  expect(events.items.map((event) => event.type)).toEqual(["disconnected", "connected"]);
  await waitFor(() => nats.connection.isClosed());
});
