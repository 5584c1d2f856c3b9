/** Turns the settings of a file into the options of a node: reads secrets, and adapts go-cluster's reconnect wait. */
import { readFileSync } from "node:fs";
import { leaseSpanMs } from "../../election/lease.ts";
import { ClusterError, messageOf } from "../../errors.ts";
import type { NodeOptions } from "../resolve.ts";
import { timingOf } from "../timing.ts";
import type { FileConfig } from "./types.ts";

/** Secrets from environment variables. */
export interface Secrets {
  readonly password?: string | undefined;
  readonly token?: string | undefined;
}

/** @throws ClusterError `INVALID_CONFIG` when a file with a secret cannot be read. */
export function toNodeOptions(config: FileConfig, secrets: Secrets = {}): NodeOptions {
  const { nats, election = {}, service } = config;
  const { interop, replicas, crashDetection, observer, ...timing } = election;
  return defined<NodeOptions>({
    clusterId: config.clusterId,
    nodeId: config.nodeId,
    servers: nats.servers,
    credsFile: nats.credentials,
    user: nats.user,
    pass: secrets.password ?? secretIn("nats.passwordFile", nats.passwordFile),
    token: secrets.token ?? secretIn("nats.tokenFile", nats.tokenFile),
    nkeySeed: secretIn("nats.nkeyFile", nats.nkeyFile),
    tls: nats.tls === undefined ? undefined : defined(nats.tls),
    inboxPrefix: nats.inboxPrefix,
    connectTimeoutMs: nats.connectTimeoutMs,
    reconnectWaitMs: fittingReconnectWaitMs(config),
    ...timing,
    crashDetection,
    observer,
    interop,
    replicas,
    serviceVersion: service?.version,
  });
}

/**
 * go-cluster writes 2000 into every file, regardless of the lease. Reduced where a leader could then not reconnect before its
 * deadline.
 */
export function fittingReconnectWaitMs(config: FileConfig): number | undefined {
  const { reconnectWaitMs } = config.nats;
  if (reconnectWaitMs === undefined) return undefined;
  const { clusterId, nodeId, election = {} } = config;
  const { leaseTtlMs, heartbeatIntervalMs, requestTimeoutMs } = timingOf({ clusterId, nodeId, ...election });
  const room = Math.floor((leaseSpanMs(leaseTtlMs) - heartbeatIntervalMs - requestTimeoutMs) / 2);
  return room >= 10 ? Math.min(reconnectWaitMs, room) : reconnectWaitMs;
}

function secretIn(name: string, path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  let text: string;
  try {
    text = readFileSync(path, "utf8").trim();
  } catch (error) {
    throw new ClusterError("INVALID_CONFIG", `${name} "${path}" cannot be read: ${messageOf(error)}`, {
      cause: error,
    });
  }
  if (text === "") throw new ClusterError("INVALID_CONFIG", `${name} "${path}" is an empty file`);
  // Files with a seed often contain comments, too.
  return name === "nats.nkeyFile" ? (/SU[A-Z2-7]{56}/.exec(text)?.[0] ?? text) : text;
}

function defined<T extends object>(values: { readonly [Name in keyof T]: T[Name] | undefined }): T {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T;
}
