/** The systems that are compared. */
import { etcd } from "./etcd.ts";
import { natsLeader } from "./nats-leader.ts";
import type { Peer } from "./peer.ts";
import { postgres } from "./postgres.ts";
import { redis } from "./redis.ts";

export const PEERS: readonly Peer[] = [etcd, postgres, redis, natsLeader];
