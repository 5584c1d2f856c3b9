/**
 * What a record names of its holder's connection, what can be asked about that connection, and what an asker remembers of it. The
 * holder is that of a lease, or a member of a group with its session.
 */

/** One NATS connection: the server that holds it, and its number there. */
export interface ConnectionId {
  /** Id of the NATS server. */
  readonly serverId: string;
  /** The connection's id on that server (`cid`). */
  readonly clientId: number;
}

/** The connection of a holder as its lease record names it, with what the holder promises about it. */
export interface SessionBinding extends ConnectionId {
  /**
   * `<stream>.<consumer>` of the session's presence consumer: the tail of the advisory that announces its deletion. Its presence
   * in a record is a promise: the holder suspends its term when this connection ends. Where it is absent, a closed connection
   * alone ends no takeover wait.
   */
  readonly presence?: string;
  /** Absent: the holder does not promise to suspend its term when its server is silent. */
  readonly silence?: SilencePromise;
}

/** The holder suspends its term `ms` after the send of the newest beat that is proven (`src/election/silence.ts`). */
export interface SilencePromise {
  readonly ms: number;
  /** Hash of the name of the connection's account: a server lists connections of the asker's account only. */
  readonly account: string;
}

/**
 * When a leader that has gone is replaced. In exchange a leader suspends its term in the same cases.
 * `presence`: when its connection is closed, or has been silent for `silenceMs`.
 * `silence`: when its connection has been closed or silent for `silenceMs`.
 * `lease`: when its lease has expired.
 */
export type CrashDetection = "presence" | "silence" | "lease";

/** What the server that held a connection answers about it. */
export type HolderAnswer =
  /** The connection is open, and its server has counted so many messages from it. */
  | { readonly kind: "open"; readonly inMsgs: number }
  | { readonly kind: "closed" }
  /** No answer, or none that says anything about this connection. */
  | { readonly kind: "none" };

/** The questions about one holder to the server that held its connection. At most one counts at a time. Changed in place. */
export interface Inquiry {
  /** The connection whose beats are missing: ask again and again. */
  silent: ConnectionId | null;
  open: Question | null;
  first: FirstAnswer | null;
  /** Monotonic milliseconds before which a missing beat causes no question. */
  quietUntilMono: number;
  /** How many questions in a row did not bear out the silence, for back-off. */
  lives: number;
}

export interface Question {
  readonly number: number;
  readonly binding: SessionBinding;
  /** The revision that the question is about; 0: none, so that the answer to it confirms nothing. */
  readonly revision: number;
  /** Asked so late after the first answer that the same answer confirms. */
  readonly confirms: boolean;
}

/** An answer about the present revision to which a later one is compared. */
export interface FirstAnswer {
  readonly answer: HolderAnswer;
  readonly receivedAt: Reading;
  /** May later answers confirm it? One that says "closed" must first be repeated: it may be false, and the connection close later. */
  readonly counts: boolean;
}

/** What an asker reads off its clocks: monotonic milliseconds. They stop while its machine is suspended, which only makes it later. */
export interface Reading {
  readonly mono: number;
}
