/** The clusters of an account, for messages about a cluster id that may be mistyped. */
import { callApi } from "../nats/api/js-api.ts";
import { isId } from "../nats/identity.ts";
import { streamName } from "../nats/names.ts";
import type { ClusterClient } from "./cluster-client.ts";

const MAX_NAMED = 5;
const PREFIX = streamName("");

/** Ids of the clusters that have a bucket in this account. Empty also for a user that may not list streams. */
export async function knownClusters({ monitor, timeoutMs }: ClusterClient): Promise<string[]> {
  const answer = await callApi(monitor, "STREAM.NAMES", { subject: "$KV.>" }, { timeoutMs }).catch(
    () => null,
  );
  const streams: unknown = answer?.["streams"];
  if (!Array.isArray(streams)) return [];
  return streams
    .filter((name) => typeof name === "string" && name.startsWith(PREFIX))
    .map((name) => name.slice(PREFIX.length))
    .filter(isId)
    .sort();
}

/** In brackets after a blank, and at most five; `""` for none. */
export function clustersText(ids: readonly string[]): string {
  if (ids.length === 0) return "";
  return ` (this account has the ${named("cluster", ids)})`;
}

/** Such as `clusters a, b`; at most five ids. */
export function named(what: string, ids: readonly string[]): string {
  const more = ids.length > MAX_NAMED ? ", ..." : "";
  return `${what}${ids.length === 1 ? "" : "s"} ${ids.slice(0, MAX_NAMED).join(", ")}${more}`;
}
