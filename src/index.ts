export type { ConnectedServer, DrainOutcome, HookName } from "./application/types.ts";
export type {
  BeatEvent,
  ChannelEvents,
  ChannelName,
  DrainEvent,
  FencedWriteEvent,
  HandoverEvent,
  HookEvent,
  LeaderEvent,
  MoveEvent,
  RenewalEvent,
  ResumedEvent,
  SuspendedEvent,
  SuspicionEvent,
  TermTrace,
} from "./channels/events.ts";
export type { SuspicionOutcome } from "./channels/sets.ts";
export type {
  GroupFacts,
  GroupSource,
  LeaseFacts,
  NodeFacts,
  NodeSource,
  Source,
} from "./channels/source.ts";
export type { Interop, NodeOptions, Replicas } from "./config/resolve.ts";
export type { Instant } from "./election/time.ts";
export type {
  CrashDetection,
  Leader,
  LeaseEntry,
  LeaseRecord,
  LeaseWrite,
  LossReason,
  ReadOutcome,
  RoleName,
  SessionBinding,
  Snapshot,
  WriteOutcome,
} from "./election/types.ts";
export type { ClusterErrorCode, ClusterErrorOptions } from "./errors.ts";
export { ClusterError } from "./errors.ts";
export type { Logger, LogLevel } from "./log/logger.ts";
export type { TlsOptions } from "./nats/connection/tls.ts";
export type {
  GroupPermissionOptions,
  GroupPermissionRole,
  PermissionOptions,
  PermissionRole,
  Permissions,
} from "./nats/permissions.ts";
export { permissionsFor } from "./nats/permissions.ts";
export type { StepDownResult, StopResult } from "./node/application-calls.ts";
export type { LeaderWork } from "./node/application-runner.ts";
export type { NodeEvent } from "./node/events.ts";
export type { Hooks } from "./node/hooks.ts";
export type { NodeEnvironment } from "./node/node.ts";
/** `LeaderNode` is another name of `Node`, which many editors import as the `Node` of the DOM. */
export { Node, Node as LeaderNode } from "./node/node.ts";
export type { Term } from "./node/term.ts";
export type { WarningCode } from "./node/warning-code.ts";
export type {
  Attachment,
  AttachRequest,
  Backend,
  BackendWarningCode,
  NodeStatus,
  PeerStatus,
  ServiceHandle,
  ServiceHandlers,
} from "./runtime/backend.ts";
export type {
  BucketInfo,
  Clock,
  LeaseStore,
  Random,
  Session,
  SessionEvent,
  StoreListener,
} from "./runtime/ports.ts";
export type { WaitOptions } from "./runtime/waiting.ts";
