/** The options of a member of a group. */
import type { Resource } from "../group/core/balance.ts";
import type { GroupConfig, Profile } from "../group/core/events.ts";
import type { Logger, LogLevel } from "../log/logger.ts";
import type { NatsOptions } from "../nats/connection/connection.ts";
import type { NodeOptions, Replicas } from "./options.ts";

/** Options that a member of a group has in common with a node. */
export const SHARED_OPTIONS = [
  "servers",
  "connection",
  "user",
  "pass",
  "token",
  "nkeySeed",
  "jwt",
  "credsFile",
  "creds",
  "tls",
  "inboxPrefix",
  "domain",
  "connectTimeoutMs",
  "reconnectWaitMs",
  "leaseTtlMs",
  "heartbeatIntervalMs",
  "requestTimeoutMs",
  "retryDelayMs",
  "drainTimeoutMs",
  "crashDetection",
  "silenceMs",
  "replicas",
  "logger",
  "logLevel",
] as const;

export type SharedOptionName = (typeof SHARED_OPTIONS)[number];

/** The resources of a group: names, or objects with a zone whose members are preferred. */
export type ResourceList = readonly (string | Resource)[];

/**
 * Where a list of resources comes from that may change. Each value is the whole list; the first one is waited for by `start()`. The
 * function is called once per `start()`; its signal aborts when the member stops.
 */
export type ResourceSource = (signal: AbortSignal) => AsyncIterable<ResourceList>;

/**
 * What `new Group(options, hooks)` takes. Durations are whole milliseconds. `undefined` counts as not given. All problems are reported
 * together, in one `ClusterError` with code `INVALID_CONFIG`. The options on how to connect, on the lease and on crashes are those of
 * `NodeOptions`, with the same rules and defaults; the lease is that of the member's session.
 *
 * @example
 * ```ts
 * const group = new Group({ groupId: "orders", memberId: "a", servers: "nats://localhost:4222", resources: 64 });
 * ```
 */
export interface GroupOptions extends Pick<NodeOptions, SharedOptionName> {
  /**
   * The group. Required. 1 to 64 of the characters `A-Z a-z 0-9 _ -`. A group and a cluster may have the same id: they do not meet.
   */
  readonly groupId: string;
  /**
   * Name of this member, unique in the group; the same characters as in `groupId`. Set it where a process keeps its name over restarts:
   * with `rejoinGraceMs` its resources are kept for it. A second process with the same id waits until the session of the first is
   * over, and reports a warning `DUPLICATE_MEMBER_ID`; the first does not.
   *
   * @default The host name and 6 random characters; drawn once for each `Group`.
   */
  readonly memberId?: string | undefined;
  /**
   * What the members share. A number n of partitions: the resources are named "0" to "n - 1". A list of names, or of objects with
   * a name and a zone. Or a function that returns an async iterable of such lists, for resources that come and go. Each name has 1 to
   * 255 bytes of UTF-8. Should be the same on all members: the coordinator plans its own list, and a member owns only what is on
   * its own (`LIST_DIFFERS` is reported). Required.
   */
  readonly resources: number | ResourceList | ResourceSource;
  /**
   * This member's share of the resources relative to that of the others: a whole number from 0 to 10000. 0: it owns nothing.
   *
   * @default 1
   */
  readonly weight?: number | undefined;
  /**
   * Where this member runs. Resources with the same zone are preferred. The same characters as in `groupId`.
   *
   * @default none
   */
  readonly zone?: string | undefined;
  /**
   * Most resources that this member owns at a time; 0 to 1000000.
   *
   * @default no limit
   */
  readonly maxOwned?: number | undefined;
  /**
   * Milliseconds for which no member may have joined, left or changed before resources move for balance; 0 to 3600000. The resources of
   * a member that has left are taken over at once. Above the pace of a rolling restart, most resources move once.
   *
   * @default 3000
   */
  readonly settleMs?: number | undefined;
  /**
   * Milliseconds for which the resources of a member that vanished or restarts are kept for it, without an owner; 0 to 3600000.
   *
   * @default 0
   */
  readonly rejoinGraceMs?: number | undefined;
  /**
   * Milliseconds without an owner after which a resource may be claimed by members that the plan does not name; 100 to 3600000.
   *
   * @default 3000
   */
  readonly unownedGraceMs?: number | undefined;
  /**
   * Most resources that this member gives up at a time when the plan moves them; 1 to 100000. The next one follows when the work of one
   * has ended.
   *
   * @default 16
   */
  readonly maxMoves?: number | undefined;
  /**
   * Whether a member creates the bucket of the group if it does not exist. `false`: an administrator creates it (`nats-leader create-bucket
   * --group ID`), and until then `start()` rejects with `BUCKET_MISSING`. A member that may not create it needs no setting: it reports
   * `AUTHORIZATION`.
   *
   * @default true
   */
  readonly createBucket?: boolean | undefined;
}

/** `GroupOptions` after validation, with all defaults. `nats` contains secrets and must not be printed. */
export interface ResolvedGroupOptions {
  readonly groupId: string;
  readonly memberId: string;
  readonly resources: readonly Resource[] | ResourceSource;
  readonly profile: Profile;
  readonly drainTimeoutMs: number;
  readonly replicas: Replicas;
  readonly createBucket: boolean;
  readonly logger: Logger | false | undefined;
  readonly logLevel: LogLevel | undefined;
  /** For `connectNats`. */
  readonly nats: NatsOptions;
  /** For the core; the other constants are known after `start()`. */
  readonly core: Omit<
    GroupConfig,
    "incarnation" | "renewIntervalMs" | "balance" | "bulkTimeoutMs" | "window"
  >;
}

export const GROUP_DEFAULTS: Readonly<
  Record<"weight" | "settleMs" | "rejoinGraceMs" | "unownedGraceMs" | "maxMoves", number>
> = Object.freeze({
  weight: 1,
  settleMs: 3_000,
  rejoinGraceMs: 0,
  unownedGraceMs: 3_000,
  maxMoves: 16,
});
