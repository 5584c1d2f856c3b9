/**
 * nats-leader/testing: a nats-server for everyone. Finds or gets a current nats-server and starts servers and
 * clusters of it that can't outlive this process.
 */

export { startNatsCluster } from "./testing/cluster.ts";
export type { NatsServerErrorCode } from "./testing/errors.ts";
export { NatsServerError } from "./testing/errors.ts";
export type { FindNatsServer, FindOptions, NatsServerBinary, NatsServerSource } from "./testing/find.ts";
export { findNatsServer } from "./testing/find.ts";
export { openServers } from "./testing/registry.ts";
export { startNatsServer } from "./testing/start.ts";
export type {
  NatsBackend,
  NatsCluster,
  NatsClusterOptions,
  NatsServer,
  NatsServerOptions,
  ServerExit,
  StartOptions,
} from "./testing/types.ts";
export { OLDEST_NATS_VERSION, PINNED_NATS_VERSION } from "./testing/versions.ts";
