import type { NatsConnection } from "@nats-io/transport-node";
import type { CrashDetection, ElectionConfig } from "../election/types.ts";
import type { Logger, LogLevel } from "../log/logger.ts";
import type { NatsOptions, TlsOptions } from "../nats/connection/connection.ts";

/** Version of this package; a test compares it with package.json, which a bundled application would not have. */
export const PACKAGE_VERSION = "0.1.0";

/** Version go-cluster's micro service answers with. */
export const GO_CLUSTER_SERVICE_VERSION = "1.0.0";

export type Interop = "go-cluster";
export type Replicas = "auto" | 1 | 3 | 5;

/**
 * What `new Node(options, hooks)` takes. Durations are whole milliseconds. An option that is `undefined` counts as not
 * given. Whatever is wrong is reported at once, in one `ClusterError` with code `INVALID_CONFIG`.
 */
export interface NodeOptions {
  /**
   * Which leadership the node competes for. Required. 1 to 64 of `A-Z a-z 0-9 _ -`: it becomes part of a bucket name
   * and of NATS subjects, where `.`, `*` and `>` have meanings.
   */
  readonly clusterId: string;
  /**
   * Name of this node, unique in the cluster. Required; same alphabet as `clusterId`. Nothing is guessed from the host
   * name: two processes on one host would be one node. A second process with the same id does not share the first's
   * lease (every `start()` draws an incarnation), but hooks and logs can't tell the two apart.
   */
  readonly nodeId: string;

  /**
   * Servers to connect to: `nats://host:port`, `tls://host:port` or `host:port`, one or a list; port 4222 unless given.
   * Required unless `connection` is. There is no default, because two nodes that each find a server of their own on
   * localhost are two leaders. One `tls://` makes TLS mandatory for all. A url may carry `user:pass@` or `token@`
   * (percent-encoded), the same for all servers; it counts as an authentication method.
   */
  readonly servers?: string | readonly string[] | undefined;
  /**
   * An open connection to use instead of `servers`. It is never closed by this library, and options that say how to
   * connect are refused beside it. `crashDetection: "presence"` needs it to ping at least as often as our own
   * (`pingInterval` 1000, `maxPingOut` 2).
   */
  readonly connection?: NatsConnection | undefined;
  /** User name; needs `pass`. One authentication method at most: user/pass, token, nkeySeed, jwt, credsFile, creds. */
  readonly user?: string | undefined;
  /** Password of `user`. */
  readonly pass?: string | undefined;
  /** Token. */
  readonly token?: string | undefined;
  /** Seed of a user nkey: `SU` and 56 more characters. Alone an authentication method, beside `jwt` its signing key. */
  readonly nkeySeed?: string | undefined;
  /** User JWT; needs `nkeySeed`. */
  readonly jwt?: string | undefined;
  /** Path of a `.creds` file. Read again at every reconnect, so it can be rotated in place. */
  readonly credsFile?: string | undefined;
  /** Text of a `.creds` file. */
  readonly creds?: string | undefined;
  /**
   * TLS: `ca`, `cert` and `key` are each the path of a file or PEM text, `cert` and `key` go together. `handshakeFirst`
   * (false): the server expects TLS before its first message. `{}`: TLS with the system's authorities.
   */
  readonly tls?: TlsOptions | undefined;
  /** Prefix of reply subjects, for users that may not subscribe to `_INBOX.>`. Default `_INBOX`. */
  readonly inboxPrefix?: string | undefined;
  /**
   * Longest wait for one server to answer when connecting, also after a disconnect: a frozen server in the list costs
   * this much of the leader's span. Default 2000; 100 to 300000.
   */
  readonly connectTimeoutMs?: number | undefined;
  /**
   * Pause before the same server is dialled again, plus up to as much again at random. Default 100, at most 5 % of
   * `leaseTtlMs`; at least 10. Twice it, a heartbeat and a request must fit into the leader's span: otherwise every
   * lost connection would end the term.
   */
  readonly reconnectWaitMs?: number | undefined;

