/** The messages and options of a fenced writer, and their checks. */
import type { MsgHdrs } from "@nats-io/transport-node";
import { ClusterError } from "../../errors.ts";

/** A string is encoded as UTF-8. */
export type Payload = Uint8Array | string;

export interface WriteOptions {
  /**
   * Headers of the message. Names that begin with `Nats-Expected-` or `Nats-Batch-` are reserved and not sent.
   *
   * @default none, besides those of the fence
   */
  readonly headers?: MsgHdrs;
  /**
   * Second condition: the last sequence of the message's own subject, 0 if it has no message. It is sent as an atomic batch, so it
   * needs nats-server 2.12 or later and a stream with `allow_atomic`; otherwise the write rejects with `SERVER_TOO_OLD` or
   * `STREAM_INCOMPATIBLE`.
   */
  readonly expectLast?: number;
  /** Second condition: the last sequence of the whole stream. Works on every server that can fence. Not in a batch. */
  readonly expectStreamLast?: number;
  /**
   * Longest wait for the answer, in milliseconds. After that the outcome is unknown.
   *
   * @default `timeoutMs` of `FencedStream.connect` or `FencedKv.connect`
   */
  readonly timeoutMs?: number;
  /** Aborts the write: with `ABORTED` and without an effect before it is sent, with `OUTCOME_UNKNOWN` after that. */
  readonly signal?: AbortSignal;
}

/** A message to write. */
export interface FencedMessage {
  readonly subject: string;
  /** @default empty */
  readonly data?: Payload;
  readonly options?: WriteOptions;
}

/** Throws `INVALID_CONFIG` for options that are none, and for a condition that no sequence can fulfil. */
export function checkOptions(options: WriteOptions): void {
  if (typeof options !== "object" || options === null)
    throw new ClusterError("INVALID_CONFIG", `the options of a write are ${options}: they must be an object`);
  for (const name of ["expectLast", "expectStreamLast"] as const) {
    const value = options[name];
    if (value === undefined || (Number.isSafeInteger(value) && value >= 0)) continue;
    throw new ClusterError("INVALID_CONFIG", `${name} is ${value}: it must be a sequence, or 0`);
  }
}

/** Throws `INVALID_CONFIG` for what is no list of objects. */
export function checkList(what: string, list: readonly unknown[]): void {
  if (!Array.isArray(list))
    throw new ClusterError("INVALID_CONFIG", `${what} is ${list}: it must be an array`);
  const wrong = list.findIndex((item) => typeof item !== "object" || item === null);
  if (wrong < 0) return;
  throw new ClusterError("INVALID_CONFIG", `${what}[${wrong}] is ${list[wrong]}: it must be an object`);
}
