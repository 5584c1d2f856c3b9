/** What the comparison of groups and its child processes say to each other. */
import type { Consumed, MemberTask, ProducerTask } from "./group-peer.ts";

export type GroupChildTask =
  | ({ readonly role: "nats-producer" } & ProducerTask)
  | ({ readonly role: "kafka-producer" } & ProducerTask)
  | ({ readonly role: "nats-member" } & MemberTask)
  | ({
      readonly role: "kafkajs-member";
      readonly sessionTimeoutMs: number;
      readonly heartbeatMs: number;
    } & MemberTask);

export type GroupChildReport =
  | { readonly type: "consumed"; readonly messages: readonly Consumed[] }
  | { readonly type: "failed"; readonly message: string };
