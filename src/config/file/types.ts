/** go-cluster's `config.json` and our additions. */

import type { CrashDetection } from "../../election/types.ts";
import type { GroupOptions, ResourceList } from "../group-options.ts";
import type { Interop, Replicas } from "../resolve.ts";

/**
 * A cluster's configuration file. In go-cluster's settings, `0`, `""` and a missing field all mean "not given". Durations are
 * whole milliseconds; paths are relative to the working directory.
 */
export interface FileConfig {
  /** For editors. */
  readonly $schema?: string | undefined;
  readonly clusterId: string;
  readonly nodeId: string;
  readonly nats: NatsSection;
  readonly vip?: VipSection | undefined;
  readonly election?: ElectionSection | undefined;
  readonly service?: ServiceSection | undefined;
  readonly history?: HistorySection | undefined;
  /** Health, leadership, status and metrics over HTTP, of `daemon` and `run`. */
  readonly http?: HttpSection | undefined;
  /** For `nats-leader run` with a group. A node ignores it. */
  readonly group?: GroupSection | undefined;
}

/**
 * A file may name the servers by `cluster_urls` or `url`, and the monitoring ports by `nodes`, in this section or at the top level; these are
 * read as `servers` and `monitors`.
 */
export interface NatsSection {
  /** In a file also one text with commas. */
  readonly servers: readonly string[];
  /** URLs of monitoring ports, for `nats-leader doctor`. A node ignores them. */
  readonly monitors?: readonly string[] | undefined;
  /** Path of a `.creds` file. */
  readonly credentials?: string | undefined;
  /** Reduced to what the lease allows: a leader must be able to reconnect before its deadline. */
  readonly reconnectWaitMs?: number | undefined;
  /** Accepted for go-cluster, and ignored: a node never stops reconnecting. */
  readonly maxReconnects?: number | undefined;
  readonly user?: string | undefined;
  readonly passwordFile?: string | undefined;
  readonly tokenFile?: string | undefined;
  /** Path of a file with the seed of a user nkey. */
  readonly nkeyFile?: string | undefined;
  readonly tls?: TlsSection | undefined;
  readonly inboxPrefix?: string | undefined;
  readonly connectTimeoutMs?: number | undefined;
  /** JetStream domain that has the bucket. */
  readonly domain?: string | undefined;
}

export interface TlsSection {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly handshakeFirst?: boolean | undefined;
}

export interface VipSection {
  /** IPv4 or IPv6. Not given: no virtual IP. */
  readonly address?: string | undefined;
  /**
   * Length of the prefix.
   *
   * @default 24; 64 for IPv6
   */
  readonly netmask?: number | undefined;
  readonly interface?: string | undefined;
}

export interface ElectionSection {
  readonly leaseTtlMs?: number | undefined;
  readonly heartbeatIntervalMs?: number | undefined;
  readonly requestTimeoutMs?: number | undefined;
  readonly retryDelayMs?: number | undefined;
  readonly successorGraceMs?: number | undefined;
  readonly cooldownMs?: number | undefined;
  readonly drainTimeoutMs?: number | undefined;
  readonly crashDetection?: CrashDetection | undefined;
  readonly silenceMs?: number | undefined;
  readonly observer?: boolean | undefined;
  readonly interop?: Interop | undefined;
  readonly replicas?: Replicas | undefined;
}

export interface ServiceSection {
  /**
   * False: the node has no micro service. Tools do not see it, and no request makes it step down, join or leave.
   *
   * @default true
   */
  readonly enabled?: boolean | undefined;
  readonly version?: string | undefined;
}

export interface HistorySection {
  /** @default true */
  readonly enabled?: boolean | undefined;
  /** @default 1000 */
  readonly maxTerms?: number | undefined;
}

export interface HttpSection {
  /** `127.0.0.1:9465`, `[::1]:9465`, `0.0.0.0:9465`; a port alone is on 127.0.0.1. Not given, or `off`: there is no HTTP server. */
  readonly listen?: string | undefined;
  /** Path of a file with the token that requests need. */
  readonly tokenFile?: string | undefined;
  /** Host names by which browsers may reach status, metrics and page without a token, besides addresses and names without a dot. */
  readonly hosts?: readonly string[] | undefined;
}

/** The options of a member of a group, as in `GroupOptions`. Its `memberId` is `nodeId`. */
export interface GroupSection
  extends Pick<
    GroupOptions,
    | "weight"
    | "zone"
    | "maxOwned"
    | "settleMs"
    | "rejoinGraceMs"
    | "unownedGraceMs"
    | "maxMoves"
    | "createBucket"
  > {
  /** The `groupId`. */
  readonly id?: string | undefined;
  /** A number of partitions, names, or objects with name and zone. */
  readonly resources?: number | ResourceList | undefined;
}

/** An HTTP server of the configuration. `token` is a secret, and must not be printed. */
export interface HttpConfig {
  readonly listen: string;
  readonly token?: string | undefined;
  readonly tokenFile?: string | undefined;
  readonly hosts?: readonly string[] | undefined;
}

/** A complete virtual-IP configuration. */
export interface VipConfig {
  readonly address: string;
  readonly netmask: number;
  readonly interface: string;
}
