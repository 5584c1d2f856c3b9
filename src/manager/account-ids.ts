/** The clusters and groups that have a bucket in an account. */
import { callApi } from "../nats/api/js-api.ts";
import { isId } from "../nats/identity.ts";
import { groupStreamName, streamName } from "../nats/names.ts";
import type { ClusterClient } from "./cluster-client.ts";

/** No account has more streams than this many pages of the server's list. */
const MAX_PAGES = 100;

/** Both in order. */
export interface AccountIds {
  readonly clusters: readonly string[];
  readonly groups: string[];
}

/** Rejects as `callApi()`. */
export async function accountIds({ monitor, timeoutMs }: ClusterClient): Promise<AccountIds> {
  const names: string[] = [];
  for (let page = 0; page < MAX_PAGES; page++) {
    const body = { subject: "$KV.>", offset: names.length };
    const answer = await callApi(monitor, "STREAM.NAMES", body, { timeoutMs });
    const streams: unknown = answer["streams"];
    if (!Array.isArray(streams) || streams.length === 0) break;
    names.push(...streams.map(String));
    const total: unknown = answer["total"];
    if (typeof total !== "number" || names.length >= total) break;
  }
  return { clusters: idsIn(names, streamName("")), groups: idsIn(names, groupStreamName("")) };
}

function idsIn(names: readonly string[], prefix: string): string[] {
  return names
    .filter((name) => name.startsWith(prefix))
    .map((name) => name.slice(prefix.length))
    .filter(isId)
    .sort();
}
