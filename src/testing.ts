/**
 * nats-leader/testing: `SimulatedCluster` tests an application with a real `Node` or `Group` in virtual time. `findNatsServer`,
 * `startNatsServer` and `startNatsCluster` find or download a nats-server and start servers and clusters that end with this
 * process.
 */

export type { NatsServerErrorCode } from "./testing/server/errors.ts";
export { NatsServerError } from "./testing/server/errors.ts";
export type {
  FindNatsServer,
  FindOptions,
  NatsServerBinary,
  NatsServerSource,
} from "./testing/server/find/find.ts";
export { findNatsServer } from "./testing/server/find/find.ts";
export { OLDEST_NATS_VERSION, PINNED_NATS_VERSION } from "./testing/server/find/versions.ts";
export { startNatsCluster } from "./testing/server/run/cluster.ts";
export { openServers } from "./testing/server/run/registry.ts";
export { startNatsServer } from "./testing/server/run/start.ts";
export type {
  NatsBackend,
  NatsCluster,
  NatsClusterOptions,
  NatsServer,
  NatsServerOptions,
  ServerExit,
  StartOptions,
} from "./testing/server/types.ts";
export type { HeldResource } from "./testing/simulation/held-resources.ts";
export type { HeldTerm } from "./testing/simulation/held-terms.ts";
export type { ProcessContext } from "./testing/simulation/process-run.ts";
export type { SimulatedClusterOptions } from "./testing/simulation/simulated-cluster.ts";
export { SimulatedCluster } from "./testing/simulation/simulated-cluster.ts";
export type {
  Program,
  SimulatedProcess,
  SimulatedProcessOptions,
} from "./testing/simulation/simulated-process.ts";
export type { SimulationErrorCode } from "./testing/simulation/simulation-error.ts";
export { SimulationError } from "./testing/simulation/simulation-error.ts";
