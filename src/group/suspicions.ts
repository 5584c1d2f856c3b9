/** The suspicions of a member about the sessions of others, and how they end, read off the state of its core after each step. */

import type { SuspicionEvent } from "../channels/events.ts";
import type { SuspicionCause, SuspicionOutcome } from "../channels/sets.ts";
import { sameConnection } from "../inquiry/rules.ts";
import type { GroupEvent } from "./core/events.ts";
import { type GroupState, NEVER, type SessionView } from "./core/state.ts";
import type { SessionRecord } from "./core/types.ts";

interface Open {
  readonly record: SessionRecord;
  cause: SuspicionCause;
  readonly sinceMono: number;
  question: number | null;
  /** What the holder's server has answered last. */
  answer: "open" | "closed" | "none";
}

export type EndedSuspicion = Omit<SuspicionEvent, "source" | "incarnation">;

/** A member can begin to be suspected by one of these events only. */
const CAUSES: ReadonlySet<GroupEvent["type"]> = new Set([
  "presence-lost",
  "holder-silent",
  "read",
  "changes",
  "connected",
]);

/** The core changes its state in place: what is compared with is remembered here, for the sessions that are suspected. */
export class Suspicions {
  readonly #open = new Map<SessionView, Open>();

  /** After each step: the suspicions that it has ended. */
  step(event: GroupEvent, state: GroupState): readonly EndedSuspicion[] {
    if (this.#open.size === 0 && !CAUSES.has(event.type)) return NONE;
    const ended: EndedSuspicion[] = [];
    for (const [view, open] of this.#open) {
      if (open.cause === "read" && isAbout(event, open.record)) open.cause = causeOf(event);
      if (event.type === "answered" && event.question === open.question) open.answer = event.answer.kind;
      open.question = view.inquiry.open?.number ?? null;
      const outcome = outcomeOf(view, open, event);
      if (outcome === null) continue;
      this.#open.delete(view);
      const { cause, sinceMono } = open;
      // Asked about every holder after the start and after a reconnect: that is no suspicion.
      if (cause === "read" && outcome === "alive") continue;
      ended.push({ of: view.memberId, cause, outcome, durationMs: state.now.mono - sinceMono });
    }
    if (CAUSES.has(event.type)) this.#begin(event, state);
    return ended;
  }

  #begin(event: GroupEvent, state: GroupState): void {
    for (const view of state.sessions.values()) {
      const record = suspected(view);
      if (record === null || record.incarnation === state.config.incarnation || this.#open.has(view))
        continue;
      const question = view.inquiry.open?.number ?? null;
      const cause = causeOf(event);
      this.#open.set(view, { record, cause, sinceMono: state.now.mono, question, answer: "none" });
    }
  }
}

const NONE: readonly EndedSuspicion[] = [];

function causeOf({ type }: GroupEvent): SuspicionCause {
  if (type === "presence-lost") return "presence";
  return type === "holder-silent" ? "silence" : "read";
}

function isAbout(event: GroupEvent, { session }: SessionRecord): boolean {
  if (event.type === "presence-lost") return event.presence === session?.presence;
  return event.type === "holder-silent" && sameConnection(event.connection, session ?? null);
}

/** The record of a session about which a question is due or open, or whose beats are missing, unless its end is confirmed. */
function suspected(view: SessionView): SessionRecord | null {
  const { inquiry, record } = view;
  if (inquiry.dueAtMono === NEVER && inquiry.open === null && inquiry.silent === null) return null;
  if (view.kind !== "live" || record?.session === undefined || view.revision === view.silentRevision)
    return null;
  return isClosed(view, record) ? null : record;
}

function isClosed(view: SessionView, record: SessionRecord): boolean {
  return view.closed !== null && record.session !== undefined && sameConnection(view.closed, record.session);
}

/** `null`: it goes on. */
function outcomeOf(view: SessionView, { record, answer }: Open, event: GroupEvent): SuspicionOutcome | null {
  if (isClosed(view, record)) return "closed";
  if (view.silentRevision !== 0 && view.silentRevision === view.revision) return "silent";
  if (view.kind !== "live" || view.record?.incarnation !== record.incarnation) return "overtaken";
  if (suspected(view) !== null) return null;
  const hasRenewed = view.record.nonce !== record.nonce;
  return event.type === "holder-heard" || answer === "open" || hasRenewed ? "alive" : "unanswered";
}
