/**
 * Silence: how a leader that has vanished without closing its connection is replaced long before its lease expires.
 *
 * F is the holder's `silenceMs`, as its record names it. The holder sends a beat to itself, through its server, every F / 8
 * (`src/runtime/beats.ts`). A beat is *proven* by the echo of a later one: a beat that is sent after an echo has arrived is read by
 * the server after the earlier beat was counted. A *stretch* begins with the send of a lease write and lasts until F after the send
 * of the newest proven beat, or of that write if none is proven yet. The holder is held only in a stretch. Once that has ended, only
 * the ack of a write that was sent in the next one makes it held again.
 *
 *   holder     beat  beat  beat (the last one that is counted)
 *   ------------|-----|-----|---------------------------|---------------------------> time
 *                            <----------- F ----------->  stretch over: suspended
 *   server                     count n          count n                  count n
 *   follower            q1 -------|                                 |------- q2: same count: takeover by compare-and-set
 *                                  <------- F + margin -------------->
 *
 * WHY NEVER TWO LEADERS. Let the server answer a follower's two questions about revision r, both asked after r was received, with the
 * same count, and let the second be asked F + margin after the first answer was received. Every proven beat was counted between its
 * send and its proof. No count changed between the two answers. So a proven beat was counted before the first answer, and its
 * deadline, F after its send, passed before the second question; or after the second answer, and it is proven later still. The write of
 * revision r was sent before r was received, so the same holds for the stretch that it began. Hence the stretch was over before the
 * second question was asked; what is proven later finds it ended. Only an applied write that is newer than r makes the holder held
 * again, and of that write and the follower's the server applies one: both name r. No latency, no server clock and no
 * time without traffic is assumed, only that a connection's messages are counted in order.
 *
 * A connection that is closed counts nothing any more. But one answer "closed" may be false (A4 of `election.ts`), and the connection close
 * after it: then the last stretch ends F after that. So two answers in a row must be "closed". One of the two is true, hence the
 * connection was closed when the second was received, and the wait begins there.
 *
 * A count that rises shows only that the holder sends: every message of the connection raises it. That can only delay a takeover.
 */
import { beatIntervalMs } from "../inquiry/durations.ts";
import { after, hasReached, type Instant } from "./time.ts";
import type { ElectionState, LateProofs } from "./types.ts";

const MAX_ROUND_TRIP_MS = 1_000;

/** For how long a round trip entitles a leader with a presence to be held: half of F, at most one second. */
export function roundTripMs(silenceMs: number): number {
  return silenceMs === 0 ? MAX_ROUND_TRIP_MS : Math.min(MAX_ROUND_TRIP_MS, silenceMs / 2);
}

/**
 * Does an answer that has come now, to what was sent then, prove that the connection is open? One that has waited in the socket does not: others
 * may have found the connection closed since.
 */
export function isProof(sentAt: Instant, silenceMs: number, now: Instant): boolean {
  return !hasReached(after(sentAt, roundTripMs(silenceMs)), now);
}

/**
 * A proof that comes so long after the send of its beat is late: as late a proof of the next beat may find the stretch ended. The next beat that
 * is proven is mostly the next one that was sent, and the one after it where each echo arrives just after a beat was sent.
 */
function lateProofMs(silenceMs: number): number {
  return silenceMs - 2 * beatIntervalMs(silenceMs);
}

/** The late proofs in a row, after a proof of a beat that was sent then; `null` if it came in time. */
export function withProof(
  late: LateProofs | null,
  silenceMs: number,
  sentAt: Instant,
  { mono }: Instant,
): LateProofs | null {
  const isLate = mono - sentAt.mono >= lateProofMs(silenceMs);
  return isLate ? { sinceMono: late?.sinceMono ?? mono, newestMono: mono } : null;
}

/**
 * Have round trips become so long that beats cannot keep a stretch alive, and have been for F? Then the next record promises nothing. With
 * the promise, and round trips of F or more, the ack of every renewal would find the stretch of its send ended: the lease would be renewed,
 * the term suspended, and no node would lead. The proofs of a process that stood still are late, too, but only those of a moment.
 */
export function isTooSlow(late: LateProofs | null, silenceMs: number): boolean {
  return late !== null && late.newestMono - late.sinceMono >= silenceMs;
}

/**
 * Was every write that names the promise, and may be the lease now, sent in the stretch that runs? If not, another node may have
 * confirmed the silence of an earlier stretch, and may lead.
 */
export function keepsPromises({ role, writes, link }: ElectionState): boolean {
  if (link.stretch === null) return !isBound({ role, writes });
  const running = link.stretch.number;
  if ("term" in role && role.term.promises && role.term.stretch !== running) return false;
  for (const { promises, stretch } of writes.unsettled) if (promises && stretch !== running) return false;
  return true;
}

/**
 * Must this node be in a stretch to be held? From the send of the first write that names the promise, until a write without it is
 * known to be applied.
 */
export function isBound({ role, writes }: Pick<ElectionState, "role" | "writes">): boolean {
  if ("term" in role && role.term.promises) return true;
  for (const { promises } of writes.unsettled) if (promises) return true;
  return false;
}
