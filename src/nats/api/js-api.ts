/**
 * The JetStream API over plain requests. The managers of `@nats-io/jetstream` wait 5 s by default, cannot be aborted, do not
 * fail on a disconnect, and report a transient 503 as "JetStream is not enabled".
 */
import { ClusterError } from "../../errors.ts";
import type { ConnectionMonitor } from "../connection/connection-monitor.ts";
import {
  failureToClusterError,
  jsonBody,
  OTHER_DOMAIN,
  RequestFailure,
  request,
  toClusterError,
} from "./request.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

/** JetStream error codes that are handled differently. Names as in the server's `errors.json`. */
export const JsCode = {
  accountResourcesExceeded: 10002,
  clusterNoPeers: 10005,
  insufficientResources: 10023,
  memoryResourcesExceeded: 10028,
  noMessageFound: 10037,
  notEnabledForAccount: 10039,
  storageResourcesExceeded: 10047,
  messageExceedsMaximum: 10054,
  streamNameExists: 10058,
  streamNotFound: 10059,
  streamNotMatch: 10060,
  wrongLastSequence: 10071,
  replicasNotSupported: 10074,
  notEnabled: 10076,
  streamStoreFailed: 10077,
  streamMaxBytesExceeded: 10122,
  maximumConsumers: 10026,
  maximumStreams: 10027,
} as const;

const RESOURCE_CODES: ReadonlySet<number> = new Set<number>([
  JsCode.accountResourcesExceeded,
  JsCode.insufficientResources,
  JsCode.memoryResourcesExceeded,
  JsCode.storageResourcesExceeded,
  JsCode.messageExceedsMaximum,
  JsCode.streamStoreFailed,
  JsCode.streamMaxBytesExceeded,
  JsCode.maximumStreams,
]);

/** The server answered with an error. */
export class JsApiError extends Error {
  override readonly name = "JsApiError";
  /** JetStream's `err_code`, such as 10071; 0 if there is none. */
  readonly code: number;
  /** HTTP-like status, such as 503. */
  readonly status: number;

  constructor(code: number, status: number, description: string) {
    super(description);
    this.code = code;
    this.status = status;
  }
}

/** Options of one API call. */
export interface CallOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** Calls `$JS.API.<name>`. Rejects with `JsApiError` (an error answer) or `RequestFailure` (no valid answer). */
export async function callApi(
  monitor: ConnectionMonitor,
  name: string,
  body: unknown,
  options: CallOptions,
): Promise<JsonObject> {
  const subject = `$JS.API.${name}`;
  const answer = await request(monitor, subject, jsonBody(body), options);
  return parseAnswer(answer.data, subject);
}

/** The JSON object in an answer. Throws `JsApiError` for an error answer, `RequestFailure` for anything else. */
export function parseAnswer(data: Uint8Array, subject: string): JsonObject {
  const json = parseObject(data);
  if (json === null) throw new RequestFailure("failed", subject, "the answer is not a JSON object");
  const error = json["error"];
  if (typeof error !== "object" || error === null) return json;
  const { code, err_code, description } = error as JsonObject;
  throw new JsApiError(
    typeof err_code === "number" ? err_code : 0,
    typeof code === "number" ? code : 0,
    typeof description === "string" ? description : JSON.stringify(error),
  );
}

/** `null` for anything that is not a JSON object. */
export function parseObject(data: Uint8Array): JsonObject | null {
  try {
    return asObject(JSON.parse(new TextDecoder().decode(data)));
  } catch {
    return null;
  }
}

/** The value if it is an object, else `null`. */
export function asObject(value: unknown): JsonObject | null {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : null;
}

/** True for an error answer with one of these codes. */
export function isJsError(thrown: unknown, ...codes: readonly number[]): thrown is JsApiError {
  return thrown instanceof JsApiError && codes.includes(thrown.code);
}

/** The `ClusterError` for a failed API call or write. `doing` completes "cannot ...". */
export function jsToClusterError(thrown: unknown, doing: string): ClusterError {
  if (thrown instanceof RequestFailure) return failureToClusterError(thrown, doing);
  if (!(thrown instanceof JsApiError)) return toClusterError(thrown, doing);
  const what = `cannot ${doing}: ${thrown.message} (JetStream error ${thrown.code})`;
  if (thrown.code === JsCode.notEnabledForAccount) {
    return new ClusterError(
      "JETSTREAM_UNAVAILABLE",
      `${what}; enable JetStream for this account; ${OTHER_DOMAIN}`,
      {
        cause: thrown,
      },
    );
  }
  if (thrown.code === JsCode.notEnabled) {
    return new ClusterError(
      "JETSTREAM_UNAVAILABLE",
      `${what}; enable JetStream on the server; ${OTHER_DOMAIN}`,
      {
        cause: thrown,
        recoverable: true,
      },
    );
  }
  if (thrown.code === JsCode.streamNotFound) {
    return new ClusterError("BUCKET_MISSING", what, { cause: thrown, recoverable: true });
  }
  if (RESOURCE_CODES.has(thrown.code)) {
    const todo = "free disk space, or raise the account's or the bucket's limits";
    return new ClusterError("INSUFFICIENT_RESOURCES", `${what}; ${todo}`, {
      cause: thrown,
      recoverable: true,
    });
  }
  // 503: no leader, no quorum, or still starting. Each of them is transient.
  const code = thrown.status === 503 ? "JETSTREAM_UNAVAILABLE" : "STORE_UNAVAILABLE";
  return new ClusterError(code, what, { cause: thrown, recoverable: true });
}
