/** The stream of past terms. */
import { RequestFailure } from "../nats/api/request.ts";
import { createStream, defaultReplicas, findStream, isTooFewServers } from "../nats/api/streams.ts";
import type { ConnectionMonitor } from "../nats/connection/connection-monitor.ts";
import { historyStream, historySubject } from "../nats/names.ts";

const TIMEOUT_MS = 2_000;

export interface HistoryStreamOptions {
  /** Number of terms that a stream keeps which is created. */
  readonly maxTerms: number;
  /**
   * For each answer.
   * @default 2000
   */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** Creates the stream, or uses an existing one with its present configuration. Resolves to whether it was created. */
export async function openHistory(
  monitor: ConnectionMonitor,
  clusterId: string,
  options: HistoryStreamOptions,
): Promise<boolean> {
  if (await exists(monitor, clusterId, options)) return false;
  const replicas = defaultReplicas(monitor.connection);
  try {
    return await create(monitor, clusterId, replicas, options);
  } catch (thrown) {
    if (replicas === 1 || !isTooFewServers(thrown)) throw thrown;
    return await create(monitor, clusterId, 1, options);
  }
}

/** Also false for a user that may not ask and may still be allowed to create it. */
async function exists(
  monitor: ConnectionMonitor,
  clusterId: string,
  { signal, timeoutMs = TIMEOUT_MS }: HistoryStreamOptions,
): Promise<boolean> {
  const limits = { timeoutMs, ...(signal === undefined ? {} : { signal }) };
  try {
    return (await findStream(monitor, historyStream(clusterId), limits)) !== null;
  } catch (thrown) {
    if (thrown instanceof RequestFailure && thrown.kind === "denied") return false;
    throw thrown;
  }
}

async function create(
  monitor: ConnectionMonitor,
  clusterId: string,
  replicas: number,
  { maxTerms, signal, timeoutMs = TIMEOUT_MS }: HistoryStreamOptions,
): Promise<boolean> {
  const name = historyStream(clusterId);
  const config = {
    name,
    description: `Past terms of cluster ${clusterId}`,
    subjects: [historySubject(clusterId)],
    retention: "limits",
    storage: "file",
    discard: "old",
    num_replicas: replicas,
    // Each term has two messages, its begin and its end.
    max_msgs: 2 * maxTerms,
    max_msg_size: 4096,
    duplicate_window: 120_000_000_000,
  };
  const limits = { timeoutMs, ...(signal === undefined ? {} : { signal }) };
  return (await createStream(monitor, name, config, limits)) !== null;
}
