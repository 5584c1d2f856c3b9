/**
 * The session of a NATS connection. All elections on the connection share one monitor, one presence consumer, and one
 * subscription for each presence that they watch.
 */
import type { NatsConnection, Subscription } from "@nats-io/transport-node";
import { after, hasReached, type Instant } from "../../election/time.ts";
import type { HolderAnswer, OwnConnection, SessionBinding } from "../../election/types.ts";
import type { InquiryOptions, Session, SessionEvent } from "../../runtime/ports.ts";
import { grantHint } from "../api/grant-hint.ts";
import { CHECK_CREDENTIALS } from "../connection/connection.ts";
import { type ConnectionChange, ConnectionMonitor, guarded } from "../connection/connection-monitor.ts";
import { consumerDeletedAdvisory } from "../names.ts";
import { accountTag, isConnectionGone } from "./confirmation.ts";
import { Inquiries } from "./inquiries.ts";
import { Presence, type PresenceState } from "./presence.ts";

/** Spreads the clients that leave a server. It waits 10 s before it closes connections itself. */
const LAME_DUCK_SPREAD_MS = 500;

/** Elections on one connection share a round trip that began at most so long ago. */
const SHARED_ROUND_TRIP_MS = 50;

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
}

/** By connection and JetStream domain. */
const sessions = new WeakMap<NatsConnection, Map<string | null, SharedSession>>();

/** One election's handle on the session of a connection. The caller releases it. */
export function openSession(connection: NatsConnection, options: SessionOptions = {}): NatsSession {
  const { domain = null } = options;
  const ofConnection = sessions.get(connection) ?? new Map<string | null, SharedSession>();
  sessions.set(connection, ofConnection);
  const shared = ofConnection.get(domain) ?? new SharedSession(connection, domain);
  ofConnection.set(domain, shared);
  const session = new NatsSession(shared, options);
  shared.add(session);
  return session;
}

/** One election's handle on the session of a connection. */
export class NatsSession implements Session {
  readonly options: SessionOptions;
  readonly #shared: SharedSession;
  readonly #listeners = new Set<(event: SessionEvent) => void>();
  readonly #warned = new Set<string>();
  #presenceStream: string | null = null;
  #watched: string | null = null;
  #released: Promise<void> | null = null;

