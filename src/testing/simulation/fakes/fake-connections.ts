/** The server's side of all connections: what it counts, which it lists as closed, and what it answers when asked. */
import type { ConnectionId, HolderAnswer, OwnConnection } from "../../../election/types.ts";
import type { VirtualTime } from "../time/virtual-time.ts";

const SERVER_ID = "server";
/** The account of connections that name none. */
export const ACCOUNT = "account";

/** A read buffer of a connection that the server takes long to handle: what is in it is delivered at once, and counted at the end. */
interface SlowBuffer {
  readonly ms: number;
  /** When its first message came; `null`: it is yet to come. */
  openedAt: number | null;
  /** If the connection ends in that time, it is listed as closed at once, and what is in the buffer is handled all the same. */
  readonly closesEarly: boolean;
}

/** What the server knows of a connection. */
interface ServedConnection {
  readonly account: string;
  /** The messages that it has counted. */
  inMsgs: number;
  /** When it counted the last one. */
  countedAt: number;
  /** Times without a count, and when they ended: each is shorter than all before it. */
  readonly gaps: { readonly ms: number; readonly until: number }[];
  slow: SlowBuffer | null;
}

/** What hears the messages that the server delivers to a connection. */
export interface ConnectedSession {
  /** The advisory that a presence consumer was deleted. */
  receiveAdvisory(presence: string): void;
  /** A beat of some connection. */
  receiveBeat(connection: ConnectionId, account: string): void;
}

/** All connections of a simulated world as the server sees them. Distributes the advisories about presence consumers. */
export class FakeConnections {
  readonly time: VirtualTime;
  readonly open: Set<number> = new Set();
  readonly sessions: Set<ConnectedSession> = new Set();
  readonly #served = new Map<number, ServedConnection>();
  #nextClientId = 1;
  #frozenUntil = Number.NEGATIVE_INFINITY;
  /** The next answer that says "open" says "closed" instead. */
  #liesOnce = false;
  #answersFrom = Number.NEGATIVE_INFINITY;
  /** Until then an answer about a connection leaves the server so late. */
  #answersLateUntil = Number.NEGATIVE_INFINITY;
  #answersLateMs = 0;
  /** Closed connections up to this number are not listed any more. */
  #forgottenUpTo = 0;

  constructor(time: VirtualTime) {
    this.time = time;
  }

