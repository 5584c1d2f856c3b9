/**
 * nats-leader/group: resources that are spread over the members of a group, each of them owned by one member at a time.
 *
 * docs/groups.md states how this is kept after crashes, and what is not guaranteed.
 */

export type { ConnectedServer } from "./application/types.ts";
export type { GroupOptions, ResourceList, ResourceSource } from "./config/group-options.ts";
export type { DisownReason, GroupHookName, Unfinished } from "./group/application/types.ts";
export type { DrainResult, GroupStopResult } from "./group/calls.ts";
export type { PlanMember, Resource } from "./group/core/balance.ts";
export type { DrainReason, MemberView, SessionLossReason, TermLossReason } from "./group/core/events.ts";
export type { GroupMemberEvent } from "./group/events.ts";
export { Group } from "./group/group.ts";
export type { GroupHooks } from "./group/hooks.ts";
export type { GroupPlan, PlannedResource } from "./group/membership.ts";
export { partitionOf } from "./group/partition.ts";
export { type PartitionConsumer, partitionConsumer } from "./group/partition-consumer.ts";
export type { PartitionConsumerOptions } from "./group/partition-options.ts";
export type { ResourceWork } from "./group/runner.ts";
export type { ResourceTerm } from "./group/term.ts";
export type { GroupWarning } from "./group/warning-code.ts";
export type { PartitionMessage } from "./nats/consumer/delivered-message.ts";
