/** Publishes what has become of a write behind a fence. */
import { hasListener, publish } from "../channels/channels.ts";
import type { FencedWriteEvent } from "../channels/events.ts";
import type { FencedWriteResult } from "../channels/sets.ts";
import { ClusterError } from "../errors.ts";
import { StaleEpochError } from "./stale.ts";
import type { FenceTerm } from "./token.ts";

type Store = FencedWriteEvent["store"];

/** @param error - Of a write that did not succeed. */
export function reportWrite(store: Store, term: FenceTerm, error?: unknown): void {
  if (!hasListener("nats-leader:fenced-write")) return;
  const { clusterId, nodeId, incarnation, epoch } = term;
  publish("nats-leader:fenced-write", () => ({
    term: { ...(clusterId === undefined ? {} : { clusterId }), nodeId, incarnation, epoch },
    store,
    result: error === undefined ? "admitted" : resultOf(error),
  }));
}

/** Reports the write once it is settled, and settles as it does. */
export async function reported<T>(store: Store, term: FenceTerm, write: Promise<T>): Promise<T> {
  try {
    const result = await write;
    reportWrite(store, term);
    return result;
  } catch (error) {
    reportWrite(store, term, error);
    throw error;
  }
}

function resultOf(error: unknown): FencedWriteResult {
  if (error instanceof StaleEpochError) return "refused";
  return error instanceof ClusterError && error.code === "OUTCOME_UNKNOWN" ? "unknown" : "failed";
}
