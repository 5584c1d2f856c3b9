/**
 * A take-over: every lane of the fence is moved by compare-and-set, lane 0 first. When it resolves, no write under an
 * earlier fence can be accepted any more, however late it arrives.
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
  /** The whole take-over; it is tried again until then, because leading without the fence is of no use. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

/** Rejects with `STALE_EPOCH`; `ABORTED`; or, at the end of the time, with what went wrong last. */
export async function takeFence(
  on: GuardedStream,
  term: FenceTerm,
  options: TakeOptions,
): Promise<readonly Lane[]> {
  const deadline = performance.now() + options.timeoutMs;
  const signal = options.signal === undefined ? undefined : AbortSignal.any([options.signal]);
  if (signal !== undefined) setMaxListeners(0, signal); // a listener for each lane is no leak
  const limits = { deadline, signal };
  const first = await takeLane(on, term, 0, on.lanes, limits);
  const others = await Promise.all(
    Array.from({ length: first.lanes - 1 }, (_, i) => takeLane(on, term, i + 1, first.lanes, limits)),
  );
  return [first, ...others].map((record, i) => lane(laneSubject(on.fence, i), record.sequence, term));
}

interface Limits {
  readonly deadline: number;
  readonly signal: AbortSignal | undefined;
}

async function takeLane(
  on: GuardedStream,
  term: FenceTerm,
  index: number,
  lanes: number,
  limits: Limits,
): Promise<FenceRecord> {
  const doing = `move the fence of stream ${on.stream} to epoch ${term.epoch}`;
  for (;;) {
    if (limits.signal?.aborted === true) {
      throw new ClusterError("ABORTED", `${doing}: aborted`, { cause: limits.signal.reason });
    }
    try {
      const found = await readFence(on, index, limits.signal);
      const move = fenceMove(found, term);
      if (found !== null && move === "stale") throw staleLeader(`stream ${on.stream}`, term, found);
      if (found !== null && move === "keep") return found;
      const moved = await moveLane(
        on,
        term,
        index,
        lanesToMove(found, lanes),
        found?.sequence ?? 0,
        limits.signal,
      );
      if (moved !== null) return moved;
    } catch (thrown) {
      if (isFinal(thrown) || performance.now() + RETRY_MS >= limits.deadline)
        throw jsToClusterError(thrown, doing);
    }
    // Somebody else moved it, or our own move has an unknown outcome: the next read tells.
    if (performance.now() + RETRY_MS >= limits.deadline) {
      throw new ClusterError("CONFLICT", `cannot ${doing}: others keep moving it`, { recoverable: true });
    }
    await pause(RETRY_MS, undefined, { signal: limits.signal }).catch(() => {});
  }
}

/** The lane as the stream's leader has it; `null`: it was never moved. Rejects with `STREAM_INCOMPATIBLE` for garbage. */
export async function readFence(
  on: GuardedStream,
  index: number,
  signal?: AbortSignal,
): Promise<FenceRecord | null> {
  const subject = laneSubject(on.fence, index);
  const limits = { timeoutMs: on.timeoutMs, ...(signal === undefined ? {} : { signal }) };
  const message = await getMessage(on.monitor, on.stream, { last_by_subj: subject }, limits);
  if (message === null) return null;
  const record = decodeFence(message);
  if (record !== null) return record;
  throw new ClusterError(
    "STREAM_INCOMPATIBLE",
    `message ${message.sequence} on ${subject} in stream ${on.stream} is not a fence; purge that subject when no leader runs`,
  );
}

/** `null`: the lane is not at the expected sequence any more, or a write on it is in flight. */
async function moveLane(
  on: GuardedStream,
  term: FenceTerm,
  index: number,
  lanes: number,
  expected: number,
  signal: AbortSignal | undefined,
): Promise<FenceRecord | null> {
  const subject = laneSubject(on.fence, index);
  const { data, headers: fields } = encodeFence(term, lanes);
  const hdrs = headers();
  for (const [name, value] of fields) hdrs.set(name, value);
  // 0 is safe here, where the condition is on the very subject: no version takes it for another one.
  hdrs.set(EXPECTED_ON_SUBJECT, String(expected));
  if (on.neverExpires) hdrs.set("Nats-TTL", "never");
  // Lane 0 keeps its history, which tells who led when; of the others only the last message matters.
  if (on.rollup && index > 0) hdrs.set("Nats-Rollup", "sub");
  const limits = { timeoutMs: on.timeoutMs, headers: hdrs, ...(signal === undefined ? {} : { signal }) };
  try {
    const answer = await request(on.monitor, subject, data, limits);
    const { sequence } = parsePubAck(answer.data, on.stream, subject);
    const { epoch, nodeId, incarnation } = term;
    return { epoch, nodeId, incarnation, lanes, sequence };
  } catch (thrown) {
    if (isJsError(thrown, JsCode.wrongLastSequence, IN_FLIGHT)) return null;
    throw thrown;
  }
}

/** The condition "the fence has not moved" as headers. Encoded once: nats.js would do it anew for every message. */
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

/** Trying again can't help. */
function isFinal(thrown: unknown): boolean {
  if (thrown instanceof ClusterError) return !thrown.recoverable;
  if (thrown instanceof RequestFailure) return thrown.kind === "denied" || thrown.kind === "aborted";
  return thrown instanceof JsApiError && thrown.status >= 400 && thrown.status < 500;
}
