/** Finding a stream, or creating it if there is none. */
import type { NatsConnection } from "@nats-io/transport-node";
import type { ConnectionMonitor } from "../connection/connection-monitor.ts";
import { type CallOptions, callApi, isJsError, type JsApiError, JsCode, type JsonObject } from "./js-api.ts";
import { RequestFailure } from "./request.ts";

/** Replicas of a stream that is created in a NATS cluster, unless the caller asks for another number. */
export const CLUSTER_REPLICAS = 3;

/** The `STREAM.INFO` answer; `null`: there is no such stream. Requests that time out are sent `attempts` times. */
export async function findStream(
  monitor: ConnectionMonitor,
  name: string,
  options: CallOptions & { readonly attempts?: number },
): Promise<JsonObject | null> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await callApi(monitor, `STREAM.INFO.${name}`, {}, options);
    } catch (thrown) {
      if (isJsError(thrown, JsCode.streamNotFound)) return null;
      const timedOut = thrown instanceof RequestFailure && thrown.kind === "timeout";
      if (!timedOut || attempt >= (options.attempts ?? 1)) throw thrown;
    }
  }
}

/** The `STREAM.CREATE` answer; `null`: a stream with this name and another configuration exists. */
export async function createStream(
  monitor: ConnectionMonitor,
  name: string,
  config: JsonObject,
  options: CallOptions,
): Promise<JsonObject | null> {
  try {
    return await callApi(monitor, `STREAM.CREATE.${name}`, config, options);
  } catch (thrown) {
    if (isJsError(thrown, JsCode.streamNameExists)) return null;
    throw thrown;
  }
}

/**
 * As `createStream`, with the default number of replicas. The server of a leaf node, which is connected to a cluster and in none
 * itself, is found out by its refusal.
 */
export async function createWithDefault(
  monitor: ConnectionMonitor,
  name: string,
  configOf: (replicas: number) => JsonObject,
  options: CallOptions,
): Promise<JsonObject | null> {
  const replicas = defaultReplicas(monitor.connection);
  try {
    return await createStream(monitor, name, configOf(replicas), options);
  } catch (thrown) {
    if (replicas === 1 || !isJsError(thrown, JsCode.replicasNotSupported)) throw thrown;
    return await createStream(monitor, name, configOf(1), options);
  }
}

/**
 * The stream that `find` returns, else the one that `create` makes. Another client may create it between the two: its stream
 * is then found, and the caller checks it like any stream that existed before.
 */
export async function findOrCreate<T>(
  find: () => Promise<T | null>,
  create: () => Promise<T | null>,
): Promise<T> {
  const stream = (await find()) ?? (await create()) ?? (await find());
  if (stream === null) throw new Error("the stream was deleted while it was being created");
  return stream;
}

/** True for a refusal to place the replicas that were asked for: too few servers, or no cluster. */
export function isTooFewServers(thrown: unknown): thrown is JsApiError {
  return isJsError(thrown, JsCode.clusterNoPeers, JsCode.replicasNotSupported);
}

export function isClustered(connection: NatsConnection): boolean {
  return (connection.info?.cluster ?? "") !== "";
}

export function defaultReplicas(connection: NatsConnection): number {
  return isClustered(connection) ? CLUSTER_REPLICAS : 1;
}
