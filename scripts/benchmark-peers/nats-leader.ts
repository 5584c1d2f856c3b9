/** nats-leader itself, with default options. */
import { Node } from "../../src/node/node.ts";
import { findNatsServer } from "../../src/testing/server/find/find.ts";
import { startNatsServer } from "../../src/testing/server/run/start.ts";
import type { Peer } from "./peer.ts";

export const natsLeader: Peer = {
  system: "nats-leader",
  client: "this library, all options at their defaults",
  packages: ["nats-server"],
  renewEveryMs: () => 0,
  // findNatsServer() finds, downloads or builds a server.
  missing: () => undefined,

  async startServer(_dir, signal) {
    const { path } = await findNatsServer({ signal });
    const server = await startNatsServer({ binary: path, signal });
    return { url: server.url, version: server.version, stop: () => server.dispose() };
  },

  async campaign({ url, id, ttlMs, onBecome }) {
    const options = { clusterId: "peers", nodeId: id, servers: url, leaseTtlMs: ttlMs };
    const node = new Node({ ...options, logger: false }, { onBecomeLeader: onBecome });
    await node.start();
    return { leave: () => node.stop() };
  },
};
