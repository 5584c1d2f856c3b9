import { isSameHolder } from "../../../election/outlook.ts";
import { missingBeatMs } from "../../../election/silence.ts";
import type { Instant } from "../../../election/time.ts";
import type { ConnectionId, HolderAnswer, OwnConnection, SessionBinding } from "../../../election/types.ts";
import { sameConnection } from "../../../election/writes.ts";
import type { GroupSession } from "../../../group/ports.ts";
import { BeatWatch } from "../../../runtime/beat-watch.ts";
import { Beats } from "../../../runtime/beats.ts";
import type { InquiryOptions, Session, SessionEvent } from "../../../runtime/ports.ts";
import { VirtualClock } from "../time/virtual-clock.ts";
import type { VirtualTime } from "../time/virtual-time.ts";
import type { Network } from "./network.ts";

/** Latency of an advisory, one way. */
const ADVISORY_MS = 1;
const SERVER_ID = "server";
const ACCOUNT = "account";

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

/** All connections of a simulated world as the server sees them. Distributes the advisories about presence consumers. */
export class FakeConnections {
  readonly time: VirtualTime;
  readonly open: Set<number> = new Set();
  readonly sessions: Set<FakeSession> = new Set();
  readonly #served = new Map<number, ServedConnection>();
  #nextClientId = 1;
  #frozenUntil = Number.NEGATIVE_INFINITY;
  /** The next answer that says "open" says "closed" instead. */
  #liesOnce = false;
  #answersFrom = Number.NEGATIVE_INFINITY;
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
    const slow = served?.slow ?? null;
    if (slow === null && now >= this.#frozenUntil) {
      handle();
      if (served !== undefined) this.#count(served);
      return;
    }
    if (slow !== null) slow.openedAt ??= now;
    const isInBuffer = slow !== null && slow.openedAt === now;
    const busyUntil = Math.max(this.#frozenUntil, isInBuffer ? now : this.#busyOf(slow));
    if (now < busyUntil) return void this.time.at(busyUntil, () => this.receive(connection, handle));
    handle();
    if (served === undefined) return;
    if (slow === null || !isInBuffer) return this.#count(served);
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

  /** As `longestSilence`, but of each time only the part after `since`. */
  longestSilenceAfter({ clientId }: ConnectionId, since: number): number {
    const served = this.#served.get(clientId);
    if (served === undefined) return 0;
    let longest = this.time.now - Math.max(since, served.countedAt);
    for (const { ms, until } of served.gaps)
      if (until >= since) longest = Math.max(longest, until - Math.max(since, until - ms));
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
}

export interface FakeSessionOptions {
  /** The connection has a presence consumer. */
  readonly presence?: boolean;
  /** Clock of the process; messages wait while it is stopped. Default: a process that always runs. */
  readonly clock?: VirtualClock;
  /** What happens to requests and responses. Default: nothing is lost. */
  readonly network?: Network;
  /** Whether what the process sends to itself comes back. Without it no record names a promise of silence. Default: no. */
  readonly echo?: boolean;
  /** The process cannot hear the beats of others. Default: it can. */
  readonly deaf?: boolean;
  /** The connection's account. Connections of another one are not listed, and their beats are not heard. Default: that of all. */
  readonly account?: string;
}

/** A holder that a connection watches. */
interface WatchedHolder {
  readonly binding: SessionBinding;
  beats: BeatWatch | null;
  /** Number of its beats that were heard. */
  heard: number;
}

/** The connection of one process. The process learns later than the server that it is closed, for example while stopped. */
export class FakeSession implements Session, GroupSession {
  readonly #connections: FakeConnections;
  readonly #presence: boolean;
  readonly #echo: boolean;
  readonly #deaf: boolean;
  readonly #account: string;
  readonly #clock: VirtualClock | null;
  readonly #network: Network | null;
  readonly #listeners = new Set<(event: SessionEvent) => void>();
  readonly #beats: Beats;
  #binding: OwnConnection | null;
  #link: OwnConnection | null;
  #watched: readonly WatchedHolder[] = [];
  #beatCount = 0;
  /** When the connection was lost, even if the process has not noticed yet; `null` while it is open. */
  lostAt: number | null = null;
  /** Other messages waited in the socket when the connection was lost: the process notices once it has read them. */
  lostUnread = false;
  #stalledUntil = Number.NEGATIVE_INFINITY;
  /** The process has noticed the end of its last connection. */
  #noticed = true;
  #reconnects = false;

  constructor(connections: FakeConnections, options: FakeSessionOptions = {}) {
    this.#connections = connections;
    this.#presence = options.presence ?? false;
    this.#clock = options.clock ?? null;
    this.#network = options.network ?? null;
    this.#echo = options.echo ?? false;
    this.#deaf = options.deaf ?? false;
    this.#account = options.account ?? ACCOUNT;
    this.#link = connections.connect(this.#presence, this.#account);
    // As a real session that has waited for its first beat before the election began.
    this.#binding = this.#echo ? { ...this.#link, account: this.#account } : this.#link;
    const id = (): string => `${this.#link?.clientId}-${++this.#beatCount}`;
    this.#beats = new Beats(
      this.#clock ?? new VirtualClock(connections.time),
      { id },
      {
        send: (token) => this.#sendBeat(token),
        comesBack: () => this.#comesBack(),
        proven: (sentAt) => this.#emit({ type: "beat-proven", sentAt }),
      },
    );
    if (this.#echo) this.#beats.connected();
    connections.sessions.add(this);
  }

  get connected(): boolean {
    return this.#binding !== null;
  }

  /** The connection as the process sees it. */
  get binding(): OwnConnection | null {
    return this.#binding;
  }

  /** The connection as it really is. */
  get link(): OwnConnection | null {
    return this.#link;
  }

  /** Number of listeners. */
  get listeners(): number {
    return this.#listeners.size;
  }

  listen(listener: (event: SessionEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  inquire(binding: SessionBinding, { timeoutMs, closedIsEnough }: InquiryOptions): PromiseLike<HolderAnswer> {
    const { time } = this.#connections;
    const link = this.#link;
    const oneWayMs = this.#network?.latencyMs ?? ADVISORY_MS;
    const heardBefore = this.#heardOf(binding);
    return time.answer<HolderAnswer>((resolve) => {
      const answered = (answer: HolderAnswer): void =>
        this.arrive(() => {
          // A beat that was heard since the question is a veto.
          const heard = this.#heardOf(binding);
          const isVetoed = heard !== null && heard > (heardBefore ?? 0);
          resolve(isVetoed ? { kind: "none" } : answer);
        });
      time.after(timeoutMs, () => answered({ kind: "none" }));
      if (link === null || this.#network?.dropRequests === true) return;
      time.after(oneWayMs, () =>
        this.#connections.receive(link, () => {
          // As the real session: only about a holder whose record names its account, with its presence or with its promise.
          const isNamed =
            binding.silence === undefined
              ? binding.presence !== undefined
              : binding.silence.account === this.#account;
          const answer: HolderAnswer | null = isNamed
            ? this.#connections.answer(binding, closedIsEnough, this.#account)
            : { kind: "none" };
          if (answer === null) return;
          time.after(oneWayMs, () => {
            if (this.#link !== link || this.#network?.dropResponses === true) return;
            answered(answer);
          });
        }),
      );
    });
  }

  /** See `FakeConnections.slowDown`, `freeze`, `lieOnce`, `mute` and `forgetClosed`. */
  slowDown(ms: number, closesEarly = false): void {
    if (this.#link !== null) this.#connections.slowDown(this.#link, ms, closesEarly);
  }

  muteServer(ms: number): void {
    this.#connections.mute(ms);
  }

  forgetClosed(): void {
    this.#connections.forgetClosed();
  }

  freezeServer(ms: number): void {
    this.#connections.freeze(ms);
  }

  lieOnce(): void {
    this.#connections.lieOnce();
  }

  /** The server handles and counts a message that was sent on this connection. */
  receivedFrom(link: OwnConnection | null, handle: () => void): void {
    this.#connections.receive(link, handle);
  }

  beat(everyMs: number | null): void {
    if (this.#echo) this.#beats.every(everyMs);
  }

  #sendBeat(token: string): void {
    const { time } = this.#connections;
    const link = this.#link;
    if (link === null || this.#network?.dropRequests === true) return;
    time.after(this.#network?.latencyMs ?? ADVISORY_MS, () => {
      this.#connections.receive(link, () => {
        for (const session of this.#connections.sessions) session.receiveBeat(link, this.#account);
        if (this.#link !== link || this.#network?.dropResponses === true) return;
        time.after(this.#network?.latencyMs ?? ADVISORY_MS, () => {
          if (this.#link === link) this.arrive(() => this.#beats.echoed(token));
        });
      });
    });
  }

  /** A beat of some connection is delivered to this one. */
  receiveBeat(connection: ConnectionId, account: string): void {
    const link = this.#link;
    if (link === null || this.#deaf || this.#watchedOn(connection) === undefined) return;
    if (account !== this.#account || this.#network?.dropResponses === true) return;
    this.#connections.time.after(this.#network?.latencyMs ?? ADVISORY_MS, () => {
      if (this.#link !== link) return;
      this.arrive(() => {
        const watched = this.#watchedOn(connection);
        if (watched === undefined) return;
        watched.heard += 1;
        watched.beats?.heard();
      });
    });
  }

  #comesBack(): void {
    if (this.#binding === null || this.#binding.account !== undefined) return;
    this.#binding = { ...this.#binding, account: this.#account };
    this.#emit({ type: "rebound", binding: this.#binding });
  }

  roundTrip(now: Instant): PromiseLike<Instant | null> {
    const { time } = this.#connections;
    const link = this.#link;
    const oneWayMs = this.#network?.latencyMs ?? ADVISORY_MS;
    return time.answer<Instant | null>((resolve) => {
      if (link === null || this.#network?.dropRequests === true) return;
      time.after(oneWayMs, () => {
        if (this.#link !== link || this.#network?.dropResponses === true) return;
        time.after(oneWayMs, () => {
          if (this.#link === link) this.arrive(() => resolve(now));
        });
      });
    });
  }

  /** From now on what arrives waits in the socket of the process, for `ms`: it has much else to read. */
  stall(ms: number): void {
    this.#stalledUntil = Math.max(this.#stalledUntil, this.#connections.time.now + ms);
  }

  /** Something has arrived at the socket of the process. */
  arrive(run: () => void): void {
    const { time } = this.#connections;
    if (time.now >= this.#stalledUntil) return this.#deliver(run);
    time.at(this.#stalledUntil, () => this.#deliver(run));
  }

  get isStalled(): boolean {
    return this.#connections.time.now < this.#stalledUntil;
  }

  watchHolder(holder: SessionBinding | null): void {
    this.watchHolders(holder === null ? [] : [holder]);
  }

  watchHolders(holders: readonly SessionBinding[]): void {
    const before = this.#watched;
    this.#watched = holders.map((binding) => {
      const known = before.find((one) => sameConnection(one.binding, binding));
      if (known !== undefined && isSameHolder(known.binding, binding)) return known;
      return { binding, beats: this.#beatWatchOf(binding), heard: known?.heard ?? 0 };
    });
    for (const one of before) if (!this.#watched.includes(one)) one.beats?.stop();
  }

  #watchedOn(connection: ConnectionId): WatchedHolder | undefined {
    return this.#watched.find(({ binding }) => sameConnection(connection, binding));
  }

  #heardOf(connection: ConnectionId): number | null {
    return this.#watchedOn(connection)?.heard ?? null;
  }

  /** Begins to listen for the beats of the watched holders: on this connection, from now on. */
  #watchBeats(): void {
    for (const watched of this.#watched) {
      watched.beats?.stop();
      watched.beats = this.#beatWatchOf(watched.binding);
    }
  }

  #beatWatchOf({ serverId, clientId, silence }: SessionBinding): BeatWatch | null {
    if (silence === undefined || this.#binding === null || this.#clock === null) return null;
    return new BeatWatch(this.#clock, missingBeatMs(silence.ms), (isSilent) =>
      this.#emit({ type: isSilent ? "holder-silent" : "holder-heard", connection: { serverId, clientId } }),
    );
  }

  /** The advisory that a presence consumer was deleted. */
  receiveAdvisory(presence: string): void {
    const link = this.#link;
    this.#connections.time.after(ADVISORY_MS, () => {
      if (this.#link === null || this.#link !== link || this.#network?.dropResponses === true) return;
      this.arrive(() => {
        if (this.#watched.some(({ binding }) => binding.presence === presence))
          this.#emit({ type: "presence-lost", presence });
      });
    });
  }

  /**
   * The server closes the connection, and no packet says so to the process: it notices after `ms`, as by its own pings.
   */
  resetByServer(ms: number): void {
    if (this.#link === null) return;
    this.stall(ms);
    this.disconnect();
  }

  /** The connection breaks. The process notices as soon as it runs, the server at once. */
  disconnect(): void {
    const link = this.#link;
    if (link === null) return;
    this.#link = null;
    this.lostAt = this.#connections.time.now;
    this.lostUnread = this.isStalled;
    this.#noticed = false;
    this.#reconnects = false;
    this.arrive(() => {
      this.#noticed = true;
      this.#binding = null;
      this.#beats.ended();
      this.#watchBeats();
      this.#emit({ type: "disconnected", error: null });
      if (this.#reconnects) this.reconnect();
    });
    this.#connections.close(link);
  }

  /** A process that has not noticed the end of its connection reconnects once it has. */
  reconnect(): void {
    if (this.#link !== null || !this.#connections.sessions.has(this)) return;
    if (this.lostUnread && !this.#noticed) {
      this.#reconnects = true;
      return;
    }
    const link = this.#connections.connect(this.#presence, this.#account);
    this.#link = link;
    this.lostAt = null;
    this.lostUnread = false;
    this.#deliver(() => {
      this.#binding = link;
      this.#emit({ type: "connected", binding: link });
      this.#watchBeats();
      if (this.#echo) this.#beats.connected();
    });
  }

  /**
   * The process is killed: no event is emitted, the server closes the connection. With `lingerMs` the host is lost, too: no
   * FIN is sent, and the server closes the connection only `lingerMs` later.
   */
  kill(lingerMs = 0): void {
    const link = this.#link;
    this.#binding = null;
    this.#link = null;
    this.#listeners.clear();
    this.#beats.ended();
    this.watchHolders([]);
    this.#connections.sessions.delete(this);
    if (link === null) return;
    if (lingerMs === 0) this.#connections.close(link);
    else this.#connections.time.after(lingerMs, () => this.#connections.close(link));
  }

  #deliver(run: () => void): void {
    if (this.#clock === null) run();
    else this.#clock.deliver(run);
  }

  #emit(event: SessionEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}