  connect(presence: boolean, account: string = ACCOUNT): OwnConnection {
    const clientId = this.#nextClientId++;
    this.open.add(clientId);
    const { now } = this.time;
    this.#served.set(clientId, {
      account,
      inMsgs: 0,
      countedAt: now,
      gaps: [],
      slow: null,
    });
    return {
      serverId: SERVER_ID,
      clientId,
      ...(presence ? { presence: `stream.presence-${clientId}` } : {}),
    };
  }

  /** The server notices that a connection is closed and deletes its presence consumer. */
  close(binding: OwnConnection): void {
    const slow = this.#served.get(binding.clientId)?.slow ?? null;
    const busyUntil = Math.max(this.#frozenUntil, slow?.closesEarly === true ? 0 : this.#busyOf(slow));
    if (this.time.now < busyUntil) return void this.time.at(busyUntil, () => this.close(binding));
    this.open.delete(binding.clientId);
    if (binding.presence !== undefined) this.advise(binding.presence);
  }

  /**
   * A message of this connection reaches the server. It is handled at once, and counted at the end of its read buffer; what comes
   * after that buffer was read waits until then.
   */
  receive(connection: ConnectionId | null, handle: () => void): void {
    const { now } = this.time;
    const served = connection === null ? undefined : this.#served.get(connection.clientId);
    // What waits for a server that stands still is read at once when it goes on: in one buffer.
    if (now < this.#frozenUntil)
      return void this.time.at(this.#frozenUntil, () => this.receive(connection, handle));
    const slow = served?.slow ?? null;
    if (served === undefined || slow === null) {
      handle();
      if (served !== undefined) this.#count(served);
      return;
    }
    slow.openedAt ??= now;
    if (slow.openedAt !== now)
      return void this.time.at(this.#busyOf(slow), () => this.receive(connection, handle));
    handle();
    this.time.after(slow.ms, () => {
      if (served.slow === slow) served.slow = null;
      this.#count(served);
    });
  }

  #count(served: ServedConnection): void {
    const { now } = this.time;
    served.inMsgs += 1;
    const ms = now - served.countedAt;
    for (let last = served.gaps.at(-1); last !== undefined && last.ms <= ms; last = served.gaps.at(-1))
      served.gaps.pop();
    served.gaps.push({ ms, until: now });
    served.countedAt = now;
  }

  #busyOf(slow: SlowBuffer | null): number {
    return slow === null || slow.openedAt === null ? Number.NEGATIVE_INFINITY : slow.openedAt + slow.ms;
  }

  /** The server will take `ms` for the read buffer that begins with the next message of this connection. */
  slowDown({ clientId }: ConnectionId, ms: number, closesEarly = false): void {
    const served = this.#served.get(clientId);
    if (served !== undefined) served.slow ??= { ms, openedAt: null, closesEarly };
  }

  /** The server stands still for `ms`. */
  freeze(ms: number): void {
    this.#frozenUntil = Math.max(this.#frozenUntil, this.time.now + ms);
  }

  /** The server will answer once that an open connection is closed, where one such answer proves nothing. */
  lieOnce(): void {
    this.#liesOnce = true;
  }

  /** The server gives no answer about any connection for `ms`. */
  mute(ms: number): void {
    this.#answersFrom = Math.max(this.#answersFrom, this.time.now + ms);
  }

  /** For `forMs` an answer about a connection leaves the server `ms` after the server has looked. */
  slowAnswers(ms: number, forMs: number): void {
    this.#answersLateMs = ms;
    this.#answersLateUntil = this.time.now + forMs;
  }

  get answerDelayMs(): number {
    return this.time.now < this.#answersLateUntil ? this.#answersLateMs : 0;
  }

  /** The server lists the connections that are closed by now no longer. */
  forgetClosed(): void {
    this.#forgottenUpTo = this.#nextClientId - 1;
  }

  /** The longest time for which the server has counted nothing from this connection, as far as it ended after `since` or goes on. */
  longestSilence({ clientId }: ConnectionId, since: number): number {
    const served = this.#served.get(clientId);
    if (served === undefined) return Number.POSITIVE_INFINITY;
    const past = served.gaps.find(({ until }) => until >= since)?.ms ?? 0;
    return Math.max(this.time.now - served.countedAt, past);
  }

  /** As `longestSilence`, but of each time only the part from `since` to `end`. */
  longestSilenceBetween({ clientId }: ConnectionId, since: number, end: number): number {
    const served = this.#served.get(clientId);
    if (served === undefined) return 0;
    let longest = end - Math.max(since, served.countedAt);
    for (const { ms, until } of served.gaps)
      if (until >= since) longest = Math.max(longest, Math.min(end, until) - Math.max(since, until - ms));
    return longest;
  }

  /** What the server answers about a connection to a client of this account; `null`: nothing that says anything about it. */
  answer(
    { serverId, clientId }: ConnectionId,
    closedIsEnough: boolean,
    account: string = ACCOUNT,
  ): HolderAnswer | null {
    if (serverId !== SERVER_ID || this.time.now < this.#answersFrom) return null;
    const served = this.#served.get(clientId);
    // Absence is an answer in the account `$G` only.
    if (served !== undefined && served.account !== account) return null;
    if (served === undefined || !this.open.has(clientId))
      return clientId <= this.#forgottenUpTo ? null : { kind: "closed" };
    if (this.#liesOnce && !closedIsEnough) {
      this.#liesOnce = false;
      return { kind: "closed" };
    }
    return { kind: "open", inMsgs: served.inMsgs };
  }

  /** Announces the deletion of a presence consumer: a suspicion, true or false. */
  advise(presence: string): void {
    for (const session of this.sessions) session.receiveAdvisory(presence);
  }

  /** A beat of this connection is delivered to every session, which may want it or not. */
  distributeBeat(connection: ConnectionId, account: string): void {
    for (const session of this.sessions) session.receiveBeat(connection, account);
  }
}
