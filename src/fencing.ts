/**
 * nats-leader/fencing: resources that refuse the late writes of a deposed leader.
 *
 * What the lease guarantees, under the assumptions in the README ("What is guaranteed"): the periods in which two nodes are
 * *held* never overlap. `term.held` is a statement about the moment of the check. A process that is frozen between this check
 * and its write still sends the write when it resumes, and another node may lead by then. No lease can prevent that.
 *
 * What only the resource can guarantee: a late write is not applied. For this it compares fencing tokens. Once the fence is at
 * a term's epoch, the resource refuses every fenced write of an earlier term, whatever the clocks show and however late the
 * write arrives. This holds while all writers use the fence and the resource loses no data that it has acknowledged.
 *
 * This entry has fences for JetStream streams, key-value buckets, PostgreSQL, and services that receive messages.
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
export type { PostgresFenceOptions, TakeTerm } from "./fencing/postgres/postgres-fence.ts";
export { PostgresFence } from "./fencing/postgres/postgres-fence.ts";
export type {
  ClientOf,
  PooledSqlClient,
  SqlClient,
  SqlPool,
  SqlRunner,
  SqlStatement,
} from "./fencing/postgres/sql-client.ts";
export type { TransactionOptions } from "./fencing/postgres/transaction.ts";
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
  CLUSTER_HEADER,
  clusterIdFromHttp,
  clusterIdFromNats,
  EPOCH_HEADER,
  httpHeaders,
  natsHeaders,
  parseToken,
  tokenFromHttp,
  tokenFromNats,
  tokenOf,
} from "./fencing/token.ts";
export type {
  FencedGroupHooks,
  FencedHooks,
  FenceTarget,
  ResourceFenceTarget,
} from "./fencing/with-fence.ts";
export { withFence, withGroupFence } from "./fencing/with-fence.ts";
