import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { isPubAck } from "../../scripts/shared/nats-frames.ts";
import type { TcpProxy } from "../../scripts/shared/proxy-types.ts";
import { startProxy } from "../../scripts/shared/tcp-proxy.ts";
import { waitFor } from "../../scripts/shared/wait.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();
let proxy: TcpProxy;
/** Through the proxy. */
let client: NatsConnection;
/** A direct connection to the server. */
let direct: NatsConnection;

beforeAll(async () => {
  direct = await connect({ servers: server.url });
});

afterAll(() => direct.close());

beforeEach(async () => {
  proxy = await startProxy({ target: server });
  client = await connect({
    servers: proxy.url,
    ignoreClusterUpdates: true,
    reconnectTimeWait: 20,
    maxReconnectAttempts: -1,
  });
});

afterEach(async () => {
  await client.close();
  await proxy.close();
});

/** The payloads that arrive over `connection` on "demo". */
async function heard(connection: NatsConnection): Promise<string[]> {
  const payloads: string[] = [];
  connection.subscribe("demo", { callback: (_error, message) => void payloads.push(message.string()) });
  await connection.flush();
  return payloads;
}

async function statusOf(connection: NatsConnection, type: string): Promise<void> {
  for await (const status of connection.status()) if (status.type === type) return;
}

describe("what is forwarded", () => {
  test("messages pass in both directions, large ones too", async () => {
    const atServer = await heard(direct);
    const atClient = await heard(client);
    const large = "x".repeat(900_000);
    client.publish("demo", large);
    direct.publish("demo", "small");
    await waitFor(() => atServer.length === 2 && atClient.length === 2);
    expect(new Set(atClient)).toEqual(new Set([large, "small"]));
    expect(proxy.connections).toBe(1);
  });

  test("while the direction to the client is stalled the server buffers its messages, and they arrive afterwards", async () => {
    const atClient = await heard(client);
    proxy.stallToClient(true);
    const large = "x".repeat(900_000);
    for (let times = 0; times < 20; times++) direct.publish("demo", large);
    await direct.flush();
    const kept = async (): Promise<number> => {
      const answer = await fetch(`${server.monitorUrl}/connz`);
      const { connections } = (await answer.json()) as { connections: { pending_bytes: number }[] };
      return Math.max(...connections.map(({ pending_bytes }) => pending_bytes));
    };
    await waitFor(async () => (await kept()) > large.length);
    expect(atClient.length).toBeLessThan(20);
    proxy.stallToClient(false);
    await waitFor(() => atClient.length === 20);
  });

  test("each frame is delayed, in both directions", async () => {
    proxy.delay(50);
    const started = performance.now();
    await client.flush();
    expect(performance.now() - started).toBeGreaterThanOrEqual(100);
  });

  test("held frames arrive at the server later and in order", async () => {
    const atServer = await heard(direct);
    proxy.toServer("hold");
    for (const payload of ["1", "2", "3"]) client.publish("demo", payload);
    await expect(client.request("unanswered", "", { timeout: 100 })).rejects.toThrow();
    expect(atServer).toEqual([]);
    proxy.toServer("pass");
    await waitFor(() => atServer.length === 3);
    expect(atServer).toEqual(["1", "2", "3"]);
  });

  test("dropped frames never arrive and leave the connection in order", async () => {
    const atServer = await heard(direct);
    proxy.toServer("drop");
    client.publish("demo", "lost");
    await expect(client.request("unanswered", "", { timeout: 100 })).rejects.toThrow();
    proxy.toServer("pass");
    client.publish("demo", "after");
    await waitFor(() => atServer.length > 0);
    expect(atServer).toEqual(["after"]);
    expect(proxy.accepted).toBe(1);
  });

  test("a filter drops only the frames that it rejects", async () => {
    const atClient = await heard(client);
    proxy.filterToClient((frame) => !frame.text.includes("secret"));
    for (const payload of ["a", "secret", "b"]) direct.publish("demo", payload);
    await waitFor(() => atClient.length === 2);
    expect(atClient).toEqual(["a", "b"]);
  });
});

