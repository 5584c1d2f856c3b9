/**
 * The session of a NATS connection. All elections on the connection share one monitor, one presence consumer, one stream of beats,
 * and one subscription for each presence and for the beats of each connection that they watch (`shared-session.ts`).
 */
import type { NatsConnection } from "@nats-io/transport-node";
import type { Instant } from "../../election/time.ts";
import type { ConnectionId, HolderAnswer, OwnConnection, SessionBinding } from "../../election/types.ts";
import type { GroupSession } from "../../group/ports.ts";
import type { InquiryOptions, LinkFacts, Session, SessionEvent } from "../../runtime/ports.ts";
import { type ConnectionChange, type ConnectionMonitor, guarded } from "../connection/connection-monitor.ts";
import type { BeatingHolder } from "./holder-beats.ts";
import type { BeatsState } from "./own-beats.ts";
import type { PresenceState } from "./presence.ts";
import { DENIED_RETRY_MS } from "./retry-pause.ts";
import { type SessionHandle, SharedSession } from "./shared-session.ts";

/** Warnings that a session remembers, so that it does not repeat them. */
const MAX_WARNED = 64;

export interface SessionOptions {
  /** Something that an operator should know and that stops nothing. */
  readonly onWarning?: (message: string, error?: Error) => void;
  /**
   * Reconnect elsewhere when the server announces that it will shut down. False suits a connection that was passed in.
   * @default true
   */
  readonly reconnectOnLameDuck?: boolean;
  /**
   * JetStream domain of the presence consumer, and of `monitor`. `null`: that of the server.
   * @default null
   */
  readonly domain?: string | null;
  /**
   * How long after a permission was denied it is tried again. Only the first session on a connection decides.
   * @default 60_000
   */
  readonly deniedRetryMs?: number;
}

/** By connection and JetStream domain. */
const sessions = new WeakMap<NatsConnection, Map<string | null, SharedSession>>();

/** One election's handle on the session of a connection. The caller releases it. */
export function openSession(connection: NatsConnection, options: SessionOptions = {}): NatsSession {
  const { domain = null, deniedRetryMs = DENIED_RETRY_MS } = options;
  const ofConnection = sessions.get(connection) ?? new Map<string | null, SharedSession>();
  sessions.set(connection, ofConnection);
  const known = ofConnection.get(domain);
  const shared =
    known ??
    new SharedSession(connection, { domain, deniedRetryMs, onUnused: () => ofConnection.delete(domain) });
  ofConnection.set(domain, shared);
  const session = new NatsSession(shared, options);
  shared.add(session);
  return session;
}

/** The handle of one election, or of one member of a group, on the session of a connection. */
export class NatsSession implements Session, GroupSession, SessionHandle {
  readonly #options: SessionOptions;
  readonly #shared: SharedSession;
  readonly #listeners = new Set<(event: SessionEvent) => void>();
  readonly #warned = new Set<string>();
  #presenceStream: string | null = null;
  /** What this election promises; `null`: nothing. */
  #silenceMs: number | null = null;
  /** The account that was last reported. */
  #named: string | null = null;
  #beatsEveryMs: number | null = null;
  #watchedPresences: ReadonlySet<string> = new Set();
  #watchedBeats: ReadonlyMap<string, WatchedBeats> = new Map();
  #unwatching: NodeJS.Immediate | null = null;
  #released: Promise<void> | null = null;

  /** Use `openSession`. */
  constructor(shared: SharedSession, options: SessionOptions) {
    this.#shared = shared;
    this.#options = options;
  }

  /** The monitor for the lease store on the same connection, valid until `release()`. */
  get monitor(): ConnectionMonitor {
    return this.#shared.monitor;
  }

  get connected(): boolean {
    return this.monitor.connected;
  }

  get binding(): OwnConnection | null {
    const { endpoint } = this.monitor;
    if (endpoint === null) return null;
    const presence = this.#presenceStream === null ? null : this.#shared.presence.current;
    const account = this.#account;
    return {
      ...endpoint,
      ...(presence === null ? {} : { presence }),
      ...(account === null ? {} : { account }),
    };
  }

