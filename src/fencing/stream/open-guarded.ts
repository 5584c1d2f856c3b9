/** Finds or creates the stream of a fence, and checks that the fence holds on it. */
import type { NatsConnection } from "@nats-io/transport-node";
import { ClusterError } from "../../errors.ts";
import { asObject, type JsonObject, jsToClusterError } from "../../nats/api/js-api.ts";
import { isAtLeast, serverVersion } from "../../nats/api/server-version.ts";
import { createStream, createWithDefault, findOrCreate, findStream } from "../../nats/api/streams.ts";
import { ConnectionMonitor } from "../../nats/connection/connection-monitor.ts";
import { MAX_LANES } from "../fence-record.ts";
import { AckMux } from "./ack-mux.ts";
import type { GuardedStream } from "./guarded-stream.ts";
import { checkedFacts } from "./read-fence.ts";
import { BATCHES_SINCE, peersOf, requireFencing, requireFencingServers } from "./stream-check.ts";

/** Options of both `FencedStream` and `FencedKv`. */
export interface FencedLimits {
  /**
   * Longest wait for the answer to one request, in milliseconds.
   *
   * @default 2000
   */
  readonly timeoutMs?: number;
  /**
   * Limit of unanswered writes. If the fence has more than one lane, its number of lanes is a limit, too.
   *
   * @default 256
   */
  readonly maxInFlight?: number;
  /**
   * Number of subjects of the fence, all of which a takeover moves. A replicated stream refuses a second write under the same
   * condition while one is in flight (error 10164), so that each lane admits one write at a time. If processes ask for different
   * numbers, the largest applies to all of them.
   *
   * @default 1; on a replicated stream 64
   */
  readonly lanes?: number;
  /**
   * Replicas of a stream that is created.
   *
   * @default 3 in a NATS cluster, 1 on a single server
   */
  readonly replicas?: number;
}

export interface GuardedPlan {
  /** The name in error messages, such as `stream LEDGER`. */
  readonly what: string;
  readonly stream: string;
  readonly fence: string;
  readonly options: FencedLimits;
  /** The configuration for a missing stream; `null`: a missing stream is an error. */
  readonly create: ((replicas: number) => JsonObject) | null;
}

/** Rejects with a `ClusterError`. The caller has to close `mux` and release `monitor`. */
export async function openGuarded(connection: NatsConnection, plan: GuardedPlan): Promise<GuardedStream> {
  checkOptions(plan.options);
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
  const { stream, fence, options, what } = plan;
  const timeoutMs = options.timeoutMs ?? 2000;
  const info = await findOrCreateStream(monitor, plan, timeoutMs);
  await requireFencingServers(monitor, `the fence of ${what}`, peersOf(info));
  const config = checkedFacts({ monitor, what, fence }, asObject(info["config"]) ?? {});
  return {
    monitor,
    mux: new AckMux(monitor),
    what,
    stream,
    fence,
    maxInFlight: options.maxInFlight ?? 256,
    timeoutMs,
    wantedLanes: options.lanes ?? null,
    config,
  };
}

function findOrCreateStream(
  monitor: ConnectionMonitor,
  plan: GuardedPlan,
  timeoutMs: number,
): Promise<JsonObject> {
  const { stream, create, what, options } = plan;
  return findOrCreate(
    () => findStream(monitor, stream, { timeoutMs }),
    () => {
      if (create === null) {
        throw new ClusterError(
          "STREAM_INCOMPATIBLE",
          `${what} does not exist: create it, or set subjects so that it is created`,
        );
      }
      const { connection } = monitor;
      const atomic = isAtLeast(serverVersion(connection), BATCHES_SINCE) ? { allow_atomic: true } : {};
      const configOf = (replicas: number): JsonObject => ({ ...atomic, ...create(replicas) });
      const limits = { timeoutMs: timeoutMs * 2 };
      return options.replicas === undefined
        ? createWithDefault(monitor, stream, configOf, limits)
        : createStream(monitor, stream, configOf(options.replicas), limits);
    },
  );
}

function checkOptions(options: FencedLimits): void {
  const check = (name: keyof FencedLimits, from: number, to: number): void => {
    const value = options[name];
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
