/** What a process has asked about holders, and what it was answered. */
import type { ConnectionId, HolderAnswer } from "../../../src/election/types.ts";

interface Question {
  readonly number: number;
  readonly connection: ConnectionId;
  /** True times, and those of the process. */
  readonly askedAt: number;
  readonly askedAtMono: number;
  answer: HolderAnswer | null;
  answeredAt: number;
  answeredAtMono: number;
}

/** More questions than a process asks in the time in which two of them may confirm a silence. */
const MAX_QUESTIONS = 64;

export class ObservedInquiries {
  #all: Question[] = [];

  asked(number: number, { serverId, clientId }: ConnectionId, at: number, mono: number): void {
    if (this.#all.length >= MAX_QUESTIONS) this.#all.shift();
    const connection = { serverId, clientId };
    const unanswered = { answer: null, answeredAt: 0, answeredAtMono: 0 };
    this.#all.push({ number, connection, askedAt: at, askedAtMono: mono, ...unanswered });
  }

  answered(number: number, answer: HolderAnswer, at: number, mono: number): void {
    const question = this.#all.find((one) => one.number === number);
    if (question === undefined) return;
    question.answer = answer;
    question.answeredAt = at;
    question.answeredAtMono = mono;
  }

  /**
   * Do they entitle to a write that was sent at `sentAt`? They do if two questions about the connection were answered alike, the first one
   * after `since`, and the second one was asked `leastMs` after that answer came.
   */
  areEnough({ serverId, clientId }: ConnectionId, leastMs: number, since: number, sentAt: number): boolean {
    const valid = this.#all.filter(
      ({ connection, askedAt, answeredAt }) =>
        connection.serverId === serverId &&
        connection.clientId === clientId &&
        answeredAt >= since &&
        askedAt <= sentAt,
    );
    return valid.some((second) =>
      valid.some(
        (first) =>
          second.askedAtMono - first.answeredAtMono >= leastMs && isSame(first.answer, second.answer),
      ),
    );
  }
}

function isSame(one: HolderAnswer | null, other: HolderAnswer | null): boolean {
  if (one?.kind === "open") return other?.kind === "open" && one.inMsgs === other.inMsgs;
  return one?.kind === "closed" && other?.kind === "closed";
}
