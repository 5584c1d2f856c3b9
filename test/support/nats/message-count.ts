/** A proxy in front of a NATS server that counts what passes. */

import { once } from "node:events";
import { createServer, connect as dial, type Socket } from "node:net";
import { atEnd } from "../at-end.ts";

export interface CountingProxy {
  readonly port: number;
  readonly url: string;
}

/**
 * Calls `onCount` when the `count`th part passes, in either direction: a connection, or the bytes that one socket got at once.
 * If it returns true, nothing passes from then on.
 */
export async function countingProxy(
  target: { readonly port: number },
  count: number,
  onCount: () => boolean,
): Promise<CountingProxy> {
  let passed = 0;
  let isSilent = false;
  const sockets = new Set<Socket>();
  const pass = (): boolean => {
    if (passed++ === count) isSilent = onCount();
    return !isSilent;
  };
  const server = createServer((client) => {
    const upstream = dial(target.port, "127.0.0.1");
    pass();
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from.on("error", () => {});
      from.on("data", (bytes) => void (pass() && to.write(bytes)));
      from.on("close", () => to.destroy());
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  atEnd(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return { port: address.port, url: `nats://127.0.0.1:${address.port}` };
}
