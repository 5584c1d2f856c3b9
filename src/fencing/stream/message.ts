/** What a fenced writer is asked to write. */
import type { MsgHdrs } from "@nats-io/transport-node";

export type Payload = Uint8Array | string;

export interface WriteOptions {
  /** Sent along. Names that begin with `Nats-Expected-` or `Nats-Batch-` are this library's. */
  readonly headers?: MsgHdrs;
  /**
   * Second condition: the subject's own last sequence, 0 for none. Takes an atomic batch, so a server from 2.12 on and
   * a stream with `allow_atomic`; rejects with `SERVER_TOO_OLD` or `STREAM_INCOMPATIBLE` elsewhere.
   */
  readonly expectLast?: number;
  /** Second condition: the whole stream's last sequence. Works on every server that can fence. */
  readonly expectStreamLast?: number;
  /** Longest wait for the answer, after which the outcome is unknown. Default: the stream's `timeoutMs`. */
  readonly timeoutMs?: number;
  /** Aborted before the write is sent: `ABORTED`, nothing is written. After that: `OUTCOME_UNKNOWN`. */
  readonly signal?: AbortSignal;
}

/** A message to write. */
export interface FencedMessage {
  readonly subject: string;
  readonly data?: Payload;
  readonly options?: WriteOptions;
}
