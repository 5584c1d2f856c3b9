import type { NatsConnection } from "@nats-io/transport-node";
import type { CrashDetection, ElectionConfig } from "../election/types.ts";
import type { Logger, LogLevel } from "../log/logger.ts";
import type { NatsOptions } from "../nats/connection/connection.ts";
import type { TlsOptions } from "../nats/connection/tls.ts";

/** Version of this package, compared with package.json by a test: a bundled application has no package.json to read. */
export const PACKAGE_VERSION = "0.1.0";

/** Version that go-cluster's micro service reports. */
export const GO_CLUSTER_SERVICE_VERSION = "1.0.0";

/** The values of `crashDetection`. */
export const CRASH_DETECTIONS: readonly CrashDetection[] = ["presence", "silence", "lease"];

export type Interop = "go-cluster";
export type Replicas = "auto" | 1 | 3 | 5;

/**
 * What `new Node(options, hooks)` takes. Durations are whole milliseconds. `undefined` counts as not given. All problems are
 * reported together, in one `ClusterError` with code `INVALID_CONFIG`.
 *
 * Some durations depend on others. With W = `leaseTtlMs`, a leader acts for at most its span S = W - max(250, 5 % of W) after
 * it sent its last confirmed renewal, and
 *
 * - `heartbeatIntervalMs` < W / 2
 * - `heartbeatIntervalMs` + 2 x `requestTimeoutMs` + `retryDelayMs` <= S: a lost renewal can be repeated before the deadline
 * - `heartbeatIntervalMs` + 2 x `reconnectWaitMs` + `requestTimeoutMs` <= S: a leader whose connection drops can be back before it
 * - `successorGraceMs` <= W
 * - `silenceMs` <= W / 2: a silent leader is replaced before its lease expires
 *
 * @example
 * ```ts
 * const node = new Node({ clusterId: "billing", nodeId: "a", servers: ["nats://n1:4222", "nats://n2:4222"], leaseTtlMs: 5_000 });
 * ```
 */
export interface NodeOptions {
  /**
   * The leadership that the node competes for. Required. 1 to 64 of the characters `A-Z a-z 0-9 _ -`: it becomes part of a
   * bucket name and of NATS subjects.
   */
  readonly clusterId: string;
  /**
   * Name of this node, unique in the cluster; the same characters as in `clusterId`. Set it where a process keeps its name over
   * restarts (`POD_NAME` of a stateful set). A second process with the same id does not share the lease of the first, but hooks,
   * logs and requests by node id cannot distinguish the two; both report a warning `DUPLICATE_NODE_ID`.
   *
   * @default The host name and 6 random characters, such as "web-1-k3x90a"; drawn once for each `Node`. Characters of the host
   * name outside `A-Z a-z 0-9 _ -` become `-`.
   */
  readonly nodeId?: string | undefined;

