/**
 * Validates the options of a node and fills in the defaults.
 *
 * Timing is checked as relations, not only as ranges. With W = leaseTtlMs, margin = max(250, 5 % of W) and the leader's
 * span S = W - margin (`election/lease.ts`), every accepted configuration satisfies
 *
 *     heartbeatIntervalMs < W / 2
 *     heartbeatIntervalMs + 2 x requestTimeoutMs + retryDelayMs <= S        a lost renewal does not end the term
 *     heartbeatIntervalMs + 2 x reconnectWaitMs + requestTimeoutMs <= S     nor does a lost connection
 *     successorGraceMs <= W
 *     silenceMs <= W / 2                                                    silence replaces a leader before its lease expires
 *
 * and the defaults satisfy the relations for any valid `leaseTtlMs` and `heartbeatIntervalMs`.
 */

import { ClusterError } from "../errors.ts";
import type { NatsOptions } from "../nats/connection/connection.ts";
import { NODE_OPTIONS, type OptionName } from "./accepted.ts";
import { checkEach, show } from "./check.ts";
import { hostNodeId } from "./node-id.ts";
import { DEFAULTS, GO_CLUSTER_SERVICE_VERSION, type NodeOptions, type ResolvedOptions } from "./options.ts";
import { connectionProblems, type ParsedServers, parseServers } from "./servers.ts";
import { type SilenceNeeds, silenceMsOf, silenceProblems, vipSilenceProblems } from "./silence.ts";
import { type Timing, timingOf, timingProblems } from "./timing.ts";

export type { Interop, NodeOptions, Replicas, ResolvedOptions } from "./options.ts";
export { CRASH_DETECTIONS, DEFAULTS, PACKAGE_VERSION } from "./options.ts";

/**
 * Does no I/O.
 *
 * @param defaultNodeId - Draws the node id if the option is not given.
 * @param needs - What the parts of the node need of `silenceMs`.
 * @throws ClusterError `INVALID_CONFIG`, with one line per problem.
 */
export function resolveOptions(
  options: NodeOptions,
  defaultNodeId: () => string = hostNodeId,
  needs: SilenceNeeds = {},
): ResolvedOptions {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw invalid([`options ${show(options)} must be an object`]);
  }
  const each = checkEach(options, NODE_OPTIONS);
  const valid = (...names: OptionName[]): boolean => !names.some((name) => each.invalid.has(name));
  const servers = parseServers(valid("servers") ? options.servers : undefined);
  const problems = [
    ...each.problems,
    ...timingProblems(options, valid),
    ...silenceProblems(options, valid),
    ...(needs.vip === true && valid("leaseTtlMs", "crashDetection", "silenceMs")
      ? vipSilenceProblems(options, "the node has a virtual IP")
      : []),
    ...servers.problems,
    ...connectionProblems(options, valid),
  ];
  if (problems.length > 0) throw invalid(problems);
  return resolved(options, options.nodeId ?? defaultNodeId(), servers, needs);
}

function invalid(problems: readonly string[]): ClusterError {
  const lines = problems.map((problem) => `\n  ${problem}`);
  return new ClusterError("INVALID_CONFIG", `invalid node options:${lines.join("")}`);
}

/** `options` without `undefined` members. */
function definedOf<T extends object>(options: T): { [Name in keyof T]?: Exclude<T[Name], undefined> } {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [Name in keyof T]?: Exclude<T[Name], undefined> };
}

function natsOptions(options: NodeOptions, servers: ParsedServers, timing: Timing): NatsOptions {
  const domain = definedOf({ domain: options.domain });
  if (options.connection !== undefined) return { connection: options.connection, ...domain };
  const { user, pass, token, nkeySeed, jwt, credsFile, creds, inboxPrefix } = options;
  const tls = options.tls ?? (servers.tls ? {} : undefined);
  return {
    ...definedOf({ user, pass, token, nkeySeed, jwt, credsFile, creds, inboxPrefix }),
    ...servers.login,
    ...domain,
    ...(tls === undefined ? {} : { tls: Object.freeze(definedOf(tls)) }),
    servers: Object.freeze(servers.urls),
    connectTimeoutMs: options.connectTimeoutMs ?? DEFAULTS.connectTimeoutMs,
    reconnectWaitMs: timing.reconnectWaitMs,
  };
}

function resolved(
  options: NodeOptions,
  nodeId: string,
  servers: ParsedServers,
  needs: SilenceNeeds,
): ResolvedOptions {
  const timing = timingOf(options);
  const { clusterId, interop, logger, logLevel } = options;
  const { leaseTtlMs, heartbeatIntervalMs, requestTimeoutMs, retryDelayMs } = timing;
  const successorGraceMs = options.successorGraceMs ?? DEFAULTS.successorGraceMs;
  const cooldownMs = options.cooldownMs ?? leaseTtlMs;
  const crashDetection = options.crashDetection ?? DEFAULTS.crashDetection;
  const observer = options.observer ?? DEFAULTS.observer;
  const shared = {
    nodeId,
    crashDetection,
    silenceMs: silenceMsOf(options, needs),
    leaseTtlMs,
    heartbeatIntervalMs,
    requestTimeoutMs,
    retryDelayMs,
    successorGraceMs,
    cooldownMs,
  };
  return Object.freeze({
    ...shared,
    clusterId,
    observer,
    interop,
    logger,
    logLevel,
    drainTimeoutMs: options.drainTimeoutMs ?? DEFAULTS.drainTimeoutMs,
    replicas: options.replicas ?? DEFAULTS.replicas,
    service: options.service ?? DEFAULTS.service,
    serviceVersion:
      options.serviceVersion ??
      (interop === "go-cluster" ? GO_CLUSTER_SERVICE_VERSION : DEFAULTS.serviceVersion),
    nats: Object.freeze(natsOptions(options, servers, timing)),
    election: Object.freeze(shared),
  });
}
