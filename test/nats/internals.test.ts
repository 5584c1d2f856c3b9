/** Fields of nats.js that are not public: a failure here means that an upgrade removed one (src/nats/connection/internals.ts). */
import { readFileSync } from "node:fs";
import { type Endpoint, Svcm } from "@nats-io/services";
import { connect } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import {
  connectedWith,
  forServices,
  isProtocolConnected,
  renderedStatsOf,
  sendNow,
} from "../../src/nats/connection/internals.ts";
import { startNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";

function installed(name: string): string {
  const url = new URL(`../../node_modules/${name}/package.json`, import.meta.url);
  return `${name} ${(JSON.parse(readFileSync(url, "utf8")) as { version: string }).version}`;
}

test("every field exists with its type", async () => {
  const core = installed("@nats-io/nats-core");
  const server = await startNatsServer();
  atEnd(() => server.dispose());
  const options = { inboxPrefix: "_INBOX_x", pingInterval: 1234, maxPingOut: 3, noEcho: true };
  const connection = await connect({ servers: server.url, maxReconnectAttempts: -1, ...options });
  atEnd(() => connection.close());
  expect(isProtocolConnected(connection), `protocol.connected in ${core}`).toBe(true);
  expect(connectedWith(connection), `options in ${core}`).toEqual({
    inboxPrefix: "_INBOX_x",
    pingIntervalMs: 1234,
    maxPingsOut: 3,
    maxReconnectAttempts: -1,
    echo: false,
  });

  let asked: Endpoint | undefined;
  const service = await new Svcm(forServices(connection, new Promise(() => {}))).add({
    name: "s",
    version: "1.0.0",
    queue: "",
    statsHandler: async (endpoint) => {
      asked = endpoint;
      const stats = renderedStatsOf(endpoint);
      if (stats !== undefined) stats.num_errors = 42;
      return null;
    },
  });
  service.addEndpoint("e", { subject: "e", queue: "", handler: () => {} });
  const { endpoints } = await service.stats();
  expect(asked).toBeDefined();
  expect(endpoints?.[0]?.num_errors, `endpoint.stats in ${installed("@nats-io/services")}`).toBe(42);
  await service.stop();

  await server.dispose();
  await waitFor(() => isProtocolConnected(connection) === false, {
    message: "protocol.connected to be false",
  });
  expect(connection.isClosed()).toBe(false);
});

test("what was published is sent at once", async () => {
  const server = await startNatsServer();
  atEnd(() => server.dispose());
  const connection = await connect({ servers: server.url });
  atEnd(() => connection.close());
  const { protocol } = connection as unknown as {
    readonly protocol: { readonly outbound: { size(): number } };
  };
  connection.publish("x");
  expect(protocol.outbound.size(), "protocol.outbound").toBeGreaterThan(0);
  sendNow(connection);
  expect(protocol.outbound.size(), `protocol.flushPending in ${installed("@nats-io/nats-core")}`).toBe(0);
});

test("a connection without these fields is accepted", () => {
  const foreign = { options: { inboxPrefix: 1 }, protocol: {} } as unknown as Parameters<
    typeof connectedWith
  >[0];
  sendNow(foreign);
  expect(isProtocolConnected(foreign)).toBeUndefined();
  expect(connectedWith(foreign)).toEqual({
    inboxPrefix: undefined,
    pingIntervalMs: undefined,
    maxPingsOut: undefined,
    maxReconnectAttempts: undefined,
    echo: true,
  });
});
