/** Groups of Kafka with the JavaScript client kafkajs, which has the classic group protocol. */
import type { GroupPeer } from "./group-peer.ts";
import { KAFKA_PACKAGES, kafkaMissing, obtainKafka, startBroker } from "./kafka-broker.ts";
import { startNode } from "./node-process.ts";

function kafkajsWith(system: string, sessionTimeoutMs: number, heartbeatMs: number, note: string): GroupPeer {
  return {
    system,
    client: `kafkajs, classic group protocol, round robin, session timeout ${sessionTimeoutMs} ms (${note}), heartbeat ${heartbeatMs} ms`,
    sessionTimeoutMs,
    packages: KAFKA_PACKAGES,
    missing: kafkaMissing,
    obtain: obtainKafka,
    startServer: startBroker,
    startProducer: (task, on) => startNode("producer", { role: "kafka-producer", ...task }, on),
    startMember: (task, on) =>
      startNode(task.id, { role: "kafkajs-member", sessionTimeoutMs, heartbeatMs, ...task }, on),
  };
}

export const kafkajs: GroupPeer = kafkajsWith("kafkajs", 30_000, 3_000, "default");
export const kafkajsShort: GroupPeer = kafkajsWith(
  "kafkajs-6s",
  6_000,
  2_000,
  "the least that a broker allows by default",
);
