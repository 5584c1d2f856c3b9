/** Reads the lease from outside: its holder and the age of its record. Writes nothing. */
import type { LeaseEntry } from "../election/types.ts";
import { callApi, isJsError, JsCode, type JsonObject } from "../nats/api/js-api.ts";
import { getMessage } from "../nats/api/stored-message.ts";
import type { ConnectionMonitor } from "../nats/connection/connection-monitor.ts";
import { decodeStored } from "../nats/lease/record-codec.ts";
import { parseStreamInfo } from "../nats/lease/stream-config.ts";
import { bucketName, leaseSubject, streamName } from "../nats/names.ts";
import { commandError } from "./command-error.ts";

/** For display of a record without `ttl_ms` in a bucket without max-age, which no known implementation writes. */
const ASSUMED_TTL_MS = 10_000;

export interface LeaseView {
  /** False: the bucket does not exist, since no node of this cluster has ever run. */
  readonly exists: boolean;
  /** Creation time of the bucket's stream, as the server writes it; `null` if the bucket does not exist. */
  readonly created: string | null;
  /** Whether committed writes can be received without a consumer. */
  readonly republish: boolean;
  /** The last message on the key. */
  readonly entry: LeaseEntry | null;
  /** Time since the server stored it, by the server's clock. */
  readonly ageMs: number;
  /** TTL of the record. */
  readonly ttlMs: number;
}

const NOTHING: LeaseView = {
  exists: false,
  created: null,
  republish: true,
  entry: null,
  ageMs: 0,
  ttlMs: ASSUMED_TTL_MS,
};

/** Reads from the stream leader. Rejects with a `ClusterError`. */
export async function readLeaseView(
  monitor: ConnectionMonitor,
  clusterId: string,
  timeoutMs: number,
): Promise<LeaseView> {
  const stream = streamName(clusterId);
  const query = { last_by_subj: leaseSubject(clusterId) };
  const message = getMessage(monitor, stream, query, { timeoutMs });
  message.catch(() => {});
  try {
    const answer = await callApi(monitor, `STREAM.INFO.${stream}`, {}, { timeoutMs });
    const info = parseStreamInfo(answer, clusterId);
    if (info === null) throw new Error("the answer is not stream information");
    const { created, republish, maxAgeMs } = info;
    const found = await message;
    if (found === null) return { ...NOTHING, exists: true, created, republish };
    const entry = decodeStored(found);
    const own = entry.kind === "record" ? entry.record.ttlMs : undefined;
    const ttlMs = own ?? (maxAgeMs > 0 ? maxAgeMs : ASSUMED_TTL_MS);
    return { exists: true, created, republish, entry, ageMs: ageOf(found.storedAt, answer), ttlMs };
  } catch (thrown) {
    if (isJsError(thrown, JsCode.streamNotFound)) return NOTHING;
    throw commandError(monitor, thrown, `read the lease in bucket ${bucketName(clusterId)}`, { clusterId });
  }
}

/** Both times are the server's if its answer contains the present time (2.10 and later); else the two clocks are compared. */
function ageOf(storedAt: number | null, info: JsonObject): number {
  if (storedAt === null) return 0;
  const now = Date.parse(String(info["ts"] ?? ""));
  return Math.max(0, (Number.isNaN(now) ? Date.now() : now) - storedAt);
}
