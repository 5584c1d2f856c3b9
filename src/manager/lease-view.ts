/** The lease as somebody sees it who only looks: who holds it, and how old its newest record is. Writes nothing. */
import type { LeaseEntry } from "../election/types.ts";
import { callApi, isJsError, JsCode, type JsonObject, jsToClusterError } from "../nats/api/js-api.ts";
import { getMessage } from "../nats/api/stored-message.ts";
import type { ConnectionMonitor } from "../nats/connection/connection-monitor.ts";
import { decodeStored } from "../nats/lease/record-codec.ts";
import { parseStreamInfo } from "../nats/lease/stream-config.ts";
import { bucketName, leaseSubject, streamName } from "../nats/names.ts";

/** A record without `ttl_ms` in a bucket without max-age is nobody's we know. Only for display. */
const ASSUMED_TTL_MS = 10_000;

export interface LeaseView {
  /** False: no node was ever started in this cluster. */
  readonly exists: boolean;
  /** Committed writes can be heard without a consumer. */
  readonly republish: boolean;
  /** Last message on the key. */
  readonly entry: LeaseEntry | null;
  /** How long ago the server stored it, by the server's own clock. */
  readonly ageMs: number;
  /** How long a record counts. */
  readonly ttlMs: number;
}

const NOTHING: LeaseView = { exists: false, republish: true, entry: null, ageMs: 0, ttlMs: ASSUMED_TTL_MS };

/** Asks the stream leader. Rejects with a `ClusterError`. */
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
    const { republish, maxAgeMs } = info;
    const found = await message;
    if (found === null) return { ...NOTHING, exists: true, republish };
    const entry = decodeStored(found);
    const own = entry.kind === "record" ? entry.record.ttlMs : undefined;
    const ttlMs = own ?? (maxAgeMs > 0 ? maxAgeMs : ASSUMED_TTL_MS);
    return { exists: true, republish, entry, ageMs: ageOf(found.storedAt, answer), ttlMs };
  } catch (thrown) {
    if (isJsError(thrown, JsCode.streamNotFound)) return NOTHING;
    throw jsToClusterError(thrown, `read the lease in bucket ${bucketName(clusterId)}`);
  }
}

/** Both times are the server's if its answer contains the present time (2.10 and later); else the two clocks are compared. */
function ageOf(storedAt: number | null, info: JsonObject): number {
  if (storedAt === null) return 0;
  const now = Date.parse(String(info["ts"] ?? ""));
  return Math.max(0, (Number.isNaN(now) ? Date.now() : now) - storedAt);
}
