/** Groups of nats-leader, all options at their defaults. */
import { jetstreamManager } from "@nats-io/jetstream";
import { dial } from "../../../src/bench/dial.ts";
import { findNatsServer } from "../../../src/testing/server/find/find.ts";
import { startNatsServer } from "../../../src/testing/server/run/start.ts";
import { type GroupPeer, TOPIC } from "./group-peer.ts";
import { startNode } from "./node-process.ts";

export const natsGroups: GroupPeer = {
  system: "nats-leader",
  client: "this library, all options at their defaults; an ordered consumer per partition and term",
  sessionTimeoutMs: null,
  packages: [],
  // findNatsServer() finds, downloads or builds a server.
  missing: () => undefined,

  async startServer(_dir, _partitions, signal) {
    const { path } = await findNatsServer({ signal });
    const server = await startNatsServer({ binary: path, signal });
    const connection = await dial([server.url], signal, { name: "bench" });
    try {
      const jsm = await jetstreamManager(connection);
      await jsm.streams.add({ name: TOPIC, subjects: [`${TOPIC}.*`] });
    } finally {
      await connection.close();
    }
    return { url: server.url, version: server.version, stop: () => server.dispose() };
  },

  startProducer: (task, on) => startNode("producer", { role: "nats-producer", ...task }, on),
  startMember: (task, on) => startNode(task.id, { role: "nats-member", ...task }, on),
};
