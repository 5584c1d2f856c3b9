/** The stream of a lease: waits until it is fully replicated, and moves its leader to a chosen server. */
import { setTimeout as pause } from "node:timers/promises";
import type { NatsConnection } from "@nats-io/transport-node";
import { asObject, callApi, type JsonObject } from "../nats/api/js-api.ts";
import { ConnectionMonitor } from "../nats/connection/connection-monitor.ts";
import { streamName } from "../nats/names.ts";
import { hostNowMs } from "./messages.ts";

const REPLICAS = 3;
const TIMEOUT_MS = 60_000;
const POLL_MS = 50;
const MOVE_POLL_MS = 100;
const REQUEST_TIMEOUT_MS = 2_000;

/**
 * Resolves with the name of the stream's leader once both other replicas are current: from then on any one server may
 * fail without stopping writes for longer than an election.
 */
export async function waitForReplicas(
  connection: NatsConnection,
  clusterId: string,
  signal: AbortSignal = new AbortController().signal,
): Promise<string> {
  const stream = streamName(clusterId);
  const monitor = ConnectionMonitor.acquire(connection);
  const deadline = hostNowMs() + TIMEOUT_MS;
  try {
    for (;;) {
      signal.throwIfAborted();
      const info = await callApi(
        monitor,
        `STREAM.INFO.${stream}`,
        {},
        { timeoutMs: REQUEST_TIMEOUT_MS, signal },
      ).catch(() => null);
      const cluster = asObject(info?.["cluster"]);
      const leader = cluster?.["leader"];
      if (typeof leader === "string" && leader !== "" && areCurrent(cluster?.["replicas"])) return leader;
      if (hostNowMs() > deadline) {
        throw new Error(
          `stream ${stream}: replicas not current after ${TIMEOUT_MS} ms: ${JSON.stringify(cluster)}`,
        );
      }
      await pause(POLL_MS, undefined, { signal });
    }
  } finally {
    monitor.release();
  }
}

/** Resolves when one of `servers` leads the stream and every replica is current. */
export async function moveStreamLeader(
  connection: NatsConnection,
  clusterId: string,
  servers: readonly string[],
  signal: AbortSignal = new AbortController().signal,
): Promise<void> {
  const stream = streamName(clusterId);
  const body = JSON.stringify({ placement: { preferred: servers[0] } });
  const deadline = hostNowMs() + TIMEOUT_MS;
  while (!servers.includes(await waitForReplicas(connection, clusterId, signal))) {
    if (hostNowMs() > deadline) {
      throw new Error(
        `stream ${stream}: leader not moved to ${servers.join(" or ")} within ${TIMEOUT_MS} ms`,
      );
    }
    // The server refuses while an election is under way; the next poll shows whether it worked.
    await connection
      .request(`$JS.API.STREAM.LEADER.STEPDOWN.${stream}`, body, { timeout: REQUEST_TIMEOUT_MS })
      .catch(() => null);
    await pause(MOVE_POLL_MS, undefined, { signal });
  }
}

/** `replicas` of a stream's cluster information lists every replica except the leader. */
function areCurrent(replicas: unknown): boolean {
  if (!Array.isArray(replicas) || replicas.length !== REPLICAS - 1) return false;
  return replicas
    .map(asObject)
    .every((one: JsonObject | null) => one?.["current"] === true && !one["offline"]);
}
