/** The protocol's only two kinds of write. Both are compare-and-set; there is no other way to change the bucket. */
import { emit, type Turn } from "./turn.ts";
import type { CrashDetection, Expectation, LeaseRecord, SessionBinding } from "./types.ts";

/** Unsettled writes remembered at once; an older one that turns up after all is overwritten instead of adopted. */
const MAX_SENT = 16;

export interface RecordWrite {
  readonly epoch: number;
  readonly acquiredAt: number;
  readonly expect: Expectation;
  readonly timeoutMs: number;
}

/** Hands a lease record to the store and remembers when. */
export function sendRecord(turn: Turn, kind: "acquire" | "renew", write: RecordWrite): void {
  const { config, binding, sent } = turn.state;
  const nonce = turn.state.nonce + 1;
  const record: LeaseRecord = {
    nodeId: config.nodeId,
    epoch: write.epoch,
    acquiredAt: write.acquiredAt,
    incarnation: config.incarnation,
    nonce,
    ttlMs: config.leaseTtlMs,
    ...(binding === null ? {} : { session: promised(config.crashDetection, binding) }),
  };
  turn.state.nonce = nonce;
  turn.state.inFlight = { nonce, kind };
  turn.state.sent = [...sent, { nonce, epoch: write.epoch, sentAt: turn.now, binding }].slice(-MAX_SENT);
  emit(turn, {
    type: "write",
    nonce,
    write: { kind: "put", record, expect: write.expect },
    timeoutMs: write.timeoutMs,
  });
}

/** A presence in the record is the promise to suspend without the connection: named only by those who keep it. */
function promised(crashDetection: CrashDetection, binding: SessionBinding): SessionBinding {
  const { serverId, clientId } = binding;
  return crashDetection === "presence" ? binding : { serverId, clientId };
}

export interface ReleaseWrite {
  readonly epoch: number;
  /** Our own revision: a release can never hit a successor's lease. */
  readonly revision: number;
  readonly timeoutMs: number;
  readonly successor?: string;
}

/** Asks the store to delete our own lease. */
export function sendRelease(turn: Turn, release: ReleaseWrite): void {
  const nonce = turn.state.nonce + 1;
  turn.state.nonce = nonce;
  turn.state.inFlight = { nonce, kind: "release" };
  emit(turn, {
    type: "write",
    nonce,
    write: {
      kind: "release",
      epoch: release.epoch,
      incarnation: turn.state.config.incarnation,
      expect: { revision: release.revision },
      ...(release.successor === undefined ? {} : { successor: release.successor }),
    },
    timeoutMs: release.timeoutMs,
  });
}

/** Does a record that names `named` tell all that others need to notice the end of the connection as it is now? */
export function saysAll(named: SessionBinding | null, now: SessionBinding | null): boolean {
  return sameBinding(named, now) && (now?.presence === undefined || named?.presence === now.presence);
}

/** Same connection, whatever became of its presence consumer. */
export function sameBinding(a: SessionBinding | null, b: SessionBinding | null): boolean {
  return a?.serverId === b?.serverId && a?.clientId === b?.clientId;
}