  /**
   * One server or a list: `nats://host:port`, `tls://host:port` or `host:port`. Required without `connection`. One `tls://` makes
   * TLS mandatory for all. A URL may contain `user:pass@` or `token@` (percent-encoded, the same in all URLs); this counts as
   * an authentication method.
   *
   * @default None: two nodes that each used a server on their own localhost would both lead. Port: 4222.
   */
  readonly servers?: string | readonly string[] | undefined;
  /**
   * An open connection of `@nats-io/transport-node`, used instead of `servers`. The node never closes it. Excludes all options
   * on how to connect. `crashDetection: "presence"` requires `pingInterval` <= 1000 and `maxPingOut` <= 2.
   *
   * @default The node opens its own.
   */
  readonly connection?: NatsConnection | undefined;
  /**
   * User name, with `pass`. At most one authentication method may be given: user/pass, token, nkeySeed, jwt, credsFile or creds.
   *
   * @default none
   */
  readonly user?: string | undefined;
  /**
   * Password of `user`.
   *
   * @default none
   */
  readonly pass?: string | undefined;
  /**
   * Authentication token.
   *
   * @default none
   */
  readonly token?: string | undefined;
  /**
   * Seed of a user nkey: `SU` and 56 of `A-Z 2-7`. An authentication method of its own; with `jwt`, the key that signs for it.
   *
   * @default none
   */
  readonly nkeySeed?: string | undefined;
  /**
   * User JWT, with `nkeySeed`.
   *
   * @default none
   */
  readonly jwt?: string | undefined;
  /**
   * Path of a `.creds` file. Read at every reconnect: it can be rotated in place.
   *
   * @default none
   */
  readonly credsFile?: string | undefined;
  /**
   * Text of a `.creds` file.
   *
   * @default none
   */
  readonly creds?: string | undefined;
  /**
   * `ca`, `cert` and `key` are each a path or PEM text; `cert` requires `key` and the reverse. `handshakeFirst` (false): TLS
   * starts before the server's first message. `{}`: TLS with the authorities of the system.
   *
   * @default none; `{}` with a `tls://` server
   */
  readonly tls?: TlsOptions | undefined;
  /**
   * Prefix of reply subjects, without wildcards. For users that may not subscribe to `_INBOX.>`.
   *
   * @default "_INBOX"
   */
  readonly inboxPrefix?: string | undefined;
  /**
   * JetStream domain that has the bucket: 1 to 64 printable ASCII characters other than `.`, `*` and `>`. For nodes on a leaf node
   * whose leadership is decided in the hub's domain, or the reverse. All nodes of a cluster must use the bucket of the same domain.
   *
   * @default The domain of the server that the node is connected to.
   */
  readonly domain?: string | undefined;
  /**
   * Milliseconds to wait for one server to answer, at the first connection and at every reconnect; 100 to 300000. A frozen
   * server in the list costs this part of the leader's span.
   *
   * @default 2000
   */
  readonly connectTimeoutMs?: number | undefined;
  /**
   * Milliseconds between two attempts to connect to the same server, plus up to the same again at random; 10 to 60000.
   *
   * @default 100, at most 5 % of `leaseTtlMs`
   */
  readonly reconnectWaitMs?: number | undefined;

  /**
   * W, the lease TTL: milliseconds that followers wait for a leader that has not released its lease and is not confirmed gone; 1000 to
   * 3600000. Should be the same on all nodes; if not, a follower waits for the longer of its own and the leader's.
   *
   * @default 10000
   */
  readonly leaseTtlMs?: number | undefined;
  /**
   * Milliseconds between renewals; at least 50, less than half of `leaseTtlMs`. A replicated bucket is renewed more often if
   * the span could not outlast the election of a stream leader (`election/lease.ts`).
   *
   * @default 3000, at most 30 % of `leaseTtlMs`
   */
  readonly heartbeatIntervalMs?: number | undefined;
  /**
   * Milliseconds to wait for the outcome of one read or write; 50 to 300000.
   *
   * @default 1000, at most 15 % of `leaseTtlMs` and what the heartbeat leaves of the span
   */
  readonly requestTimeoutMs?: number | undefined;
  /**
   * Milliseconds before a failed read or write is repeated; 10 to 60000.
   *
   * @default 250, at most 5 % of `leaseTtlMs`
   */
  readonly retryDelayMs?: number | undefined;
  /**
   * Milliseconds after a handover in which only the named successor campaigns; 0 to 60000, at most `leaseTtlMs`.
   *
   * @default 50
   */
  readonly successorGraceMs?: number | undefined;
  /**
   * Milliseconds for which a node that stepped down does not campaign, unless it is named as successor; 0 to 86400000.
   *
   * @default `leaseTtlMs`
   */
  readonly cooldownMs?: number | undefined;
  /**
   * Milliseconds to wait for hooks and leader work before a drained lease is released; 0 (no wait) to 3600000. The lease is
   * renewed until then.
   *
   * @default 10000
   */
  readonly drainTimeoutMs?: number | undefined;
  /**
   * When a crashed leader is replaced. In exchange a leader is suspended in the same cases.
   *
   * - `"presence"`: when its connection is closed, in milliseconds; or has been silent for `silenceMs`.
   * - `"silence"`: when its connection has been closed or silent for `silenceMs`.
   * - `"lease"`: when its lease has expired. A leader is not suspended.
   *
   * The record of a leader says by which of these it may be replaced, so nodes with different values can compete.
   *
   * @default "presence"
   */
  readonly crashDetection?: CrashDetection | undefined;
  /**
   * F: milliseconds of silence after which a leader suspends its term and another node may take over; 500 to half of `leaseTtlMs`.
   * Silence is that the server of the leader's connection has received nothing from it: its host has vanished, its network is cut,
   * its process is frozen. 0: a leader promises no silence, and such a leader is replaced when its lease has expired; with
   * `crashDetection: "presence"` only. With `crashDetection: "lease"` it must be 0 or omitted.
   *
   * @default 2000; 0 with `crashDetection: "lease"`, and with `"presence"` and `leaseTtlMs` < 5000. With `"silence"`, at most half of `leaseTtlMs`
   */
  readonly silenceMs?: number | undefined;