  get linkFacts(): LinkFacts | null {
    const { server } = this.monitor;
    return server === null ? null : { server, beatRoundTripMs: this.#shared.beats.newestRoundTripMs };
  }

  /** The account, if this election can keep its promise of silence on the connection. */
  get #account(): string | null {
    const { beats } = this.#shared;
    return this.#silenceMs !== null && beats.isFastEnoughFor(this.#silenceMs) ? beats.account : null;
  }

  get presenceState(): PresenceState {
    return this.#presenceStream === null ? "off" : this.#shared.presence.state;
  }

  /**
   * From now on the binding names the session's presence consumer, which is created on this stream if there is none. Only for
   * an election that suspends its term when it is disconnected. Settles after the first attempt, successful or not; the
   * event `rebound` reports every change. Never rejects.
   */
  async usePresence(stream: string): Promise<PresenceState> {
    if (this.#released !== null) return "off";
    if (this.#presenceStream === null) {
      this.#presenceStream = stream;
      if (this.#shared.presence.current !== null) this.emit({ type: "rebound", binding: this.binding });
      const { problem } = this.#shared.presence;
      await this.#shared.presence.want(stream);
      if (problem !== null && problem === this.#shared.presence.problem)
        this.warnOnce(problem.message, problem.error);
    }
    return this.presenceState;
  }

  /**
   * From now on the binding names the account of the connection once a beat has come back on it, fast enough for this promise: the
   * connection can keep it. Settles when that is known, at the latest after a second; the event `rebound` reports that it has come true later, and
   * after each reconnect. Never rejects.
   */
  async useBeats(silenceMs: number): Promise<BeatsState> {
    if (this.#released !== null) return "off";
    const { beats } = this.#shared;
    if (this.#silenceMs === null) {
      this.#silenceMs = silenceMs;
      this.beatsChanged();
      this.#shared.beatsWanted();
    }
    await beats.settled();
    if (this.#released !== null) return "off";
    if (beats.problem !== null) this.#shared.warnOfBeats(this, beats.problem);
    if (beats.account !== null && !beats.isFastEnoughFor(silenceMs)) {
      const ms = Math.ceil(beats.roundTripMs);
      this.warnOnce(
        `a silent leader is detected by its lease only, for now: a round trip to its server takes ${ms} ms, and silenceMs ${silenceMs} needs less than a third of that; raise silenceMs, or connect to a closer server`,
      );
      return "off";
    }
    return beats.state;
  }

  /** For the shared session only. */
  get usesBeats(): boolean {
    return this.#silenceMs !== null;
  }

  /** For the shared session only. */
  get beatsEveryMs(): number | null {
    return this.#beatsEveryMs;
  }

  /** For the shared session only. */
  get reconnectsOnLameDuck(): boolean {
    return this.#options.reconnectOnLameDuck !== false;
  }

  listen(listener: (event: SessionEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  inquire(binding: SessionBinding, options: InquiryOptions): Promise<HolderAnswer> {
    return this.#shared.inquiries.inquire(binding, options);
  }

  beat(everyMs: number | null): void {
    if (this.#released !== null) return;
    this.#beatsEveryMs = everyMs;
    this.#shared.beatsWanted();
  }

  roundTrip(now: Instant): Promise<Instant | null> {
    return this.#shared.roundTrip(now);
  }

  watchHolder(holder: SessionBinding | null): void {
    this.watchHolders(holder === null ? [] : [holder]);
  }

  watchHolders(holders: readonly SessionBinding[]): void {
    if (this.#released !== null) return;
    // This node may have just become the leader: its hook comes first.
    if (holders.length === 0) {
      this.#unwatching ??= setImmediate(() => this.#unwatch());
      return;
    }
    // What was forgotten in between has to be reported again.
    if (this.#unwatching !== null) this.#unwatch();
    this.#watch(holders);
  }

  #unwatch(): void {
    if (this.#unwatching !== null) clearImmediate(this.#unwatching);
    this.#unwatching = null;
    this.#watch([]);
  }

  #watch(holders: readonly SessionBinding[]): void {
    this.#watchPresences(new Set(holders.flatMap(({ presence }) => presence ?? [])));
    this.#watchBeats(beatsOf(holders));
    if (holders.length > 0) this.#shared.prepareToAsk(holders, this);
  }

  #watchPresences(wanted: ReadonlySet<string>): void {
    const before = this.#watchedPresences;
    this.#watchedPresences = wanted;
    for (const presence of before) if (!wanted.has(presence)) this.#shared.unwatch(presence, this);
    for (const presence of wanted) if (!before.has(presence)) this.#shared.watch(presence, this);
  }

  /** The election forgets the silence of a holder that has changed: it is listened for from the start, and reported again. */
  #watchBeats(wanted: ReadonlyMap<string, WatchedBeats>): void {
    const before = this.#watchedBeats;
    this.#watchedBeats = wanted;
    const goesOn = new Set<string>();
    for (const [key, watched] of before) {
      if (hasOnly(wanted.get(key), watched)) goesOn.add(key);
      else this.#shared.unwatchBeats(watched.holder, this);
    }
    for (const [key, { holder }] of wanted) if (!goesOn.has(key)) this.#shared.watchBeats(holder, this);
  }

  /** The last release ends the presence: its consumer loses its subscriber, and the server deletes it. The connection stays open. Idempotent. */
  release(): Promise<void> {
    this.#released ??= this.#release();
    return this.#released;
  }

  async #release(): Promise<void> {
    if (this.#unwatching !== null) clearImmediate(this.#unwatching);
    this.#watchPresences(new Set());
    this.#watchBeats(new Map());
    this.#silenceMs = null;
    this.#beatsEveryMs = null;
    this.#listeners.clear();
    await this.#shared.remove(this, this.#presenceStream);
  }

  /** For the shared session only. */
  emit(event: SessionEvent): void {
    for (const listener of [...this.#listeners]) guarded(() => listener(event));
  }

  /** For the shared session only. Late sessions receive earlier warnings; duplicates are suppressed. */
  warnOnce(message: string, error?: Error): void {
    if (this.#warned.has(message)) return;
    // The messages name streams of other elections on the connection: there can be any number of them.
    if (this.#warned.size >= MAX_WARNED) this.#warned.clear();
    this.#warned.add(message);
    this.warn(message, error);
  }

  /** For the shared session only. */
  warn(message: string, error?: Error): void {
    guarded(() => this.#options.onWarning?.(message, error));
  }

  /** For the shared session only. */
  presenceChanged(): void {
    if (this.#presenceStream !== null) this.emit({ type: "rebound", binding: this.binding });
  }

  /** For the shared session only. */
  beatsChanged(): void {
    const account = this.#account;
    if (account === this.#named) return;
    this.#named = account;
    this.emit({ type: "rebound", binding: this.binding });
  }

  /** For the shared session only. */
  silent(connection: ConnectionId): void {
    this.emit({ type: "holder-silent", connection });
  }

  /** For the shared session only. */
  heard(connection: ConnectionId): void {
    this.emit({ type: "holder-heard", connection });
  }

  /** For the shared session only. */
  connectionChanged(change: ConnectionChange): void {
    switch (change.type) {
      case "up":
        this.#named = this.#account;
        return this.emit({ type: "connected", binding: this.binding });
      case "down":
        return this.emit({ type: "disconnected", error: change.error });
      case "closed":
        return this.emit({ type: "closed", error: change.error });
      case "lame-duck":
      case "denied":
      case "refused":
        return;
      default:
        change satisfies never;
    }
  }
}

/** Holders whose beats are those of one connection, by one promise. */
interface WatchedBeats {
  readonly holder: BeatingHolder;
  /** What else distinguishes these holders from each other for the election. */
  readonly marks: Set<string>;
}

function beatsOf(holders: readonly SessionBinding[]): Map<string, WatchedBeats> {
  const watched = new Map<string, WatchedBeats>();
  for (const { serverId, clientId, presence = "", silence } of holders) {
    if (silence === undefined) continue;
    const key = `${serverId} ${clientId} ${silence.ms}`;
    const holder = { serverId, clientId, silenceMs: silence.ms };
    const known = watched.get(key) ?? { holder, marks: new Set() };
    known.marks.add(`${presence} ${silence.account}`);
    watched.set(key, known);
  }
  return watched;
}

function hasOnly(watched: WatchedBeats | undefined, { marks }: WatchedBeats): boolean {
  return watched !== undefined && [...watched.marks].every((mark) => marks.has(mark));
}
