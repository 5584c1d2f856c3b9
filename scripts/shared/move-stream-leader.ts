/** Moves the leader of a lease's stream to a chosen server. */
import { setTimeout as pause } from "node:timers/promises";
import type { NatsConnection } from "@nats-io/transport-node";
import { waitForReplicas } from "../../src/bench/lease-stream.ts";
import { streamName } from "../../src/nats/names.ts";

const TIMEOUT_MS = 60_000;
const POLL_MS = 100;
const REQUEST_TIMEOUT_MS = 2_000;

/** Resolves when one of `servers` leads the stream and every replica is current. */
export async function moveStreamLeader(
  connection: NatsConnection,
  clusterId: string,
  servers: readonly string[],
): Promise<void> {
  const stream = streamName(clusterId);
  const body = JSON.stringify({ placement: { preferred: servers[0] } });
  const deadline = performance.now() + TIMEOUT_MS;
  while (!servers.includes(await waitForReplicas(connection, clusterId))) {
    if (performance.now() > deadline) {
      throw new Error(
        `stream ${stream}: leader not moved to ${servers.join(" or ")} within ${TIMEOUT_MS} ms`,
      );
    }
    // The server refuses while an election is under way; the next poll shows whether it worked.
    await connection
      .request(`$JS.API.STREAM.LEADER.STEPDOWN.${stream}`, body, { timeout: REQUEST_TIMEOUT_MS })
      .catch(() => null);
    await pause(POLL_MS);
  }
}
