/** PURE: whether a consumer may go on after a position, by what the leader of the stream says. */
import { ClusterError } from "../../errors.ts";
import { overlap } from "../subjects.ts";
import type { StreamFacts } from "./stream-facts.ts";

/** What is to be consumed. */
export interface Wanted {
  readonly stream: string;
  /** Filter of the partition. */
  readonly subject: string;
  /** Everything up to this sequence is handled or on its way to the application. */
  readonly after: number;
  /** Creation time of the stream that the consumer began with; `null`: it begins. */
  readonly created: string | null;
  /** What to do about messages that the stream removed before they were received. */
  readonly removed: "fail" | "skip";
}

/**
 * - `ok`
 * - `ahead`: the stream ends before the position. On a replicated stream the answer may be old.
 * - `no`: it may not, for the reason that `error` has.
 */
export type Judgement =
  | { readonly kind: "ok" }
  | { readonly kind: "ahead" | "no"; readonly error: ClusterError };

export function judgeStream(facts: StreamFacts, wanted: Wanted): Judgement {
  const { stream, subject, after } = wanted;
  const refusal = (text: string): ClusterError =>
    new ClusterError("STREAM_INCOMPATIBLE", `cannot consume ${subject} of stream ${stream}: ${text}`);
  const no = (text: string): Judgement => ({ kind: "no", error: refusal(text) });
  if (facts.retention !== "limits") {
    return no(
      `its retention is "${facts.retention}", under which it removes messages when they are delivered: it must be "limits"`,
    );
  }
  if (facts.subjects !== null && !facts.subjects.some((one) => overlap(one, subject))) {
    return no(`it stores ${shortList(facts.subjects)}, and none of it matches the filter`);
  }
  if (wanted.created !== null && facts.created !== wanted.created) {
    return no("it was deleted and created again, so that the position has no meaning: begin with after: 0");
  }
  if (after > facts.lastSequence) {
    const text =
      `the position ${after} is behind its end, at ${facts.lastSequence}: it is another stream than that of the position, or was ` +
      "restored from a backup, or has lost messages; find the right position, or begin with after: 0";
    return { kind: "ahead", error: refusal(text) };
  }
  // With position 0 nothing was handled yet: it begins with what there is.
  if (wanted.removed === "fail" && after > 0 && facts.firstSequence > after + 1) {
    return no(
      `its messages ${after + 1} to ${facts.firstSequence - 1} were removed, by a limit of the stream or by a purge, and some of this ` +
        'partition may be among them: pass removed: "skip" to go on without them',
    );
  }
  return { kind: "ok" };
}

function shortList(subjects: readonly string[]): string {
  const shown = subjects.slice(0, 5).join(", ");
  return subjects.length > 5 ? `${shown} and ${subjects.length - 5} more` : shown || "no subject";
}
