import { isSameHolder } from "../../../election/outlook.ts";
import type { Instant } from "../../../election/time.ts";
import type { ConnectionId, HolderAnswer, OwnConnection, SessionBinding } from "../../../election/types.ts";
import type { GroupSession } from "../../../group/ports.ts";
import { missingBeatMs } from "../../../inquiry/durations.ts";
import { sameConnection } from "../../../inquiry/rules.ts";
import { BeatWatch } from "../../../runtime/beat-watch.ts";
import { Beats } from "../../../runtime/beats.ts";
import type { InquiryOptions, Session, SessionEvent } from "../../../runtime/ports.ts";
import { VirtualClock } from "../time/virtual-clock.ts";
import { ACCOUNT, type ConnectedSession, type FakeConnections } from "./fake-connections.ts";
import type { Network } from "./network.ts";

/** Latency of an advisory, one way. */
const ADVISORY_MS = 1;
/** As `src/nats/presence/own-beats.ts`: F is longer than so many round trips, and so many beats without an echo withdraw the promise. */
const ROUND_TRIPS = 3;
const LOST_BEATS = 12;

export interface FakeSessionOptions {
  /** The connection has a presence consumer. */
  readonly presence?: boolean;
  /** Clock of the process; messages wait while it is stopped. Default: a process that always runs. */
  readonly clock?: VirtualClock;
  /** What happens to requests and responses. Default: nothing is lost. */
  readonly network?: Network;
  /** What the election promises about silence, if the connection can keep it. Default: nothing. */
  readonly silenceMs?: number;
  /** What the process sends to itself does not come back, so that no promise can be kept. Default: it does. */
  readonly noEcho?: boolean;
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
export class FakeSession implements Session, GroupSession, ConnectedSession {
  readonly #connections: FakeConnections;
  readonly #presence: boolean;
  /** 0: no beat is sent. */
  readonly #silenceMs: number;
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
  /** Number of beats since the last echo, and the shortest round trip of one, on the present connection. */
  #unanswered = 0;
  #fastestMs = Number.POSITIVE_INFINITY;
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
    this.#silenceMs = options.noEcho === true ? 0 : (options.silenceMs ?? 0);
    this.#deaf = options.deaf ?? false;
    this.#account = options.account ?? ACCOUNT;
    this.#link = connections.connect(this.#presence, this.#account);
    this.#binding = this.#link;
    const id = (): string => `${this.#link?.clientId}-${++this.#beatCount}`;
    this.#beats = new Beats(
      this.#clock ?? new VirtualClock(connections.time),
      { id },
      {
        send: (token) => this.#sendBeat(token),
        comesBack: () => {},
        proven: (sentAt) => this.#emit({ type: "beat-proven", sentAt }),
      },
    );
    connections.sessions.add(this);
    if (this.#silenceMs === 0) return;
    // As a real session that has waited for its first beat before the election began.
    const { latencyMs = ADVISORY_MS, dropRequests = false, dropResponses = false } = this.#network ?? {};
    if (!dropRequests && !dropResponses) this.#fastestMs = 2 * latencyMs;
    if (this.#isFastEnough) this.#binding = { ...this.#link, account: this.#account };
    this.#beats.connected();
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
          time.after(this.#connections.answerDelayMs + oneWayMs, () => {
            if (this.#link !== link || this.#network?.dropResponses === true) return;
            answered(answer);
          });
        }),
      );
    });
  }

  /** See `FakeConnections.slowDown`, `freeze`, `lieOnce`, `mute`, `slowAnswers` and `forgetClosed`. */
  slowDown(ms: number, closesEarly = false): void {
    if (this.#link !== null) this.#connections.slowDown(this.#link, ms, closesEarly);
  }

  muteServer(ms: number): void {
    this.#connections.mute(ms);
  }

  slowAnswers(ms: number, forMs: number): void {
    this.#connections.slowAnswers(ms, forMs);
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
    if (this.#silenceMs > 0) this.#beats.every(everyMs);
  }

  #sendBeat(token: string): void {
    const { time } = this.#connections;
    const link = this.#link;
    this.#unanswered += 1;
    if (this.#unanswered > LOST_BEATS) this.#nameAccount(false);
    if (link === null || this.#network?.dropRequests === true) return;
    time.after(this.#network?.latencyMs ?? ADVISORY_MS, () => {
      this.#connections.receive(link, () => {
        this.#connections.distributeBeat(link, this.#account);
        if (this.#link !== link || this.#network?.dropResponses === true) return;
        time.after(this.#network?.latencyMs ?? ADVISORY_MS, () => {
          if (this.#link === link) this.arrive(() => this.#echoed(token));
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

  #echoed(token: string): void {
    const roundTripMs = this.#beats.echoed(token);
    if (roundTripMs === null) return;
    this.#unanswered = 0;
    this.#fastestMs = Math.min(this.#fastestMs, roundTripMs);
    if (this.#isFastEnough) this.#nameAccount(true);
  }

  get #isFastEnough(): boolean {
    return this.#fastestMs * ROUND_TRIPS < this.#silenceMs;
  }

  /** A promise of silence can be made on the present connection, or cannot any more. */
  #nameAccount(isNamed: boolean): void {
    const binding = this.#binding;
    if (binding === null || isNamed === (binding.account !== undefined)) return;
    const { account, ...nameless } = binding;
    this.#binding = isNamed ? { ...nameless, account: this.#account } : nameless;
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
      if (this.#silenceMs === 0) return;
      this.#unanswered = 0;
      this.#fastestMs = Number.POSITIVE_INFINITY;
      this.#beats.connected();
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
