/**
 * A takeover: every lane of the fence is moved by compare-and-set, lane 0 first. When it resolves, the server accepts no write
 * of an earlier term any more, however late it arrives.
 */
import { setMaxListeners } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { headers, type MsgHdrs } from "@nats-io/transport-node";
import { ClusterError } from "../../errors.ts";
import { isJsError, JsApiError, JsCode, jsToClusterError } from "../../nats/api/js-api.ts";
import { RequestFailure, request } from "../../nats/api/request.ts";
import { getMessage } from "../../nats/api/stored-message.ts";
import { decodeFence, encodeFence, type FenceRecord, fenceMove, lanesToMove } from "../fence-record.ts";
import { staleLeader } from "../stale.ts";
import { EPOCH_HEADER, type FenceTerm } from "../token.ts";
import type { GuardedStream } from "./guarded-stream.ts";
import { IN_FLIGHT, parsePubAck } from "./js-messages.ts";
import type { Lane } from "./lanes.ts";
import { laneSubject } from "./names.ts";

export const EXPECTED_ON_SUBJECT = "Nats-Expected-Last-Subject-Sequence";
export const EXPECTED_SUBJECT = "Nats-Expected-Last-Subject-Sequence-Subject";

const RETRY_MS = 20;

export interface TakeOptions {
  /** Limit for the whole takeover. Failed attempts are repeated until then, because a leader without the fence cannot write. */
  readonly timeoutMs: number;
  /** Of this call alone. */
  readonly signal: AbortSignal;
}

/** Rejects with `STALE_EPOCH`, `ABORTED`, an error that a repetition cannot cure, or the last failure after `timeoutMs`. */
export async function takeFence(
  on: GuardedStream,
  term: FenceTerm,
  options: TakeOptions,
): Promise<readonly Lane[]> {
  const deadline = performance.now() + options.timeoutMs;
  const { signal } = options;
  setMaxListeners(0, signal); // each lane adds a listener, and removes it
  const bounds = { deadline, signal };
  const first = await takeLane(on, term, 0, on.lanes, bounds);
  const others = await Promise.all(
    Array.from({ length: first.lanes - 1 }, (_, i) => takeLane(on, term, i + 1, first.lanes, bounds)),
  );
  return [first, ...others].map((record, i) => lane(laneSubject(on.fence, i), record.sequence, term));
}

interface Bounds {
  /** Monotonic milliseconds. */
  readonly deadline: number;
  readonly signal: AbortSignal;
}

async function takeLane(
  on: GuardedStream,
  term: FenceTerm,
  index: number,
  lanes: number,
  { deadline, signal }: Bounds,
): Promise<FenceRecord> {
  const doing = `move the fence of stream ${on.stream} to epoch ${term.epoch}`;
  for (;;) {
    if (signal.aborted) {
      throw new ClusterError("ABORTED", `${doing}: aborted`, { cause: signal.reason });
    }
    try {
      const found = await readFence(on, index, signal);
      const move = fenceMove(found, term);
      if (found !== null && move === "stale") throw staleLeader(`stream ${on.stream}`, term, found);
      if (found !== null && move === "keep") return found;
      const moved = await moveLane(on, term, index, lanesToMove(found, lanes), found?.sequence ?? 0, signal);
      if (moved !== null) return moved;
    } catch (thrown) {
      if (isFinal(thrown) || performance.now() + RETRY_MS >= deadline) throw jsToClusterError(thrown, doing);
    }
    // Another term moved the lane, or the outcome of this move is unknown: the next read decides.
    if (performance.now() + RETRY_MS >= deadline) {
      throw new ClusterError("CONFLICT", `cannot ${doing}: other terms moved it at every attempt`, {
        recoverable: true,
      });
    }
    await pause(RETRY_MS, undefined, { signal }).catch(() => {});
  }
}

/** The lane, read from the stream's leader; `null`: it is vacant. Rejects with `STREAM_INCOMPATIBLE` if the message is not a fence. */
export async function readFence(
  on: GuardedStream,
  index: number,
  signal?: AbortSignal,
): Promise<FenceRecord | null> {
  const subject = laneSubject(on.fence, index);
  const options = { timeoutMs: on.timeoutMs, ...(signal === undefined ? {} : { signal }) };
  const message = await getMessage(on.monitor, on.stream, { last_by_subj: subject }, options);
  if (message === null) return null;
  const record = decodeFence(message);
  if (record !== null) return record;
  throw new ClusterError(
    "STREAM_INCOMPATIBLE",
    `message ${message.sequence} on ${subject} in stream ${on.stream} is not a fence: purge this subject while no leader runs`,
  );
}

/** `null`: the lane is not at the expected sequence, or a write on it is in flight. */
async function moveLane(
  on: GuardedStream,
  term: FenceTerm,
  index: number,
  lanes: number,
  expected: number,
  signal: AbortSignal,
): Promise<FenceRecord | null> {
  const subject = laneSubject(on.fence, index);
  const { data, headers: fields } = encodeFence(term, lanes);
  const hdrs = headers();
  for (const [name, value] of fields) hdrs.set(name, value);
  // 0 is safe here: the condition is on the written subject itself, which servers of all versions compare.
  hdrs.set(EXPECTED_ON_SUBJECT, String(expected));
  if (on.neverExpires) hdrs.set("Nats-TTL", "never");
  // Lane 0 keeps its earlier messages as a history of the leaders; of the other lanes only the last message matters.
  if (on.rollup && index > 0) hdrs.set("Nats-Rollup", "sub");
  const options = { timeoutMs: on.timeoutMs, headers: hdrs, signal };
  try {
    const answer = await request(on.monitor, subject, data, options);
    const { sequence } = parsePubAck(answer.data, on.stream, subject);
    const { epoch, nodeId, incarnation } = term;
    return { epoch, nodeId, incarnation, lanes, sequence };
  } catch (thrown) {
    if (isJsError(thrown, JsCode.wrongLastSequence, IN_FLIGHT)) return null;
    throw thrown;
  }
}

/** The condition "the fence has not moved" as headers. They are encoded once; nats.js would encode them for every message. */
export function lane(subject: string, sequence: number, term: FenceTerm): Lane {
  const hdrs = headers();
  hdrs.set(EXPECTED_ON_SUBJECT, String(sequence));
  hdrs.set(EXPECTED_SUBJECT, subject);
  hdrs.set(EPOCH_HEADER, String(term.epoch));
  return { subject, sequence, headers: encodedOnce(hdrs) };
}

function encodedOnce(hdrs: MsgHdrs): MsgHdrs {
  const { encode } = hdrs as MsgHdrs & { encode?: () => Uint8Array };
  if (typeof encode !== "function") return hdrs;
  const bytes = encode.call(hdrs);
  return Object.defineProperty(hdrs, "encode", { value: () => bytes });
}

/** True if a repetition cannot succeed. */
function isFinal(thrown: unknown): boolean {
  if (thrown instanceof ClusterError) return !thrown.recoverable;
  if (thrown instanceof RequestFailure) return thrown.kind === "denied" || thrown.kind === "aborted";
  return thrown instanceof JsApiError && thrown.status >= 400 && thrown.status < 500;
}
