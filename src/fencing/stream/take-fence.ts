/**
 * A takeover: the root of the fence is moved by compare-and-set, then every lane. When it resolves, the server accepts no write of
 * an earlier term any more, however late it arrives.
 *
 * A takeover can be frozen between any two requests, and the fence or its stream be removed and taken by a later term. It then fails:
 * the lanes existed before it moved the root, and it never creates one after that. In the stream as it was, the compare-and-set of its
 * root fails. In a stream that was created again, sequences repeat and it can succeed; its lanes do not exist there, and the plan
 * that it then makes finds the lanes of the later term.
 */
import { randomInt } from "node:crypto";
import { setMaxListeners } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { headers, type MsgHdrs } from "@nats-io/transport-node";
import { ClusterError, messageOf } from "../../errors.ts";
import { isJsError, JsApiError, JsCode, jsToClusterError } from "../../nats/api/js-api.ts";
import { RequestFailure, request } from "../../nats/api/request.ts";
import {
  type EncodedRecord,
  encodeLane,
  encodeRoot,
  fenceMove,
  foreignCluster,
  type LaneRecord,
  planTake,
  type RootRecord,
  strayLanes,
  type TakePlan,
} from "../fence-record.ts";
import { staleLeader } from "../stale.ts";
import { EPOCH_HEADER, type FenceTerm } from "../token.ts";
import type { GuardedStream } from "./guarded-stream.ts";
import { IN_FLIGHT, parsePubAck } from "./js-messages.ts";
import type { Lane } from "./lanes.ts";
import { guardSubject, laneSubject, rootSubject } from "./names.ts";
import { fenceSubjects, findRoot, inspect, readLane } from "./read-fence.ts";

export const EXPECTED_ON_SUBJECT = "Nats-Expected-Last-Subject-Sequence";
export const EXPECTED_SUBJECT = "Nats-Expected-Last-Subject-Sequence-Subject";

const RETRY_MS = 20;
const REPLICATED_LANES = 64;

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
  const { signal } = options;
  setMaxListeners(0, signal); // each lane adds a listener, and removes it
  const take = { on, term, signal, deadline: performance.now() + options.timeoutMs };
  const freshId = newId();
  return repeat(take, () => attempt(take, freshId));
}

interface Take {
  readonly on: GuardedStream;
  readonly term: FenceTerm;
  readonly signal: AbortSignal;
  /** Monotonic milliseconds. */
  readonly deadline: number;
}

/** `null`: the fence was changed by another client while it was taken. */
async function attempt(take: Take, freshId: string): Promise<readonly Lane[] | null> {
  const { on, term, signal } = take;
  const [root, before] = await Promise.all([
    findRoot(on, signal),
    fenceSubjects(on, signal),
    inspect(on, signal), // the limits of the stream may have changed since it was opened
  ]);
  const plan = planOf(take, root?.record ?? null, before, freshId);
  const own = lanesOf(on, plan);
  // Before the root is moved: as long as it is not, an attempt that is interrupted here will be repeated by the next leader.
  await moveAll(take, strays(on, before, own));
  if (plan.begins) await Promise.all(own.map((subject) => takeLane(take, subject, "create")));
  if (plan.root === "move") {
    const record = encodeRoot(term, plan);
    const moved = await write(take, rootSubject(on.fence), record, root?.sequence ?? 0, false);
    if (moved === null) return null;
  }
  // After it: a takeover that was under way may have added some. Later ones fail, because the root has moved.
  const after = await fenceSubjects(on, signal);
  await moveAll(take, strays(on, after, own));
  const sequences = await moveAll(take, own);
  if (sequences.includes(MISSING)) return null;
  return own.map((subject, i) => lane(subject, sequences[i] ?? MISSING, term));
}

/** Throws for a term that may not have the fence. */
function planOf(
  { on, term }: Take,
  found: RootRecord | null,
  subjects: readonly string[],
  freshId: string,
): TakePlan {
  refuseForeign(on, term, found);
  const existing = new Set(subjects);
  const named = found === null || found.id === null ? [] : lanesOf(on, { id: found.id, lanes: found.lanes });
  const intact = named.every((subject) => existing.has(subject));
  const wanted = on.wantedLanes ?? (on.config.replicated ? REPLICATED_LANES : 1);
  const plan = planTake(found, term, { wanted, intact, freshId });
  if (plan === null) throw staleLeader(on.what, term, found);
  return plan;
}

function lanesOf(on: GuardedStream, { id, lanes }: Pick<TakePlan, "id" | "lanes">): readonly string[] {
  return Array.from({ length: lanes }, (_, i) => laneSubject(on.fence, id, i));
}

function strays(on: GuardedStream, subjects: readonly string[], own: readonly string[]): readonly string[] {
  const known = { root: rootSubject(on.fence), guard: guardSubject(on.fence), own: new Set(own) };
  return strayLanes(subjects, known);
}

function moveAll(take: Take, subjects: readonly string[]): Promise<number[]> {
  return Promise.all(subjects.map((subject) => takeLane(take, subject, "move")));
}

/** No sequence: the lane has no message. */
const MISSING = 0;