describe("single frames", () => {
  test("a publish whose ack is dropped is stored, and its publisher times out", async () => {
    await (await jetstreamManager(direct)).streams.add({ name: "acks", subjects: ["acks"] });
    const taken = proxy.takeNextToClient(isPubAck);
    await expect(jetstream(client).publish("acks", "1", { timeout: 200, retries: 1 })).rejects.toThrow();
    expect((await taken).frame.text).toContain('"seq":1');
    expect((await jetstream(client).publish("acks", "2")).seq).toBe(2);
    await (await jetstreamManager(direct)).streams.delete("acks");
  });

  test("the response to one request is dropped, other responses arrive", async () => {
    direct.subscribe("echo", { callback: (_error, message) => void message.respond(message.data) });
    await direct.flush();
    const taken = proxy.takeReplyTo(
      (request) => request.subject === "echo" && request.text.includes("second"),
    );
    expect((await client.request("echo", "first", { timeout: 1000 })).string()).toBe("first");
    await expect(client.request("echo", "second", { timeout: 200 })).rejects.toThrow();
    expect((await client.request("echo", "second", { timeout: 1000 })).string()).toBe("second");
    expect((await taken).frame.verb).toBe("MSG");
  });

  test("a frame to the server is held back while later ones pass, and applied when it is released", async () => {
    const atServer = await heard(direct);
    const taken = proxy.takeNextToServer((frame) => frame.subject === "demo");
    client.publish("demo", "late");
    client.publish("demo", "early");
    await client.flush();
    await waitFor(() => atServer.length === 1);
    expect((await taken).release()).toBe(true);
    await waitFor(() => atServer.length === 2);
    expect(atServer).toEqual(["early", "late"]);
  });

  test("waiting for a frame that never arrives ends at the time limit, or with the proxy", async () => {
    await expect(proxy.takeNextToClient(() => false, 20)).rejects.toThrow(
      "timed out after 20 ms waiting for a frame to the client",
    );
    const waiting = expect(proxy.takeNextToServer(() => false)).rejects.toThrow("the proxy was closed");
    await proxy.close();
    await waiting;
  });
});

describe("the connection", () => {
  test("a black hole closes nothing, and everything arrives when it ends", async () => {
    const atServer = await heard(direct);
    proxy.blackhole(true);
    client.publish("demo", "1");
    await expect(client.request("unanswered", "", { timeout: 100 })).rejects.toThrow();
    expect(client.isClosed()).toBe(false);
    expect(atServer).toEqual([]);
    proxy.blackhole(false);
    await waitFor(() => atServer.length === 1);
    expect(proxy.accepted).toBe(1);
  });

  test("a client that closes during a black hole stays connected for the server until the black hole ends", async () => {
    const { cid } = await connectionInfo();
    proxy.blackhole(true);
    proxy.refuse(true);
    const closed = client.close();
    await waitFor(() => proxy.connections === 0);
    expect(await listed(cid)).toBe(true);
    proxy.blackhole(false);
    await waitFor(async () => !(await listed(cid)));
    await closed;
  });

  test("after a cut the client reconnects through the proxy as soon as the proxy accepts connections", async () => {
    const disconnected = statusOf(client, "disconnect");
    const reconnected = statusOf(client, "reconnect");
    proxy.refuse(true);
    proxy.cut();
    await disconnected;
    expect(proxy.connections).toBe(0);
    proxy.refuse(false);
    await reconnected;
    expect(proxy.accepted).toBe(2);
    await client.flush();
  });

  test("a reset of the server's side leaves the client with an open, silent connection", async () => {
    const { cid } = await connectionInfo();
    proxy.resetServerSide();
    await waitFor(async () => !(await listed(cid)));
    await expect(client.request("unanswered", "", { timeout: 200 })).rejects.toThrow("timeout");
    expect(proxy.connections).toBe(1);
  });

  test("a reset of the client's side leaves the server with an open connection", async () => {
    const { cid } = await connectionInfo();
    const disconnected = statusOf(client, "disconnect");
    proxy.resetClientSide();
    await disconnected;
    expect(await listed(cid)).toBe(true);
    proxy.cut();
    await waitFor(async () => !(await listed(cid)));
  });

  test("a server that stops ends the client's connection", async () => {
    const away = await startProxy({ target: { port: 1 } });
    await expect(connect({ servers: away.url, reconnect: false, timeout: 1000 })).rejects.toThrow();
    await waitFor(() => away.connections === 0);
    await away.close();
  });
});

async function connectionInfo(): Promise<{ cid: number }> {
  await client.flush();
  const cid = client.info?.client_id;
  if (cid === undefined) throw new Error("not connected");
  return { cid };
}

async function listed(cid: number): Promise<boolean> {
  const answer = await fetch(`${server.monitorUrl}/connz?cid=${cid}&state=open`);
  if (!answer.ok) return false;
  const { connections } = (await answer.json()) as { connections?: unknown[] };
  return (connections?.length ?? 0) > 0;
}
