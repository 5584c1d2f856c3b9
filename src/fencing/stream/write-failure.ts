/**
 * The `ClusterError` for a write that did not succeed. There are three kinds: refused for the rest of the term (`STALE_EPOCH`);
 * refused this time, with nothing written; unknown (`OUTCOME_UNKNOWN`: it may be applied now, later or never).
 */
import { ClusterError, messageOf } from "../../errors.ts";
import { isJsError, JsApiError, JsCode, jsToClusterError } from "../../nats/api/js-api.ts";
import { failureToClusterError, RequestFailure } from "../../nats/api/request.ts";
import type { FenceRecord } from "../fence-record.ts";
import { staleLeader } from "../stale.ts";
import type { FenceTerm } from "../token.ts";
import type { GuardedStream } from "./guarded-stream.ts";
import { IN_FLIGHT } from "./js-messages.ts";
import type { Lane } from "./lanes.ts";
import { readFence } from "./take-fence.ts";

/** Refusals for lack of resources: the server sends them before it stores anything. */
const REFUSED_WITH_5XX: ReadonlySet<number> = new Set<number>([
  JsCode.accountResourcesExceeded,
  JsCode.insufficientResources,
  JsCode.memoryResourcesExceeded,
  JsCode.storageResourcesExceeded,
]);

/** A write and its lane. */
export interface FailedWrite {
  readonly on: GuardedStream;
  readonly term: FenceTerm;
  readonly lane: Lane;
  /** Completes "cannot ...". */
  readonly doing: string;
  /** The write had conditions besides that of the fence. */
  readonly conditions: boolean;
}

/** Reads the fence if the answer alone does not decide. Never rejects. */
export async function writeFailure(thrown: unknown, write: FailedWrite): Promise<ClusterError> {
  if (thrown instanceof ClusterError) return thrown;
  if (isJsError(thrown, JsCode.wrongLastSequence, IN_FLIGHT)) return conflict(thrown, write);
  const error =
    thrown instanceof JsApiError
      ? apiFailure(thrown, write.doing)
      : thrown instanceof RequestFailure
        ? requestFailure(thrown, write.doing)
        : null;
  return error ?? unknownOutcome(thrown, write.doing);
}

export function unknownOutcome(thrown: unknown, doing: string): ClusterError {
  return new ClusterError(
    "OUTCOME_UNKNOWN",
    `the outcome of the attempt to ${doing} is unknown: ${messageOf(thrown)}; it may be applied now, later or never: read before you repeat it`,
    { cause: thrown, recoverable: true },
  );
}

/** `null`: the outcome is unknown. */
function requestFailure(failure: RequestFailure, doing: string): ClusterError | null {
  const { kind, message } = failure;
  // Without a subscriber nothing was delivered. A denied publish was dropped by the first server.
  if (kind === "no-responders") return failureToClusterError(failure, doing);
  if (kind === "denied" && /publish/i.test(message)) return failureToClusterError(failure, doing);
  const cause = failure.cause instanceof Error ? failure.cause : null;
  if (kind === "failed" && cause?.name === "InvalidArgumentError") {
    return new ClusterError("INVALID_CONFIG", `cannot ${doing}: ${cause.message}`, { cause: failure });
  }
  return null;
}

/** `null`: the outcome is unknown. */
function apiFailure(error: JsApiError, doing: string): ClusterError | null {
  if (error.status >= 500 && !REFUSED_WITH_5XX.has(error.code)) return null;
  const mapped = jsToClusterError(error, doing);
  if (mapped.code !== "STORE_UNAVAILABLE") return mapped;
  const text = `cannot ${doing}: ${error.message} (JetStream error ${error.code}); nothing was written`;
  return new ClusterError("STREAM_INCOMPATIBLE", text, { cause: error });
}

async function conflict(error: JsApiError, write: FailedWrite): Promise<ClusterError> {
  const { on, term, lane, doing, conditions } = write;
  const actual = sequenceIn(error);
  const index = Number(lane.subject.slice(on.fence.length + 1));
  const found = await readFence(on, index).catch(() => undefined);
  const moved = found !== undefined && !isOurs(found, term, lane);
  // Without another condition the answer alone proves the move, even if a lagging server still returns the old fence.
  const movedByAnswer = !conditions && actual !== null && actual !== lane.sequence;
  if (moved || movedByAnswer) {
    const detail = `fence sequence ${lane.sequence}, the stream has ${moved ? (found?.sequence ?? 0) : actual}`;
    return staleLeader(`stream ${on.stream}`, term, moved ? found : "unknown", { detail, cause: error });
  }
  const hint = conditions
    ? "a condition of the write does not hold"
    : "the fence has not moved: check whether a server of this cluster is older than 2.11";
  const why =
    error.code === IN_FLIGHT
      ? "another write under the same condition is in flight"
      : `${error.message} (${hint})`;
  return new ClusterError("CONFLICT", `cannot ${doing}: ${why}; nothing was written`, {
    cause: error,
    recoverable: true,
  });
}

function isOurs(found: FenceRecord | null, term: FenceTerm, lane: Lane): boolean {
  if (found === null) return false;
  return (
    found.sequence === lane.sequence && found.epoch === term.epoch && found.incarnation === term.incarnation
  );
}

/** The sequence in "wrong last sequence: 17". */
function sequenceIn(error: JsApiError): number | null {
  const match = /wrong last sequence: (\d+)/.exec(error.message);
  return match === null ? null : Number(match[1]);
}
