import type { TcpProxy } from "../../../scripts/shared/proxy-types.ts";
import { startProxy } from "../../../scripts/shared/tcp-proxy.ts";
import type { NatsServer } from "../../../src/testing.ts";
import { atEnd } from "../at-end.ts";
import type { TestNode } from "./test-node.ts";

/** A proxy in front of the server, closed when the test ends. */
export async function proxied(server: NatsServer): Promise<TcpProxy> {
  const proxy = await startProxy({ target: { port: server.port } });
  atEnd(() => proxy.close());
  return proxy;
}

/** Samples every 2 ms how many of these nodes lead. Returns a function that counts the samples with two or more leaders. */
export function overlaps(...nodes: TestNode[]): () => number {
  let seen = 0;
  const timer = setInterval(() => {
    if (nodes.filter((node) => node.node.isLeader()).length > 1) seen += 1;
  }, 2);
  atEnd(() => clearInterval(timer));
  return () => seen;
}
