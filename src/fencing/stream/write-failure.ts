/**
 * The `ClusterError` for a write that did not succeed. There are three kinds: refused for the rest of the term (`STALE_EPOCH`);
 * refused this time, with nothing written; unknown (`OUTCOME_UNKNOWN`: it may be applied now, later or never).
 */
import { ClusterError, messageOf } from "../../errors.ts";
import { isJsError, JsApiError, JsCode, jsToClusterError } from "../../nats/api/js-api.ts";
import { classify, failureToClusterError, RequestFailure } from "../../nats/api/request.ts";
import type { LaneRecord, RootRecord } from "../fence-record.ts";
import { staleLeader } from "../stale.ts";
import type { FenceTerm } from "../token.ts";
import type { GuardedStream } from "./guarded-stream.ts";
import { ForeignAnswer, IN_FLIGHT } from "./js-messages.ts";
import type { Lane } from "./lanes.ts";
import { readLane, readRoot } from "./read-fence.ts";
import { isFull } from "./take-fence.ts";

const ROLLUP_NOT_PERMITTED = 10111;

/** Refusals with a 5xx status that the server sends before it stores anything. */
const REFUSED_WITH_5XX: ReadonlySet<number> = new Set<number>([
  JsCode.accountResourcesExceeded,
  JsCode.insufficientResources,
  JsCode.memoryResourcesExceeded,
  JsCode.storageResourcesExceeded,
  ROLLUP_NOT_PERMITTED,
]);

/** The stream has a message with this `Nats-Msg-Id` already (a batch), or one in flight. */
const REPEATED_ID: readonly number[] = [10201, 10158];

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
  if (isJsError(thrown, JsCode.wrongLastSequence, IN_FLIGHT)) return conflict(thrown, write);
  return answerFailure(thrown, write);
}

/** What an answer says by itself. Pure. */
export function answerFailure(
  thrown: unknown,
  { on, doing }: Pick<FailedWrite, "doing"> & { readonly on: Pick<GuardedStream, "stream" | "what"> },
): ClusterError {
  if (thrown instanceof ClusterError) return thrown;
  // Two streams have the subject, such as those of two joined domains: this one may have stored the message, too.
  if (thrown instanceof ForeignAnswer) return unknownOutcome(thrown, `${doing}, a subject of ${on.what},`);
  const error =
    thrown instanceof JsApiError
      ? apiFailure(thrown, doing)
      : thrown instanceof RequestFailure
        ? requestFailure(thrown, doing)
        : null;
  return error ?? unknownOutcome(thrown, doing);
}

/** A message that nats.js refused to send. */
export function notSent(thrown: unknown, subject: string, doing: string): ClusterError {
  const failure = classify(subject, 0, thrown);
  if (failure.kind !== "failed") return failureToClusterError(failure, `${doing} (nothing was sent)`);
  return new ClusterError("INVALID_CONFIG", `cannot ${doing}: ${failure.message}; nothing was sent`, {
    cause: thrown,
  });
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
  return null;
}

/** `null`: the outcome is unknown. */
function apiFailure(error: JsApiError, doing: string): ClusterError | null {
  if (isFull(error)) {
    const text = `cannot ${doing}: the stream is full (${error.message}); nothing was written; remove messages or raise max_msgs or max_bytes`;
    return new ClusterError("INSUFFICIENT_RESOURCES", text, { cause: error, recoverable: true });
  }
  if (error.code === JsCode.messageExceedsMaximum) {
    const text = `cannot ${doing}: ${error.message}; nothing was written; write a smaller message or raise max_msg_size of the stream`;
    return new ClusterError("INVALID_CONFIG", text, { cause: error });
  }
  if (REPEATED_ID.includes(error.code)) {
    const text = `cannot ${doing}: ${error.message}, so this attempt wrote nothing, and an earlier attempt with the same Nats-Msg-Id may have; read before you repeat it`;
    return new ClusterError("OUTCOME_UNKNOWN", text, { cause: error, recoverable: true });
  }
  if (error.status >= 500 && !REFUSED_WITH_5XX.has(error.code)) return null;
  const mapped = jsToClusterError(error, doing);
  if (mapped.code !== "STORE_UNAVAILABLE") return mapped;
  const text = `cannot ${doing}: ${error.message} (JetStream error ${error.code}); nothing was written`;
  return new ClusterError("STREAM_INCOMPATIBLE", text, { cause: error });
}

async function conflict(error: JsApiError, write: FailedWrite): Promise<ClusterError> {
  const { on, lane } = write;
  const [root, found] = await Promise.all([
    readRoot(on).catch(() => "unknown" as const),
    readLane(on, lane.subject).catch(() => "unknown" as const),
  ]);
  return judgeConflict(error, write, { root, lane: found });
}

/** What was read of the fence after a refusal; `"unknown"`: it could not be read. */
export interface FenceNow {
  readonly root: RootRecord | null | "unknown";
  readonly lane: { readonly sequence: number; readonly record: LaneRecord | null } | null | "unknown";
}

/** Whether the fence has moved, or another condition did not hold. Pure. */
export function judgeConflict(
  error: JsApiError,
  {
    on,
    term,
    lane,
    doing,
    conditions,
  }: Omit<FailedWrite, "on"> & { readonly on: Pick<GuardedStream, "what"> },
  now: FenceNow,
): ClusterError {
  const actual = sequenceIn(error);
  const found = now.lane === "unknown" ? undefined : (now.lane?.sequence ?? 0);
  const moved = found !== undefined && found !== lane.sequence;
  // Without another condition the answer alone proves the move, even if a lagging server still returns the old fence.
  const movedByAnswer = !conditions && actual !== null && actual !== lane.sequence;
  if (moved || movedByAnswer) {
    const detail = `fence sequence ${lane.sequence}, the stream has ${moved ? found : actual}`;
    return staleLeader(on.what, term, holderOf(term, lane, now), { detail, cause: error });
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

/** The holder to name. A root that is still at the term itself says nothing: then the lane was moved, or purged, alone. */
function holderOf(term: FenceTerm, ours: Lane, { root, lane }: FenceNow): LaneRecord | null | "unknown" {
  if (root !== "unknown" && root !== null && !isOwn(root, term)) return root;
  if (lane === null) return null;
  return lane !== "unknown" && lane.record !== null && lane.sequence !== ours.sequence
    ? lane.record
    : "unknown";
}

function isOwn(record: LaneRecord, term: FenceTerm): boolean {
  return record.epoch === term.epoch && record.incarnation === term.incarnation;
}

/** The sequence in "wrong last sequence: 17". */
function sequenceIn(error: JsApiError): number | null {
  const match = /wrong last sequence: (\d+)/.exec(error.message);
  return match === null ? null : Number(match[1]);
}
