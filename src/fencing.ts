/**
 * nats-leader/fencing: stores that refuse a deposed leader, whatever it believes.
 *
 * The lease makes two leaders unlikely; only the resource itself can make a late write impossible. Here are resources
 * that do: a JetStream stream, a key-value bucket, PostgreSQL, and a fence for receivers of your own.
 */
export { ClusterError } from "./errors.ts";
export type { Fence } from "./fencing/fence.ts";
export { MemoryFence } from "./fencing/fence.ts";
export type { FencedKvOptions, FencedKvWriter, KvChange, KvEntry } from "./fencing/kv/fenced-kv.ts";
export { FencedKv } from "./fencing/kv/fenced-kv.ts";
export type { KvFenceOptions } from "./fencing/kv/kv-fence.ts";
export { KvFence } from "./fencing/kv/kv-fence.ts";
export type { Fenceable, FenceableRequest, FencedOptions } from "./fencing/middleware.ts";
export {
  fencedCallback,
  fencedEndpoint,
  fencedMessages,
  STALE_STATUS,
  throwIfRefused,
} from "./fencing/middleware.ts";
export type { PostgresFenceOptions, SqlClient, SqlRunner, SqlStatement } from "./fencing/postgres.ts";
export { PostgresFence } from "./fencing/postgres.ts";
export { StaleEpochError } from "./fencing/stale.ts";
export type {
  FencedStreamOptions,
  FenceHolder,
  OpenOptions,
  OpenTerm,
} from "./fencing/stream/fenced-stream.ts";
export { FencedStream } from "./fencing/stream/fenced-stream.ts";
export type {
  BatchWritten,
  FencedWriter,
  WriteOutcome,
  Written,
} from "./fencing/stream/fenced-writer.ts";
export type { FencedMessage, Payload, WriteOptions } from "./fencing/stream/message.ts";
export type { FencedLimits } from "./fencing/stream/open-guarded.ts";
export type { FenceTerm, HttpHeaders, NatsHeaders, TokenSource } from "./fencing/token.ts";
export {
  EPOCH_HEADER,
  httpHeaders,
  natsHeaders,
  parseToken,
  tokenFromHttp,
  tokenFromNats,
  tokenOf,
} from "./fencing/token.ts";
export type { FencedHooks, FenceTarget } from "./fencing/with-fence.ts";
export { withFence } from "./fencing/with-fence.ts";
