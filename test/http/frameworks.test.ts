/** The handler in the frameworks that services use: the same answers as from the own server. */
import type { AddressInfo } from "node:net";
import express from "express";
import fastify from "fastify";
import { Hono } from "hono";
import { describe, expect, test } from "vitest";
import { createHandler, type HandlerOptions, nodeListener } from "../../src/http.ts";
import { atEnd } from "../support/at-end.ts";
import { get, openDoor } from "../support/http/door.ts";
import { FOLLOWER, LEADER, servedNode } from "../support/http/views.ts";

const TICKS = 3;

/** Sends three events and goes on until the client has gone. */
function stream(request: Request): Response {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (let tick = 1; tick <= TICKS; tick++) controller.enqueue(Buffer.from(`data: ${tick}\n\n`));
      request.signal.addEventListener("abort", () => controller.close());
    },
  });
  return new Response(body, { headers: { "content-type": "text/event-stream" } });
}

const OPTIONS: HandlerOptions = {
  nodes: [servedNode({}, LEADER), servedNode({ clusterId: "mail" }, FOLLOWER)],
  metrics: () => ({ contentType: "text/plain", body: "m 1\n" }),
  mounts: { "/ui/": { handle: stream } },
};

/** What `/ops` of the framework answers to. */
const FRAMEWORKS: Readonly<Record<string, () => Promise<string>>> = {
  "the own server": async () => (await openDoor({ ...OPTIONS, basePath: "/ops" })).url,

  async Express() {
    const app = express();
    // Express removes the path of the mount from the URL.
    app.use("/ops", nodeListener(createHandler(OPTIONS)));
    const server = app.listen(0, "127.0.0.1");
    atEnd(() => {
      server.closeAllConnections();
      server.close();
    });
    await new Promise((resolve) => server.once("listening", resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/ops`;
  },

  async Fastify() {
    const app = fastify();
    // Fastify parses bodies before its handlers, and refuses types that it does not know.
    app.removeAllContentTypeParsers();
    app.addContentTypeParser("*", (_request, _payload, done) => done(null));
    const listener = nodeListener(createHandler({ ...OPTIONS, basePath: "/ops" }));
    app.all("/ops/*", (request, reply) => {
      reply.hijack();
      listener(request.raw, reply.raw);
    });
    atEnd(() => {
      app.server.closeAllConnections();
      return app.close();
    });
    return `${await app.listen({ port: 0, host: "127.0.0.1" })}/ops`;
  },

  async Hono() {
    const app = new Hono();
    const handler = createHandler({ ...OPTIONS, basePath: "/ops" });
    app.all("/ops/*", ({ req }) => handler(req.raw));
    // Any server of Fetch handlers will do: this one runs on Node.
    const { createServer } = await import("node:http");
    const server = createServer(nodeListener(async (request) => app.fetch(request)));
    atEnd(() => {
      server.closeAllConnections();
      server.close();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/ops`;
  },
};

describe.each(Object.entries(FRAMEWORKS))("%s", (_name, start) => {
  test("gives every answer", async () => {
    const url = await start();
    expect(await get(`${url}/livez`)).toMatchObject({ status: 200, json: { live: true } });
    expect(await get(`${url}/readyz`)).toMatchObject({ status: 200, json: { ready: true } });
    expect(await get(`${url}/leader?cluster=billing`)).toMatchObject({
      status: 200,
      json: { nodeId: "a", epoch: 7 },
    });
    expect((await get(`${url}/leader?cluster=mail`)).status).toBe(503);
    expect((await get(`${url}/leader`)).status).toBe(400);
    expect((await get(`${url}/status`)).json["nodes"]).toHaveLength(2);
    expect(await get(`${url}/metrics`)).toMatchObject({ status: 200, text: "m 1\n" });
    expect((await get(`${url}/none`)).status).toBe(404);
    const head = await get(`${url}/leader?cluster=billing`, { method: "HEAD" });
    expect([head.status, head.text]).toEqual([200, ""]);
    expect(Number(head.headers["content-length"])).toBeGreaterThan(0);
  });

  test("changes nothing, and reads no body", async () => {
    const url = await start();
    for (const method of ["POST", "PUT", "DELETE"]) {
      const answer = await get(`${url}/status`, { method, body: '{"a":1}' });
      expect([method, answer.status, answer.headers["allow"]]).toEqual([method, 405, "GET, HEAD"]);
    }
  });

  test("sends browsers from a mount without its slash to the one with it", async () => {
    const url = await start();
    const moved = await fetch(`${url}/ui?a=1`, { method: "HEAD", redirect: "manual" });
    expect(moved.status).toBe(308);
    // What a browser makes of the location.
    expect(new URL(moved.headers.get("location") ?? "", moved.url).href).toBe(`${url}/ui/?a=1`);
  });

  test("streams what a mount sends, and aborts its signal when the client has gone", async () => {
    const url = await start();
    const ending = new AbortController();
    const response = await fetch(`${url}/ui/events`, { signal: ending.signal });
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    const reader = response.body?.getReader();
    let text = "";
    while (!text.includes(`data: ${TICKS}`))
      text += Buffer.from((await reader?.read())?.value ?? []).toString();
    ending.abort();
    expect(text).toBe("data: 1\n\ndata: 2\n\ndata: 3\n\n");
  });
});

test("a stream is closed when the server closes, within its bound", async () => {
  let ended = (): void => {};
  const hasEnded = new Promise<void>((resolve) => (ended = resolve));
  const handle = (request: Request): Response => {
    request.signal.addEventListener("abort", () => ended());
    return stream(request);
  };
  const door = await openDoor({ mounts: { "/ui/": { handle } } });
  const response = await fetch(`${door.url}/ui/`);
  const reader = response.body?.getReader();
  await reader?.read();
  await door.close();
  await hasEnded;
  await expect(reader?.read()).rejects.toThrow();
  await expect(get(`${door.url}/livez`)).rejects.toThrow("ECONNREFUSED");
});