  /**
   * The node follows and never competes.
   *
   * @default false
   */
  readonly observer?: boolean | undefined;
  /**
   * `"go-cluster"`: nodes of the Go library compete for the same lease. The bucket is created with max-age = `leaseTtlMs`, which
   * they need, and the micro service reports version 1.0.0.
   *
   * @default none
   */
  readonly interop?: Interop | undefined;
  /**
   * Replicas of the bucket, if this node creates it: `"auto"`, 1, 3 or 5. `"auto"`: 3 on a cluster of servers, else 1.
   *
   * @default "auto"
   */
  readonly replicas?: Replicas | undefined;
  /**
   * Answer status, ping and step-down requests as a NATS micro service.
   *
   * @default true
   */
  readonly service?: boolean | undefined;
  /**
   * Semantic version that the micro service reports.
   *
   * @default The version of this package; with `interop` "1.0.0".
   */
  readonly serviceVersion?: string | undefined;

  /**
   * Receives the log. `false`: nothing is logged.
   *
   * @default JSON lines on stderr
   */
  readonly logger?: Logger | false | undefined;
  /**
   * Level of the built-in logger: `"debug"`, `"info"`, `"warn"`, `"error"` or `"silent"`. Excludes `logger`.
   *
   * @default The environment variable `LOG_LEVEL`, else "info".
   */
  readonly logLevel?: LogLevel | undefined;
}

/** `NodeOptions` after validation, with all defaults. `nats` contains secrets and must not be printed. */
export interface ResolvedOptions {
  readonly clusterId: string;
  readonly nodeId: string;
  readonly leaseTtlMs: number;
  readonly heartbeatIntervalMs: number;
  readonly requestTimeoutMs: number;
  readonly retryDelayMs: number;
  readonly successorGraceMs: number;
  readonly cooldownMs: number;
  readonly drainTimeoutMs: number;
  readonly crashDetection: CrashDetection;
  /** 0: no promise of silence. */
  readonly silenceMs: number;
  readonly observer: boolean;
  readonly interop: Interop | undefined;
  readonly replicas: Replicas;
  readonly service: boolean;
  readonly serviceVersion: string;
  readonly logger: Logger | false | undefined;
  readonly logLevel: LogLevel | undefined;
  /** For `connectNats`. Credentials of URLs were moved to `user`, `pass` and `token`. */
  readonly nats: NatsOptions;
  /** For the election; the incarnation and the renewal interval are known after `start()`. */
  readonly election: Omit<ElectionConfig, "incarnation" | "renewIntervalMs">;
}

/** Defaults. Durations that depend on `leaseTtlMs` are those for its default. */
export const DEFAULTS: Readonly<
  Pick<
    ResolvedOptions,
    | "leaseTtlMs"
    | "heartbeatIntervalMs"
    | "requestTimeoutMs"
    | "retryDelayMs"
    | "successorGraceMs"
    | "cooldownMs"
    | "drainTimeoutMs"
    | "crashDetection"
    | "silenceMs"
    | "observer"
    | "replicas"
    | "service"
    | "serviceVersion"
  > & { connectTimeoutMs: number; reconnectWaitMs: number; logLevel: LogLevel }
> = Object.freeze({
  leaseTtlMs: 10_000,
  heartbeatIntervalMs: 3_000,
  requestTimeoutMs: 1_000,
  retryDelayMs: 250,
  successorGraceMs: 50,
  cooldownMs: 10_000,
  drainTimeoutMs: 10_000,
  crashDetection: "presence",
  silenceMs: 2_000,
  observer: false,
  replicas: "auto",
  service: true,
  serviceVersion: PACKAGE_VERSION,
  connectTimeoutMs: 2_000,
  reconnectWaitMs: 100,
  logLevel: "info",
});
