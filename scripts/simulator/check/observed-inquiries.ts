/** What a process has asked about holders, and what it was answered. */
import type { ConnectionId, HolderAnswer } from "../../../src/election/types.ts";

interface Question {
  readonly number: number;
  readonly connection: ConnectionId;
  /** True time, and that of the process. */
  readonly askedAt: number;
  readonly askedAtMono: number;
  answer: HolderAnswer | null;
  answeredAtMono: number;
}

/** More questions than a process asks in the time in which two of them may confirm a silence. */
const MAX_QUESTIONS = 64;

export class ObservedInquiries {
  #all: Question[] = [];

  asked(number: number, { serverId, clientId }: ConnectionId, at: number, mono: number): void {
    if (this.#all.length >= MAX_QUESTIONS) this.#all.shift();
    const connection = { serverId, clientId };
    this.#all.push({ number, connection, askedAt: at, askedAtMono: mono, answer: null, answeredAtMono: 0 });
  }

  answered(number: number, answer: HolderAnswer, mono: number): void {
    const question = this.#all.find((one) => one.number === number);
    if (question === undefined) return;
    question.answer = answer;
    question.answeredAtMono = mono;
  }

  /**
   * Do they entitle to a write that was sent at `sentAt`? They do if two questions about the connection were answered alike, both asked
   * after `since`, and the second one `leastMs` after the first answer came.
   */
  areEnough({ serverId, clientId }: ConnectionId, leastMs: number, since: number, sentAt: number): boolean {
    const valid = this.#all.filter(
      ({ connection, askedAt, answer }) =>
        connection.serverId === serverId &&
        connection.clientId === clientId &&
        answer !== null &&
        askedAt >= since &&
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
