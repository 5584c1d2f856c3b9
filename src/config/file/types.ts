/** go-cluster's `config.json`, and what we add beside it. */

import type { CrashDetection } from "../../election/types.ts";
import type { Interop, Replicas } from "../resolve.ts";

/**
 * A cluster's configuration file. What go-cluster has is read exactly as it writes it: `0`, `""` and an absent field all
 * mean "not given". Durations are whole milliseconds; paths are relative to the working directory.
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
}

export interface NatsSection {
  readonly servers: readonly string[];
  /** Path of a `.creds` file. */
  readonly credentials?: string | undefined;
  /** Lowered to what the lease allows: a leader must be able to come back before its deadline. */
  readonly reconnectWaitMs?: number | undefined;
  /** Read for go-cluster's sake: a node never gives up to reconnect. */
  readonly maxReconnects?: number | undefined;
  readonly user?: string | undefined;
  readonly passwordFile?: string | undefined;
  readonly tokenFile?: string | undefined;
  /** Path of a file with the seed of a user nkey. */
  readonly nkeyFile?: string | undefined;
  readonly tls?: TlsSection | undefined;
  readonly inboxPrefix?: string | undefined;
  readonly connectTimeoutMs?: number | undefined;
}

export interface TlsSection {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly handshakeFirst?: boolean | undefined;
}

export interface VipSection {
  /** IPv4 or IPv6. Without it there is no virtual IP. */
  readonly address?: string | undefined;
  /** Length of the prefix. Default 24, for IPv6 64. */
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
  readonly observer?: boolean | undefined;
  readonly interop?: Interop | undefined;
  readonly replicas?: Replicas | undefined;
}

export interface ServiceSection {
  readonly version?: string | undefined;
}

export interface HistorySection {
  /** Default true. */
  readonly enabled?: boolean | undefined;
  /** Default 1000. */
  readonly maxTerms?: number | undefined;
}

/** A virtual IP that is configured completely. */
export interface VipConfig {
  readonly address: string;
  readonly netmask: number;
  readonly interface: string;
}
