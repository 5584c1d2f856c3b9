/**
 * nats-leader/testing: a simulated cluster, on which an application with a real `Node` is tested in virtual time; and a
 * nats-server for everyone: finds or gets a current one and starts servers and clusters of it that can't outlive this process.
 */

export type { HeldTerm } from "./sim/held-terms.ts";
export type { ProcessContext } from "./sim/process-life.ts";
export type { SimulatedClusterOptions } from "./sim/simulated-cluster.ts";
export { SimulatedCluster } from "./sim/simulated-cluster.ts";
export type { Program, SimulatedProcess, SimulatedProcessOptions } from "./sim/simulated-process.ts";
export type { SimulationErrorCode } from "./sim/simulation-error.ts";
export { SimulationError } from "./sim/simulation-error.ts";
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
