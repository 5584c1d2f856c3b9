/** The systems whose groups are compared. */
import type { GroupPeer } from "./group-peer.ts";
import { kafkaJava, kafkaJavaShort } from "./kafka-java.ts";
import { kafkajs, kafkajsShort } from "./kafkajs.ts";
import { natsGroups } from "./nats-groups.ts";

export const GROUP_PEERS: readonly GroupPeer[] = [
  kafkajs,
  kafkajsShort,
  kafkaJava,
  kafkaJavaShort,
  natsGroups,
];
