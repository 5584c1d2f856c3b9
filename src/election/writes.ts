/** The two kinds of write. Both are compare-and-set; nothing else changes the bucket. */
import { type Draft, emit } from "./draft.ts";
import type { CrashDetection, Expectation, LeaseRecord, SessionBinding } from "./types.ts";

/** Unsettled writes remembered at once. A forgotten one that is applied after all is overwritten instead of adopted. */
const MAX_UNSETTLED = 16;

export interface RecordWrite {
  readonly epoch: number;
  readonly acquiredAt: number;
  readonly expect: Expectation;
  readonly timeoutMs: number;
}

/** Sends a lease record and remembers when it was sent. */
export function sendRecord(draft: Draft, kind: "acquire" | "renew", write: RecordWrite): void {
  const { config } = draft;
  const { binding } = draft.link;
  const nonce = draft.writes.lastNonce + 1;
  const record: LeaseRecord = {
    nodeId: config.nodeId,
    epoch: write.epoch,
    acquiredAt: write.acquiredAt,
    incarnation: config.incarnation,
    nonce,
    ttlMs: config.leaseTtlMs,
    ...(binding === null ? {} : { session: promised(config.crashDetection, binding) }),
  };
  const sent = { nonce, epoch: write.epoch, sentAt: draft.now, binding };
  draft.writes.lastNonce = nonce;
  draft.writes.inFlight = { nonce, kind };
  draft.writes.unsettled = [...draft.writes.unsettled, sent].slice(-MAX_UNSETTLED);
  emit(draft, {
    type: "write",
    nonce,
    write: { kind: "put", record, expect: write.expect },
    timeoutMs: write.timeoutMs,
  });
}

/** A presence in a record promises that its holder suspends itself on disconnect: named only where that is so. */
function promised(crashDetection: CrashDetection, binding: SessionBinding): SessionBinding {
  const { serverId, clientId } = binding;
  return crashDetection === "presence" ? binding : { serverId, clientId };
}

export interface ReleaseWrite {
  readonly epoch: number;
  /** Our own revision: a release never deletes a successor's lease. */
  readonly revision: number;
  readonly timeoutMs: number;
  readonly successor?: string;
}

/** Sends the deletion of our own lease. */
export function sendRelease(draft: Draft, release: ReleaseWrite): void {
  const nonce = draft.writes.lastNonce + 1;
  draft.writes.lastNonce = nonce;
  draft.writes.inFlight = { nonce, kind: "release" };
  emit(draft, {
    type: "write",
    nonce,
    write: {
      kind: "release",
      epoch: release.epoch,
      incarnation: draft.config.incarnation,
      expect: { revision: release.revision },
      ...(release.successor === undefined ? {} : { successor: release.successor }),
    },
    timeoutMs: release.timeoutMs,
  });
}

/** Can others detect the end of the present connection from a record that names `named`? */
export function coversBinding(named: SessionBinding | null, present: SessionBinding | null): boolean {
  return (
    sameBinding(named, present) && (present?.presence === undefined || named?.presence === present.presence)
  );
}

/** The same connection; its presence consumer may be another one. */
export function sameBinding(a: SessionBinding | null, b: SessionBinding | null): boolean {
  return a?.serverId === b?.serverId && a?.clientId === b?.clientId;
}
