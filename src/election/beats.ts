/**
 * The beats of one connection: which of them its server has counted (`silence.ts`). Pure; `src/runtime/beats.ts` sends them.
 *
 * A server raises the count of a connection once it has handled a whole read buffer, and may deliver a message of that buffer before
 * (measured: 1.4 s before). So an echo does not prove its own beat. It proves the newest one whose echo had *arrived before it was
 * sent*: the two cannot have been in one buffer, and the earlier buffer was counted before the later one was read.
 */
import type { Instant } from "./time.ts";

/** Beats under way that are remembered. More are never needed: an echo that is so late proves nothing that counts. */
const MAX_UNDER_WAY = 64;

interface Beat {
  readonly token: string;
  readonly sentAt: Instant;
  /** The newest beat whose echo had arrived when this one was sent; `null`: none had. */
  readonly proves: Instant | null;
}

/** Of one connection. Another one begins with `NO_BEATS`: the echo of a beat that was sent on an earlier connection proves nothing. */
export interface BeatsUnderWay {
  readonly sent: readonly Beat[];
  /** When the newest beat was sent whose echo has arrived. */
  readonly echoed: Instant | null;
}

export const NO_BEATS: BeatsUnderWay = { sent: [], echoed: null };

/** A beat with this token is about to be sent. */
export function sendBeat(beats: BeatsUnderWay, token: string, now: Instant): BeatsUnderWay {
  const beat: Beat = { token, sentAt: now, proves: beats.echoed };
  return { sent: [...beats.sent, beat].slice(-MAX_UNDER_WAY), echoed: beats.echoed };
}

export interface Echo {
  readonly beats: BeatsUnderWay;
  /** When the beat was sent; `null`: it is none of this connection. */
  readonly sentAt: Instant | null;
  /** When the newest beat was sent that the echo proves; `null`: it proves none. */
  readonly proven: Instant | null;
}

/** An echo has arrived. */
export function echo(beats: BeatsUnderWay, token: string): Echo {
  const beat = beats.sent.find((one) => one.token === token);
  if (beat === undefined) return { beats, sentAt: null, proven: null };
  const echoed = beats.echoed === null || beat.sentAt.mono > beats.echoed.mono ? beat.sentAt : beats.echoed;
  const sent = beats.sent.filter((one) => one !== beat);
  return { beats: { sent, echoed }, sentAt: beat.sentAt, proven: beat.proves };
}
