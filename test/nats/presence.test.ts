import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { watchPresence } from "../../scripts/shared/presence-questions.ts";
import { startProxy } from "../../scripts/shared/tcp-proxy.ts";
import { streamName } from "../../src/nats/names.ts";
import { startNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { freshId } from "../support/fresh-id.ts";
import {
  api,
  freshStream,
  isRebound,
  link,
  noAbort,
  presenceOf,
  sessionOn,
  storeOn,
} from "../support/nats/store-and-session.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

describe("presence", () => {
  test("is a consumer that matches nothing, lives in memory and has one replica", async () => {
    const stream = await freshStream(server);
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
      inactive_threshold: 1_000,
      filter_subject: expect.stringContaining(".presence."),
    });
    expect(warnings).toEqual([]);
  });

  test("is named only by the elections that requested it", async () => {
    const stream = await freshStream(server);
    const nats = await link(server);
    const asks = sessionOn(nats);
    const doesNot = sessionOn(nats);
    await asks.session.usePresence(stream);
    expect(asks.session.binding?.presence).toBeDefined();
    expect(doesNot.session.binding).toEqual({ serverId: expect.any(String), clientId: expect.any(Number) });
    expect(doesNot.events.items).toEqual([]);
    const later = sessionOn(nats);
    await later.session.usePresence(await freshStream(server));
    expect(later.session.binding).toEqual(asks.session.binding);
  });

  test("moves to another election's stream when its own election ends or its stream is deleted", async () => {
    const streams = [
      await freshStream(server),
      await freshStream(server),
      await freshStream(server),
    ] as const;
    const nats = await link(server);
    const [one, two, three] = [sessionOn(nats), sessionOn(nats), sessionOn(nats)];
    await one.session.usePresence(streams[0]);
    await two.session.usePresence(streams[1]);
    await three.session.usePresence(streams[2]);
    expect(presenceOf(three.session.binding)).toContain(`${streams[0]}.`);
    await one.session.release();
    await three.events.next(
      (event) => isRebound(event) && event.binding?.presence?.startsWith(`${streams[1]}.`) === true,
    );
    await api(nats, `STREAM.DELETE.${streams[1]}`);
    await three.events.next(
      (event) => isRebound(event) && event.binding?.presence?.startsWith(`${streams[2]}.`) === true,
    );
    expect(two.session.binding).toEqual(three.session.binding);
  });

  test("is recreated under another name when an operator deletes the consumer", async () => {
    const stream = await freshStream(server);
    const nats = await link(server);
    const { session, events } = sessionOn(nats);
    await session.usePresence(stream);
    const before = presenceOf(session.binding);
    await api(nats, `CONSUMER.DELETE.${before}`);
    await events.next((event) => isRebound(event) && event.binding?.presence === undefined);
    await events.next((event) => isRebound(event) && event.binding?.presence !== undefined);
    expect(presenceOf(session.binding)).not.toBe(before);
  });

  test("is recreated when its idle heartbeats stop", async () => {
    const proxy = await startProxy({ target: { port: server.port } });
    atEnd(() => proxy.close());
    const { session, events } = sessionOn(await link(proxy));
    await session.usePresence(await freshStream(server));
    const before = presenceOf(session.binding);
    proxy.filterToClient((frame) => !frame.text.includes("Idle Heartbeat"));
    await events.next((event) => isRebound(event) && event.binding?.presence === undefined);
    proxy.filterToClient(null);
    await events.next((event) => isRebound(event) && event.binding?.presence !== undefined);
    expect(presenceOf(session.binding)).not.toBe(before);
  });

  test("is recreated after a reconnect: connected without it, then rebound with it", async () => {
    const stream = await freshStream(server);
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

  test("requested while disconnected is created on connection", async () => {
    const proxy = await startProxy({ target: { port: server.port } });
    atEnd(() => proxy.close());
    const stream = await freshStream(server);
    const { session, events } = sessionOn(await link(proxy));
    proxy.refuse(true);
    proxy.cut();
    await events.next((event) => event.type === "disconnected");
    expect(await session.usePresence(stream)).toBe("off");
    proxy.refuse(false);
    await events.next((event) => isRebound(event) && event.binding?.presence !== undefined);
  });

  test("is deleted when the last election ends", async () => {
    const stream = await freshStream(server);
    const nats = await link(server);
    const { session } = sessionOn(nats);
    await session.usePresence(stream);
    const watcher = sessionOn(await link(server));
    watchPresence(watcher.session, presenceOf(session.binding));
    await watcher.session.monitor.connection.flush();
    const presence = presenceOf(session.binding);
    await session.release();
    await watcher.events.next((event) => event.type === "presence-lost" && event.presence === presence);
    expect((await api(nats, `STREAM.INFO.${stream}`))["state"]).toMatchObject({ consumer_count: 0 });
  });

  test("is not created on a passed-in connection that detects a dead server late", async () => {
    const { connect } = await import("@nats-io/transport-node");
    const connection = await connect({ servers: server.url });
    atEnd(() => connection.close());
    const { session, warnings } = sessionOn({ connection, owned: false, close: async () => {} });
    expect(await session.usePresence(await freshStream(server))).toBe("off");
    expect(session.binding?.presence).toBeUndefined();
    expect(warnings.join()).toMatch(/pingInterval 120000, maxPingOut 2.*pingInterval: 1000/);
  });

  test("that is denied causes one warning and a binding without it, until the permission is granted", async () => {
    const folder = mkdtempSync(join(tmpdir(), "nats-leader-presence-"));
    atEnd(() => rmSync(folder, { recursive: true, force: true }));
    const file = join(folder, "accounts.conf");
    const deny = (subject: string): void =>
      writeFileSync(
        file,
        `accounts { A { jetstream: enabled, users: [
        { user: admin, password: p }
        { user: u, password: p, permissions { publish { deny: ["${subject}"] } } } ] } }`,
      );
    deny("$JS.API.CONSUMER.>");
    // nats-server resolves included paths relative to the including file, even absolute ones.
    const own = await startNatsServer({
      config: `include ${JSON.stringify(join("../".repeat(20), file))}`,
    });
    atEnd(() => own.dispose());
    const clusterId = freshId();
    const { store } = await storeOn(own, clusterId, {}, { user: "admin", pass: "p" });
    await store.open(noAbort());
    const nats = await link(own, { user: "u", pass: "p" });
    const { session, warnings, events } = sessionOn(nats, { deniedRetryMs: 100 });
    expect(await session.usePresence(streamName(clusterId))).toBe("denied");
    expect(session.binding?.presence).toBeUndefined();
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(
      /no fast crash detection: .*allow this user to publish to "\$JS\.API\.CONSUMER\.CREATE\.[^.]+\.\*\.\$KV\.[^.]+\.presence\.\*"$/,
    );
    expect(events.items).toEqual([]);
    deny("none");
    if (own.pid === undefined) throw new Error("the server has no process of its own");
    process.kill(own.pid, "SIGHUP");
    await events.next((event) => isRebound(event) && event.binding?.presence !== undefined);
    expect([session.presenceState, warnings.length]).toEqual(["on", 1]);
  });
});
