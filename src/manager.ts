/** nats-leader/manager: a node as operators handle it, with a configuration file, a daemon and commands to that daemon. */

export type { FoundServers, ServerSources } from "./config/file/find-servers.ts";
export { findServers } from "./config/file/find-servers.ts";
export type { LoadedConfig, LoadOptions } from "./config/file/load.ts";
export { loadConfig } from "./config/file/load.ts";
export type { FileConfig, VipConfig } from "./config/file/types.ts";
export { defaultFileConfig, writeConfig } from "./config/file/write.ts";
export type { ClusterStatus, LeaseStatus } from "./manager/cluster-status.ts";
export type { ManagerHooks, ManagerOptions } from "./manager/manager.ts";
export { Manager } from "./manager/manager.ts";
export type { Demotion, HandoverResult } from "./manager/operations.ts";
export type { TermResource } from "./manager/term-resource.ts";
