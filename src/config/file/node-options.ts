/** Turns the settings of a file into the options of a node: reads secrets, and adapts go-cluster's reconnect wait. */
import { leaseSpanMs } from "../../election/lease.ts";
import { messageOf } from "../../errors.ts";
import type { TlsOptions } from "../../nats/connection/tls.ts";
import { show } from "../check.ts";
import type { NodeOptions } from "../resolve.ts";
import { vipSilenceMs } from "../silence.ts";
import { type Timing, timingOf } from "../timing.ts";
import { readSecret } from "./read.ts";
import { TIMING } from "./settings.ts";
import { get, isTree, type Tree } from "./tree.ts";
import type { ElectionSection, NatsSection } from "./types.ts";
import { vipHeartbeatLimitMs } from "./vip.ts";

/** Keeps a problem from being followed by another one: that a user must come with a password. */
const UNREADABLE = "unreadable";

/** Secrets from environment variables, by the path of their setting. */
export interface Secrets {
  readonly "nats.password"?: string | undefined;
  readonly "nats.token"?: string | undefined;
  readonly "http.token"?: string | undefined;
}

export interface BuiltOptions {
  /** Values that validation refuses are in it, too. */
  readonly options: NodeOptions;
  /** Files with a secret that cannot be read, by the path of their setting. */
  readonly problems: ReadonlyMap<string, string>;
}

export function toNodeOptions(values: Tree, secrets: Secrets = {}): BuiltOptions {
  const problems = new Map<string, string>();
  const secretIn = (path: string, other: string | undefined): string | undefined => {
    const file = get(values, path);
    if (other !== undefined || typeof file !== "string") return other;
    try {
      return secretOf(path, readSecret(file));
    } catch (error) {
      problems.set(path, `${path} ${show(file)} ${messageOf(error)}`);
      return UNREADABLE;
    }
  };
  const nats = section<NatsSection>(values, "nats");
  const election = section<ElectionSection>(values, "election");
  const given = Object.fromEntries(TIMING.map((name) => [name, election[name]]));
  const timing = { ...given, heartbeatIntervalMs: fittingHeartbeatMs(values, given) };
  const options = defined<NodeOptions>({
    clusterId: get(values, "clusterId") as string,
    nodeId: get(values, "nodeId") as string,
    servers: nats.servers,
    credsFile: nats.credentials,
    user: nats.user,
    pass: secretIn("nats.passwordFile", secrets["nats.password"]),
    token: secretIn("nats.tokenFile", secrets["nats.token"]),
    nkeySeed: secretIn("nats.nkeyFile", undefined),
    tls: isTree(nats.tls) ? defined<TlsOptions>(nats.tls) : undefined,
    inboxPrefix: nats.inboxPrefix,
    domain: nats.domain,
    connectTimeoutMs: nats.connectTimeoutMs,
    reconnectWaitMs: fittingReconnectWaitMs(nats.reconnectWaitMs, timing),
    ...timing,
    crashDetection: election.crashDetection,
    silenceMs: fittingSilenceMs(values, election),
    observer: election.observer,
    interop: election.interop,
    replicas: election.replicas,
    service: get(values, "service.enabled") as boolean | undefined,
    serviceVersion: get(values, "service.version") as string | undefined,
  });
  return { options, problems };
}

/** Its members are not checked yet. */
function section<T>(values: Tree, name: string): Partial<T> {
  const value = get(values, name);
  return isTree(value) ? (value as Partial<T>) : {};
}

/**
 * go-cluster writes 2000 into every file, regardless of the lease. Reduced where a leader could then not reconnect before its
 * deadline.
 */
function fittingReconnectWaitMs(given: number | undefined, election: ElectionSection): number | undefined {
  if (typeof given !== "number") return given;
  const { leaseTtlMs, heartbeatIntervalMs, requestTimeoutMs } = timingIn(election);
  const room = Math.floor((leaseSpanMs(leaseTtlMs) - heartbeatIntervalMs - requestTimeoutMs) / 2);
  return room >= 10 ? Math.min(given, room) : given;
}

/** The default may be too long for a virtual IP. A value that is given is checked, not changed. */
function fittingHeartbeatMs(values: Tree, given: ElectionSection): number | undefined {
  const { heartbeatIntervalMs } = given;
  if (heartbeatIntervalMs !== undefined || get(values, "vip.address") === undefined) {
    return heartbeatIntervalMs;
  }
  const timing = timingIn(given);
  const limitMs = vipHeartbeatLimitMs(timing.leaseTtlMs);
  return limitMs > 0 && limitMs < timing.heartbeatIntervalMs ? limitMs : undefined;
}

/** The default is too short for a virtual IP. A value that is given is checked, not changed. */
function fittingSilenceMs(values: Tree, given: Partial<ElectionSection>): number | undefined {
  const { silenceMs, crashDetection } = given;
  if (silenceMs !== undefined || get(values, "vip.address") === undefined) return silenceMs;
  if (crashDetection === "lease") return undefined;
  const fitting = vipSilenceMs(timingIn(given).leaseTtlMs);
  // With "silence", a lease that is too short is a problem of its own.
  return fitting === 0 && crashDetection === "silence" ? undefined : fitting;
}

/** With the default of every value that is no number, which validation refuses. */
function timingIn(election: ElectionSection): Timing {
  const numbers = Object.entries(election).filter(([, value]) => typeof value === "number");
  return timingOf({ clusterId: "any", ...Object.fromEntries(numbers) });
}

/** Files with a seed often contain comments, too. */
function secretOf(path: string, text: string): string {
  return path === "nats.nkeyFile" ? (/SU[A-Z2-7]{56}/.exec(text)?.[0] ?? text) : text;
}

function defined<T extends object>(values: { readonly [Name in keyof T]: T[Name] | undefined }): T {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T;
}
