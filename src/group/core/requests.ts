/** Requests to the driver: every one has a number, and what it is about is remembered until its result is here. */
import { emit, type GroupState, type KeyReads, type PendingRead, type PendingWrite } from "./state.ts";
import type { Authorship, GroupKey, GroupRecord } from "./types.ts";

export interface WriteRequest {
  readonly key: GroupKey;
  readonly record: (authorship: Authorship) => GroupRecord;
  readonly expect: number;
  readonly pending: PendingWrite;
  readonly timeoutMs?: number;
}

export function keyName(key: GroupKey): string {
  if (key.kind === "session") return `session.${key.memberId}`;
  return key.kind === "owner" ? `owner.${key.resource}` : key.kind;
}

/** Sends one compare-and-set; returns its nonce. */
export function sendWrite(group: GroupState, request: WriteRequest): number {
  const { config, bucket } = group;
  if (bucket.generation === null) throw new Error("bug: a write without a bucket");
  group.lastNonce += 1;
  const nonce = group.lastNonce;
  const authorship: Authorship = {
    memberId: config.memberId,
    incarnation: config.incarnation,
    nonce,
    generation: bucket.generation,
    above: group.above,
  };
  group.writes.set(nonce, {
    key: request.key,
    pending: request.pending,
    reached: group.reached,
    known: group.knowing.sequence,
  });
  emit(group, {
    type: "write",
    nonce,
    write: { key: request.key, record: request.record(authorship), expect: request.expect },
    timeoutMs: request.timeoutMs ?? config.requestTimeoutMs,
  });
  return nonce;
}

/** Sends a read of one key at the stream leader. */
export function sendRead(group: GroupState, key: GroupKey, reads: KeyReads, pending: PendingRead): void {
  group.lastRequest += 1;
  reads.due = false;
  reads.inFlight = true;
  group.readsInFlight.set(group.lastRequest, { pending, reached: group.reached });
  emit(group, {
    type: "read",
    request: group.lastRequest,
    key,
    timeoutMs: group.config.requestTimeoutMs,
  });
}

/** Can requests be sent? */
export function isReady({ link, bucket }: GroupState): boolean {
  return link.connected && bucket.status === "open";
}

/** What is known may be lost: everything is read once more. */
export function readAgain(group: GroupState): void {
  if (group.knowing.doubted) return;
  group.knowing.doubted = true;
  bulkReadBy(group, group.now.mono + group.config.retryDelayMs, group.knowing.sequence + 1);
}

/** Everything up to this sequence must be known by then. */
export function bulkReadBy({ knowing }: GroupState, atMono: number, sequence: number): void {
  knowing.mustKnow = Math.max(knowing.mustKnow, sequence);
  if (atMono < knowing.readAtMono) {
    knowing.readAtMono = atMono;
    knowing.dueFor = sequence;
  }
}