/** Resolves with the sequence of the lane, or with `MISSING` unless it may be created. */
async function takeLane(take: Take, subject: string, may: "move" | "create"): Promise<number> {
  const { on, term, signal } = take;
  return repeat(take, async () => {
    const found = await readLane(on, subject, signal);
    if (found === null && may === "move") return MISSING;
    const record = found?.record ?? null;
    refuseForeign(on, term, record);
    const move = fenceMove(record, term);
    if (move === "stale") throw staleLeader(on.what, term, record);
    if (record !== null && move === "keep") return record.sequence;
    return write(take, subject, encodeLane(term), found?.sequence ?? MISSING, on.config.rollup);
  });
}

/** Calls `attempt` until it resolves with a value. `null`: another term was faster, or the outcome is unknown. */
async function repeat<T>(take: Take, attempt: () => Promise<T | null>): Promise<T> {
  const { on, term, signal, deadline } = take;
  const doing = `move the fence of ${on.what} to epoch ${term.epoch}`;
  for (;;) {
    if (signal.aborted) {
      throw new ClusterError("ABORTED", `${doing}: aborted`, { cause: signal.reason });
    }
    try {
      const done = await attempt();
      if (done !== null) return done;
    } catch (thrown) {
      if (isFinal(thrown) || performance.now() + RETRY_MS >= deadline)
        throw takeFailure(thrown, doing, on.what);
    }
    // The next read decides.
    if (performance.now() + RETRY_MS >= deadline) {
      throw new ClusterError("CONFLICT", `cannot ${doing}: other terms moved it at every attempt`, {
        recoverable: true,
      });
    }
    await pause(RETRY_MS, undefined, { signal }).catch(() => {});
  }
}

/** The sequence of the record; `null`: the subject is not at the expected sequence, or a write on it is in flight. */
async function write(
  take: Take,
  subject: string,
  record: EncodedRecord,
  expected: number,
  rollup: boolean,
): Promise<number | null> {
  const { on, signal } = take;
  const hdrs = headers();
  for (const [name, value] of record.headers) hdrs.set(name, value);
  // 0 is safe here: the condition is on the written subject itself, which servers of all versions compare.
  hdrs.set(EXPECTED_ON_SUBJECT, String(expected));
  if (on.config.msgTtl) hdrs.set("Nats-TTL", "never");
  // The root keeps its earlier messages as a history of the leaders. An earlier message of a lane must not become its newest again.
  if (rollup) hdrs.set("Nats-Rollup", "sub");
  const options = { timeoutMs: on.timeoutMs, headers: hdrs, signal };
  try {
    const answer = await request(on.monitor, subject, record.data, options);
    return parsePubAck(answer.data, on.stream, subject).sequence;
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

/** The headers must not be modified afterwards. */
export function encodedOnce(hdrs: MsgHdrs): MsgHdrs {
  const { encode } = hdrs as MsgHdrs & { encode?: () => Uint8Array };
  if (typeof encode !== "function") return hdrs;
  const bytes = encode.call(hdrs);
  return Object.defineProperty(hdrs, "encode", { value: () => bytes });
}

const ID_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** About 60 random bits. Short, because it is in every write. */
function newId(): string {
  return Array.from({ length: 10 }, () => ID_CHARACTERS[randomInt(ID_CHARACTERS.length)]).join("");
}

/** Before the epochs are compared: those of two clusters cannot be. */
function refuseForeign(on: GuardedStream, term: FenceTerm, found: LaneRecord | null): void {
  const cluster = foreignCluster(found, term);
  if (cluster === null) return;
  throw new ClusterError(
    "STREAM_INCOMPATIBLE",
    `${on.what} is fenced by cluster "${cluster}", so a term of cluster "${term.clusterId}" cannot open it: epochs of two clusters cannot be compared. Give each cluster, and each resource of a group, a fence of its own; to hand the stream over, purge ${on.fence}.> while no node of cluster "${cluster}" runs`,
  );
}

function takeFailure(thrown: unknown, doing: string, what: string): ClusterError {
  if (isJsError(thrown, JsCode.streamNotFound)) {
    const text = `cannot ${doing}: ${what} does not exist any more`;
    return new ClusterError("STREAM_INCOMPATIBLE", text, { cause: thrown });
  }
  const error = jsToClusterError(thrown, doing);
  if (!isFull(thrown)) return error;
  return new ClusterError(
    "INSUFFICIENT_RESOURCES",
    `cannot ${doing}: the stream is full (${messageOf(thrown)}), so no leader can write to it; remove messages or raise max_msgs or max_bytes`,
    { cause: thrown, recoverable: true },
  );
}

/** A refusal by `discard: new`. Nothing was stored. */
export function isFull(thrown: unknown): boolean {
  return (
    isJsError(thrown, JsCode.streamMaxBytesExceeded) ||
    (isJsError(thrown, JsCode.streamStoreFailed) && /maximum (messages|bytes)/i.test(thrown.message))
  );
}

/** True if a repetition cannot succeed. */
function isFinal(thrown: unknown): boolean {
  if (thrown instanceof ClusterError) return !thrown.recoverable;
  if (thrown instanceof RequestFailure) return thrown.kind === "denied" || thrown.kind === "aborted";
  return thrown instanceof JsApiError && thrown.status >= 400 && thrown.status < 500;
}
