/** The two kinds of write. Both are compare-and-set; nothing else changes the bucket. */
import { sameConnection } from "../inquiry/rules.ts";
import { type Draft, emit, warn } from "./draft.ts";
import { isBound, isTooSlow } from "./silence.ts";
import { after } from "./time.ts";
import type { Expectation, LeaseRecord, OwnConnection, SentWrite, SessionBinding } from "./types.ts";

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
    ...(binding === null ? {} : { session: promised(draft, binding) }),
  };
  const promises = record.session?.silence !== undefined;
  const isDropped = !promises && isTooSlow(draft.link.lateProofs, config.silenceMs) && isLastPromise(draft);
  if (promises) beginStretch(draft);
  const stretch = draft.link.stretch?.number ?? 0;
  const sent = { nonce, epoch: write.epoch, sentAt: draft.now, binding, promises, stretch };
  draft.writes.lastNonce = nonce;
  draft.writes.inFlight = { nonce, kind };
  draft.writes.unsettled = [...withRoom(draft.writes.unsettled), sent];
  emit(draft, {
    type: "write",
    nonce,
    write: { kind: "put", record, expect: write.expect },
    timeoutMs: write.timeoutMs,
  });
  if (!isDropped) return;
  warn(
    draft,
    "SLOW_CONNECTION",
    `round trips to the server have become too long for silenceMs ${config.silenceMs}: no promise of silence while that lasts, and a silent leader is detected by its lease only; raise silenceMs, or connect to a closer server`,
  );
}

/** Does the newest record of the running term name the promise, whether its write is settled or not? */
function isLastPromise({ role, writes }: Draft): boolean {
  if (!("term" in role)) return false;
  return writes.unsettled.at(-1)?.promises ?? role.term.promises;
}

/** Forgets the oldest of too many. One that promises silence binds this node until its outcome is known, so another is forgotten first. */
function withRoom(unsettled: readonly SentWrite[]): readonly SentWrite[] {
  if (unsettled.length < MAX_UNSETTLED) return unsettled;
  const forgotten = unsettled.find(({ promises }) => !promises) ?? unsettled[0];
  return unsettled.filter((sent) => sent !== forgotten);
}

/** What a record names of the connection is a promise (`SessionBinding`): named only where it is kept. */
function promised(draft: Draft, { serverId, clientId, presence, account }: OwnConnection): SessionBinding {
  const { crashDetection, silenceMs } = draft.config;
  const canKeepSilence =
    crashDetection !== "lease" && silenceMs > 0 && !isTooSlow(draft.link.lateProofs, silenceMs);
  const isSilenceKept = canKeepSilence && account !== undefined;
  return {
    serverId,
    clientId,
    ...(crashDetection === "presence" && presence !== undefined ? { presence } : {}),
    ...(isSilenceKept ? { silence: { ms: silenceMs, account } } : {}),
  };
}

/**
 * From now on this node is held in a stretch only. A write that promises so begins one where none runs, or where nothing depends on
 * the one that does: no beats have been sent in it.
 */
function beginStretch(draft: Draft): void {
  if (draft.link.stretch !== null && isBound(draft)) return;
  draft.link.stretches += 1;
  draft.link.stretch = {
    number: draft.link.stretches,
    deadline: after(draft.now, draft.config.silenceMs),
  };
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
export function coversConnection(named: OwnConnection | null, present: OwnConnection | null): boolean {
  return (
    sameConnection(named, present) &&
    (present?.presence === undefined || named?.presence === present.presence) &&
    (present?.account === undefined || named?.account === present.account)
  );
}