  /**
   * W: how long followers wait for a silent leader. Default 10000; 1000 to 3600000. The leader itself stops at
   * S = W - max(250, 5 % of W) after *sending* its last confirmed renewal; from 1000 up S is at least three quarters
   * of W. Should be the same on all nodes; where it is not, followers wait the longer of theirs and the leader's.
   */
  readonly leaseTtlMs?: number | undefined;
  /**
   * Pause between renewals of the lease; a replicated bucket is renewed more often where the span is too short for
   * a stream election (`election/lease.ts`). Default 3000, at most 30 % of `leaseTtlMs`; at least 50 and less than half of
   * `leaseTtlMs`, so that one lost renewal can be repeated before the deadline.
   */
  readonly heartbeatIntervalMs?: number | undefined;
  /**
   * Longest wait for the outcome of one read or write. Default 1000, at most 15 % of `leaseTtlMs` and what the
   * heartbeat leaves; at least 50. heartbeatIntervalMs + 2 x requestTimeoutMs + retryDelayMs must fit into the
   * leader's span: a renewal, its repetition and the full time for both answers.
   */
  readonly requestTimeoutMs?: number | undefined;
  /** Pause before a failed read or write is repeated. Default 250, at most 5 % of `leaseTtlMs`; 10 to 60000. */
  readonly retryDelayMs?: number | undefined;
  /** How long the others let a named successor go first after a handover. Default 50; 0 to 60000, at most the TTL. */
  readonly successorGraceMs?: number | undefined;
  /** How long a node that stepped down does not campaign, unless it is named. Default `leaseTtlMs`; 0 to 86400000. */
  readonly cooldownMs?: number | undefined;
  /**
   * How long a leader that leaves waits for its work to end before it lets the lease go; renewals continue meanwhile.
   * Default 10000; 0 (don't wait) to 3600000.
   */
  readonly drainTimeoutMs?: number | undefined;
  /**
   * `presence` (default): a crashed leader is noticed in milliseconds; in exchange a leader that loses its connection
   * is suspended until it is back. `lease`: neither, a dead leader is outwaited.
   */
  readonly crashDetection?: CrashDetection | undefined;

  /** True: follow without ever competing. Default false. */
  readonly observer?: boolean | undefined;
  /**
   * `go-cluster`: nodes of the Go library compete for the same lease. The bucket is made with max-age = `leaseTtlMs`, as
   * they need it, and the micro service reports version 1.0.0. Default: none.
   */
  readonly interop?: Interop | undefined;
  /** Copies of the bucket if this node makes it. Default `auto`: 3 on a cluster of servers, else 1. */
  readonly replicas?: Replicas | undefined;
  /** Whether to answer status, ping and stepdown requests as a NATS micro service. Default true. */
  readonly service?: boolean | undefined;
  /** Version the micro service reports, a semantic version. Default: this package's; with `interop` 1.0.0. */
  readonly serviceVersion?: string | undefined;

  /** Takes the log: anything with pino's `debug`, `info`, `warn`, `error`. `false`: silence. Default: JSON on stderr. */
  readonly logger?: Logger | false | undefined;
  /** Level of the built-in logger: debug, info, warn, error, silent. Default: `LOG_LEVEL`, else info. */
  readonly logLevel?: LogLevel | undefined;
}

/** `NodeOptions` after validation, with every default filled in. `nats` holds secrets; don't print it. */
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
  readonly observer: boolean;
  readonly interop: Interop | undefined;
  readonly replicas: Replicas;
  readonly service: boolean;
  readonly serviceVersion: string;
  readonly logger: Logger | false | undefined;
  readonly logLevel: LogLevel | undefined;
  /** For `connectNats`. Its servers carry no credentials any more; those of a url are in `user`, `pass`, `token`. */
  readonly nats: NatsOptions;
  /** For `Election`: everything but what is known only after `start()`: the incarnation and how often to renew. */
  readonly election: Omit<ElectionConfig, "incarnation" | "renewIntervalMs">;
}

/** What an option is when it is not given. Durations that depend on `leaseTtlMs` are those of its default. */
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
  observer: false,
  replicas: "auto",
  service: true,
  serviceVersion: PACKAGE_VERSION,
  connectTimeoutMs: 2_000,
  reconnectWaitMs: 100,
  logLevel: "info",
});
