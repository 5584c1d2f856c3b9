/** Finds or makes the stream behind a fence, and checks that the fence would hold on it. */
import type { NatsConnection } from "@nats-io/transport-node";
import { ClusterError } from "../../errors.ts";
import { asObject, type JsonObject, jsToClusterError } from "../../nats/api/js-api.ts";
import { isAtLeast, serverVersion } from "../../nats/api/server-version.ts";
import { createStream, defaultReplicas, findOrCreate, findStream } from "../../nats/api/streams.ts";
import { ConnectionMonitor } from "../../nats/connection/connection-monitor.ts";
import { AckMux } from "./ack-mux.ts";
import type { GuardedStream } from "./guarded-stream.ts";
import {
  BATCHES_SINCE,
  batchProblem,
  fenceProblems,
  numberOf,
  peersOf,
  requireFencing,
  requireFencingServers,
} from "./stream-check.ts";

/** What `FencedStream` and `FencedKv` have in common. */
export interface FencedLimits {
  /** Longest wait for one request. Default 2000. */
  readonly timeoutMs?: number;
  /** Writes sent before the first is answered. Default 256; on a replicated stream also at most one for each lane. */
  readonly maxInFlight?: number;
  /**
   * Subjects the fence consists of; a take-over moves all. A replicated stream refuses a second write under the same
   * condition while one is in flight (error 10164), so each lane admits one write at a time there. Default: 1 on a
   * single-server stream, 64 on a replicated one. Larger numbers of other processes count for all.
   */
  readonly lanes?: number;
  /** Replicas of a stream that is made. Default: 3 in a NATS cluster, 1 on a single server. */
  readonly replicas?: number;
}

const REPLICATED_LANES = 64;
const MAX_LANES = 1024;

export interface GuardedPlan {
  /** As errors call it: `stream "LEDGER"`. */
  readonly what: string;
  readonly stream: string;
  readonly fence: string;
  readonly limits: FencedLimits;
  /** What it is made with when it is not there; `null`: it has to be there. */
  readonly create: ((replicas: number) => JsonObject) | null;
}

/** Rejects with a `ClusterError`. The caller closes `mux` and releases `monitor` in the end. */
export async function openGuarded(connection: NatsConnection, plan: GuardedPlan): Promise<GuardedStream> {
  checkLimits(plan.limits);
  const monitor = ConnectionMonitor.acquire(connection);
  try {
    if (!monitor.connected)
      throw new ClusterError("NO_CONNECTION", `cannot open ${plan.what}: not connected`, {
        recoverable: true,
      });
    requireFencing(`the fence of ${plan.what}`, "the server of this connection", serverVersion(connection));
    return await openOn(monitor, plan);
  } catch (thrown) {
    monitor.release();
    throw jsToClusterError(thrown, `open ${plan.what}`);
  }
}

async function openOn(monitor: ConnectionMonitor, plan: GuardedPlan): Promise<GuardedStream> {
  const { stream, fence, limits, what } = plan;
  const timeoutMs = limits.timeoutMs ?? 2000;
  const info = await findOrCreateStream(monitor, plan, timeoutMs);
  const config = asObject(info["config"]) ?? {};
  await requireFencingServers(monitor, `the fence of ${what}`, peersOf(info));
  const problems = fenceProblems(config, fence);
  if (problems.length > 0) {
    throw new ClusterError(
      "STREAM_INCOMPATIBLE",
      `${what} can't carry the fence ${fence}: ${problems.join("; ")}`,
    );
  }
  const replicated = numberOf(config, "num_replicas") > 1;
  return {
    monitor,
    mux: new AckMux(monitor),
    stream,
    fence,
    lanes: limits.lanes ?? (replicated ? REPLICATED_LANES : 1),
    maxInFlight: limits.maxInFlight ?? 256,
    timeoutMs,
    neverExpires: numberOf(config, "max_age") > 0,
    rollup: config["allow_rollup_hdrs"] === true && config["deny_purge"] !== true,
    noBatches: batchProblem(serverVersion(monitor.connection), config),
  };
}

function findOrCreateStream(
  monitor: ConnectionMonitor,
  plan: GuardedPlan,
  timeoutMs: number,
): Promise<JsonObject> {
  const { stream, create, what, limits } = plan;
  return findOrCreate(
    () => findStream(monitor, stream, { timeoutMs }),
    () => {
      if (create === null) {
        throw new ClusterError(
          "STREAM_INCOMPATIBLE",
          `${what} does not exist; make it, or say with which subjects to make it`,
        );
      }
      const { connection } = monitor;
      const atomic = isAtLeast(serverVersion(connection), BATCHES_SINCE) ? { allow_atomic: true } : {};
      const config = { ...atomic, ...create(limits.replicas ?? defaultReplicas(connection)) };
      return createStream(monitor, stream, config, { timeoutMs: timeoutMs * 2 });
    },
  );
}

function checkLimits(limits: FencedLimits): void {
  const check = (name: keyof FencedLimits, from: number, to: number): void => {
    const value = limits[name];
    if (value === undefined || (Number.isInteger(value) && value >= from && value <= to)) return;
    throw new ClusterError(
      "INVALID_CONFIG",
      `${name} is ${value}: it must be an integer from ${from} to ${to}`,
    );
  };
  check("timeoutMs", 1, 3_600_000);
  check("maxInFlight", 1, 1_000_000);
  check("lanes", 1, MAX_LANES);
  check("replicas", 1, 5);
}
