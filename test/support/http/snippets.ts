/** TypeScript blocks of docs/http.md, literally, so that they are compiled against the types of the package. */
import type { Express } from "express";
import type { FastifyInstance } from "fastify";
import type { Hono } from "hono";
import { createHandler, type HttpServer, nodeListener, startHttpServer } from "../../../src/http.ts";
import { Node } from "../../../src/index.ts";
import { prometheusMetrics } from "../../../src/prometheus.ts";

async function ownServer(servers: string): Promise<{ node: Node; server: HttpServer }> {
  const node = new Node({ clusterId: "billing", servers });
  const metrics = prometheusMetrics(node);
  const server = await startHttpServer({
    nodes: [node],
    listen: "127.0.0.1:9465",
    metrics: (accept) => metrics.text(accept),
  });
  await node.start();
  return { node, server };
}

function frameworks(
  node: Node,
  { expressApp, honoApp, fastifyApp }: { expressApp: Express; honoApp: Hono; fastifyApp: FastifyInstance },
): void {
  // Express, and Nest on it. Both remove the path of the mount from the URL.
  expressApp.use("/ops", nodeListener(createHandler({ nodes: [node] })));

  const handler = createHandler({ nodes: [node], basePath: "/ops" });
  // Hono, and every other framework of Fetch handlers.
  honoApp.all("/ops/*", (c) => handler(c.req.raw));
  // Fastify, and Nest on it.
  fastifyApp.get("/ops/*", (request, reply) => {
    reply.hijack();
    nodeListener(handler)(request.raw, reply.raw);
  });
}

export const SNIPPETS: { readonly ownServer: typeof ownServer; readonly frameworks: typeof frameworks } = {
  ownServer,
  frameworks,
};