  /** Use `openSession`. */
  constructor(shared: SharedSession, options: SessionOptions) {
    this.#shared = shared;
    this.options = options;
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
    return presence === null ? endpoint : { ...endpoint, presence };
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

  listen(listener: (event: SessionEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async inquire(binding: SessionBinding, { timeoutMs }: InquiryOptions): Promise<HolderAnswer> {
    const isGone = await this.#shared.inquiries.isGone(binding, timeoutMs);
    return { kind: isGone ? "closed" : "none" };
  }

  beat(_everyMs: number | null): void {}

  roundTrip(now: Instant): Promise<Instant | null> {
    return this.#shared.roundTrip(now);
  }

  watchHolder(holder: SessionBinding | null): void {
    const presence = holder?.presence ?? null;
    if (presence === this.#watched || this.#released !== null) return;
    if (this.#watched !== null) this.#shared.unwatch(this.#watched, this);
    this.#watched = presence;
    if (presence === null) return;
    this.#shared.watch(presence, this);
    // Prefetched: saves a round trip during failover. An error surfaces when the tag is next requested.
    accountTag(this.monitor).catch(() => {});
  }

  /** The last release deletes the presence consumer. The connection stays open. Idempotent. */
  release(): Promise<void> {
    this.#released ??= this.#release();
    return this.#released;
  }

  async #release(): Promise<void> {
    if (this.#watched !== null) this.#shared.unwatch(this.#watched, this);
    this.#watched = null;
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
    guarded(() => this.options.onWarning?.(message, error));
  }

  /** For the shared session only. */
  rebound(): void {
    if (this.#presenceStream !== null) this.emit({ type: "rebound", binding: this.binding });
  }

  /** For the shared session only. */
  connectionChanged(change: ConnectionChange): void {
    switch (change.type) {
      case "up":
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

interface PresenceWatch {
  readonly subscription: Subscription;
  readonly sessions: Set<NatsSession>;
}

/** The shared part of all sessions on one connection. */
class SharedSession {
  readonly monitor: ConnectionMonitor;
  readonly presence: Presence;
  readonly inquiries: Inquiries;
  readonly #connection: NatsConnection;
  readonly #unlisten: () => void;
  readonly #sessions = new Set<NatsSession>();
  readonly #watches = new Map<string, PresenceWatch>();
  #leaving: NodeJS.Timeout | null = null;
  /** Refused credentials were reported in this outage. */
  #refusalWarned = false;
  #deniedWatchWarned = false;
  #roundTrip: { readonly sentAt: Instant; readonly answer: Promise<Instant | null> } | null = null;

  constructor(connection: NatsConnection, domain: string | null) {
    this.#connection = connection;
    this.monitor = ConnectionMonitor.acquire(connection, domain);
    this.inquiries = new Inquiries((binding, timeoutMs) =>
      isConnectionGone(this.monitor, binding, timeoutMs),
    );
    this.presence = new Presence(this.monitor, {
      changed: () => {
        if (this.monitor.connected) for (const session of [...this.#sessions]) session.rebound();
      },
      warn: (message, error) => {
        for (const session of [...this.#sessions]) session.warnOnce(message, error);
      },
    });
    this.#unlisten = this.monitor.listen((change) => {
      if (change.type === "lame-duck") this.#leave();
      if (change.type === "refused") this.#refused(change.error);
      if (change.type === "up") this.#refusalWarned = false;
      for (const session of [...this.#sessions]) session.connectionChanged(change);
    });
  }

  add(session: NatsSession): void {
    this.#sessions.add(session);
  }

  async remove(session: NatsSession, presenceStream: string | null): Promise<void> {
    this.#sessions.delete(session);
    if (this.#sessions.size > 0) {
      if (presenceStream !== null) await this.presence.drop(presenceStream);
      return;
    }
    const ofConnection = sessions.get(this.#connection);
    if (ofConnection?.get(this.monitor.domain) === this) ofConnection.delete(this.monitor.domain);
    if (this.#leaving !== null) clearTimeout(this.#leaving);
    this.#unlisten();
    await this.presence.close();
    this.monitor.release();
  }

  /** A PING and its PONG: no permission forbids them, and no subject leads elsewhere. */
  roundTrip(now: Instant): Promise<Instant | null> {
    if (!this.monitor.connected) return Promise.resolve(null);
    const last = this.#roundTrip;
    if (last !== null && !hasReached(after(last.sentAt, SHARED_ROUND_TRIP_MS), now)) return last.answer;
    const answer = this.#connection.flush().then(
      () => now,
      () => null,
    );
    this.#roundTrip = { sentAt: now, answer };
    return answer;
  }

  watch(presence: string, session: NatsSession): void {
    const known = this.#watches.get(presence);
    if (known !== undefined) return void known.sessions.add(session);
    if (this.monitor.closed) return;
    const watching = new Set([session]);
    const subscription = this.#connection.subscribe(consumerDeletedAdvisory(presence), {
      callback: (error) => {
        if (error !== null) return this.#watchDenied(presence, error);
        for (const watcher of [...watching]) watcher.emit({ type: "presence-lost", presence });
      },
    });
    this.#watches.set(presence, { subscription, sessions: watching });
  }

  unwatch(presence: string, session: NatsSession): void {
    const known = this.#watches.get(presence);
    if (known === undefined) return;
    known.sessions.delete(session);
    if (known.sessions.size > 0) return;
    this.#watches.delete(presence);
    known.subscription.unsubscribe();
  }

  /** The user may not subscribe to the advisory. One warning, and none if presence is denied for the same reason. */
  #watchDenied(presence: string, error: Error): void {
    if (this.#deniedWatchWarned || this.presence.state === "denied") return;
    this.#deniedWatchWarned = true;
    const hint = grantHint("subscribe", consumerDeletedAdvisory(presence));
    this.#warn(
      `a crash of the leader is detected only when its lease expires: ${error.message}; ${hint}`,
      error,
    );
  }

  /** nats.js stays on a server in lame duck mode until the server closes the connection. Leaving now costs milliseconds. */
  #leave(): void {
    const isKept = [...this.#sessions].some((session) => session.options.reconnectOnLameDuck === false);
    if (isKept || this.#leaving !== null || this.#connection.getServers().length < 2) return;
    this.#leaving = setTimeout(() => {
      this.#leaving = null;
      if (this.monitor.connected) void this.#connection.reconnect().catch(() => {});
    }, Math.random() * LAME_DUCK_SPREAD_MS);
    this.#leaving.unref();
  }

  #refused(error: Error): void {
    if (this.#refusalWarned) return;
    this.#refusalWarned = true;
    this.#warn(`NATS refuses the credentials: ${error.message}; ${CHECK_CREDENTIALS}; still trying`, error);
  }

  #warn(message: string, error?: Error): void {
    for (const session of [...this.#sessions]) session.warn(message, error);
  }
}
