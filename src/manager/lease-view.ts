/** The lease as somebody sees it who only looks: who holds it, and how old its newest record is. Writes nothing. */
import type { LeaseEntry } from "../election/types.ts";
import { parseHeaders } from "../nats/api/headers.ts";
import {
  asObject,
  callApi,
  isJsError,
  JsCode,
  type JsonObject,
  jsToClusterError,
} from "../nats/api/js-api.ts";
import type { ConnectionMonitor } from "../nats/connection/connection-monitor.ts";
import { decodeEntry } from "../nats/lease/record-codec.ts";
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
  const body = { last_by_subj: leaseSubject(clusterId) };
  const message = callApi(monitor, `STREAM.MSG.GET.${stream}`, body, { timeoutMs }).catch(
    (thrown: unknown) => {
      if (isJsError(thrown, JsCode.noMessageFound)) return null;
      throw thrown;
    },
  );
  message.catch(() => {});
  try {
    const answer = await callApi(monitor, `STREAM.INFO.${stream}`, {}, { timeoutMs });
    const info = parseStreamInfo(answer, clusterId);
    if (info === null) throw new Error("the answer is not stream information");
    const { republish, maxAgeMs } = info;
    const found = await message;
    if (found === null) return { ...NOTHING, exists: true, republish };
    const stored = asObject(found["message"]);
    const entry = entryOf(stored);
    const own = entry?.kind === "record" ? entry.record.ttlMs : undefined;
    const ttlMs = own ?? (maxAgeMs > 0 ? maxAgeMs : ASSUMED_TTL_MS);
    return { exists: true, republish, entry, ageMs: ageOf(stored, answer), ttlMs };
  } catch (thrown) {
    if (isJsError(thrown, JsCode.streamNotFound)) return NOTHING;
    throw jsToClusterError(thrown, `read the lease in bucket ${bucketName(clusterId)}`);
  }
}

function entryOf(stored: JsonObject | null): LeaseEntry | null {
  const revision = stored?.["seq"];
  if (stored === null || typeof revision !== "number") return null;
  const headers = parseHeaders(base64(stored["hdrs"]));
  return decodeEntry({
    revision,
    data: base64(stored["data"]),
    header: (name) => headers.get(name) ?? "",
  });
}

function base64(value: unknown): Uint8Array {
  return typeof value === "string" ? Buffer.from(value, "base64") : new Uint8Array(0);
}

/** Both times are the server's, where it says what time it is (2.10 and later); else its clock and ours must do. */
function ageOf(stored: JsonObject | null, info: JsonObject): number {
  const written = Date.parse(String(stored?.["time"] ?? ""));
  const now = Date.parse(String(info["ts"] ?? ""));
  if (Number.isNaN(written)) return 0;
  return Math.max(0, (Number.isNaN(now) ? Date.now() : now) - written);
}
