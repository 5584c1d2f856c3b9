/** What all elections on one NATS connection share: one monitor, one presence consumer, one stream of beats, what they watch and ask. */
import type { NatsConnection, Subscription } from "@nats-io/transport-node";
import { after, hasReached, type Instant } from "../../election/time.ts";
import type { SessionBinding } from "../../election/types.ts";
import type { SessionEvent } from "../../runtime/ports.ts";
import { grantHint } from "../api/grant-hint.ts";
import { CHECK_CREDENTIALS } from "../connection/connection.ts";
import { type ConnectionChange, ConnectionMonitor } from "../connection/connection-monitor.ts";
import { ALL_BEATS, consumerDeletedAdvisory } from "../names.ts";
import { AnswerInbox } from "./answer-inbox.ts";
import { accountTag, askAbout, whyUnprovable } from "./confirmation.ts";
import { type BeatingHolder, HolderBeats, type HolderListener } from "./holder-beats.ts";
import { Inquiries } from "./inquiries.ts";
import { type BeatsProblem, OwnBeats } from "./own-beats.ts";
import { Presence } from "./presence.ts";

/** Spreads the clients that leave a server. It waits 10 s before it closes connections itself. */
const LAME_DUCK_SPREAD_MS = 500;

/** Elections on one connection share a round trip that began at most so long ago. */
const SHARED_ROUND_TRIP_MS = 50;

interface PresenceWatch {
  readonly subscription: Subscription;
  readonly sessions: Set<SessionHandle>;
}

/** One election's handle, as the shared session calls it. */
export interface SessionHandle extends HolderListener {
  /** How often this election needs a beat; `null`: not at all. */
  readonly beatsEveryMs: number | null;
  readonly usesBeats: boolean;
  /** As `SessionOptions.reconnectOnLameDuck`. */
  readonly reconnectsOnLameDuck: boolean;
  emit(event: SessionEvent): void;
  connectionChanged(change: ConnectionChange): void;
  /** The presence of the session has changed. */
  presenceChanged(): void;
  /** Silence can be promised from now on, or not any more. */
  beatsChanged(): void;
  warn(message: string, error?: Error): void;
  /** Late sessions receive earlier warnings; duplicates are suppressed. */
  warnOnce(message: string, error?: Error): void;
}

export interface SharedSessionOptions {
  readonly domain: string | null;
  readonly deniedRetryMs: number;
  /** The last session was released. */
  readonly onUnused: () => void;
}

/** The shared part of all sessions on one connection. */
export class SharedSession {
  readonly monitor: ConnectionMonitor;
  readonly presence: Presence;
  readonly beats: OwnBeats;
  readonly inquiries: Inquiries;
  readonly #holders: HolderBeats;
  readonly #answers: AnswerInbox;
  readonly #connection: NatsConnection;
  readonly #unlisten: () => void;
  readonly #onUnused: () => void;
  readonly #sessions = new Set<SessionHandle>();
  readonly #watches = new Map<string, PresenceWatch>();
  #leaving: NodeJS.Timeout | null = null;
  /** Refused credentials were reported in this outage. */
  #refusalWarned = false;
  #deniedWatchWarned = false;
  #deniedBeatsWarned = false;
  #roundTrip: { readonly sentAt: Instant; readonly answer: Promise<Instant | null> } | null = null;

  constructor(connection: NatsConnection, { domain, deniedRetryMs, onUnused }: SharedSessionOptions) {
    this.#connection = connection;
    this.#onUnused = onUnused;
    this.monitor = ConnectionMonitor.acquire(connection, domain);
    this.#holders = new HolderBeats(this.monitor, (error, subject) => this.#beatsDenied(error, subject));
    this.#answers = new AnswerInbox(connection);
    this.inquiries = new Inquiries((binding, timeoutMs) =>
      askAbout(this.monitor, binding, {
        timeoutMs,
        heard: () => this.#holders.countOf(binding),
        inbox: this.#answers,
        onUnprovable: (why) => this.#warnOnce(unprovable(why)),
      }),
    );
    this.beats = new OwnBeats(this.monitor, deniedRetryMs, {
      changed: () => {
        for (const session of [...this.#sessions]) session.beatsChanged();
      },
      proven: (sentAt) => {
        for (const session of [...this.#sessions])
          if (session.beatsEveryMs !== null) session.emit({ type: "beat-proven", sentAt });
      },
      warn: (problem) => {
        for (const session of [...this.#sessions]) this.warnOfBeats(session, problem);
      },
    });
    this.presence = new Presence(this.monitor, deniedRetryMs, {
      changed: () => {
        if (this.monitor.connected) for (const session of [...this.#sessions]) session.presenceChanged();
      },
      warn: (message, error) => {
        for (const session of [...this.#sessions]) session.warnOnce(message, error);
      },
    });
    this.#unlisten = this.monitor.listen((change) => {
      if (change.type === "lame-duck") this.#leave();
      if (change.type === "refused") this.#refused(change.error);
      if (change.type === "denied") this.beats.denied(change.subject, change.error);
      if (change.type === "up") this.#onUp();
      // First: an election that hears of the end must not hear of beats of that connection later.
      if (change.type === "down") this.#onDown();
      for (const session of [...this.#sessions]) session.connectionChanged(change);
    });
  }

  add(session: SessionHandle): void {
    this.#sessions.add(session);
  }

  async remove(session: SessionHandle, presenceStream: string | null): Promise<void> {
    this.#sessions.delete(session);
    this.beatsWanted();
    if (this.#sessions.size > 0) {
      if (presenceStream !== null) await this.presence.drop(presenceStream);
      return;
    }
    this.#onUnused();
    if (this.#leaving !== null) clearTimeout(this.#leaving);
    this.#unlisten();
    this.#answers.close();
    await this.presence.close();
    this.monitor.release();
  }

  #onUp(): void {
    this.#refusalWarned = false;
    this.#holders.begin();
    this.beats.begin();
  }

  #onDown(): void {
    this.#holders.end();
    this.beats.end();
  }

  /** An election depends on beats, or needs them more or less often than before. */
  beatsWanted(): void {
    let isWanted = false;
    let everyMs: number | null = null;
    for (const session of this.#sessions) {
      isWanted ||= session.usesBeats || session.beatsEveryMs !== null;
      if (session.beatsEveryMs !== null)
        everyMs = Math.min(everyMs ?? session.beatsEveryMs, session.beatsEveryMs);
    }
    this.beats.want(isWanted, everyMs);
  }

  /** Nothing if presence is denied for the same reason, and its warning says what to allow. */
  warnOfBeats(session: SessionHandle, { message, error, isAboutAccount }: BeatsProblem): void {
    if (!session.usesBeats || (isAboutAccount && this.presence.state === "denied")) return;
    session.warnOnce(message, error);
  }

  watchBeats(holder: BeatingHolder, session: SessionHandle): void {
    if (!this.monitor.closed) this.#holders.watch(holder, session);
  }

  unwatchBeats(holder: BeatingHolder, session: SessionHandle): void {
    this.#holders.unwatch(holder, session);
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

  /** Holders are watched: their servers may have to be asked about them. */
  prepareToAsk(holders: readonly SessionBinding[], session: SessionHandle): void {
    if (this.monitor.closed) return;
    try {
      this.#answers.open();
    } catch {
      return; // The connection is being closed.
    }
    // Prefetched: saves a round trip during failover. An error surfaces when the tag is next requested.
    accountTag(this.monitor).catch(() => {});
    for (const holder of holders)
      void whyUnprovable(this.monitor, holder).then((why) => {
        if (why !== null) session.warnOnce(unprovable(why));
      });
  }

  watch(presence: string, session: SessionHandle): void {
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

  unwatch(presence: string, session: SessionHandle): void {
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
      `no fast crash detection of the leader: it is noticed by its missing beats or, without a promise of silence, when its lease expires: ${error.message}; ${hint}`,
      error,
    );
  }

  /** The user may not hear beats. One warning, and none if the own beats are denied, which need the same permission. */
  #beatsDenied(error: Error, subject: string): void {
    if (this.#deniedBeatsWarned || this.beats.state === "denied") return;
    this.#deniedBeatsWarned = true;
    const why = error.message.replaceAll(subject, ALL_BEATS);
    this.#warn(
      `the beats of the leader cannot be heard, and its server is asked for signs of life instead: ${why}; ` +
        `allow this user to subscribe to "${ALL_BEATS}"`,
      error,
    );
  }

  /** nats.js stays on a server in lame duck mode until the server closes the connection. Leaving now costs milliseconds. */
  #leave(): void {
    const isKept = [...this.#sessions].some((session) => !session.reconnectsOnLameDuck);
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

  #warnOnce(message: string): void {
    for (const session of [...this.#sessions]) session.warnOnce(message);
  }

  #warn(message: string, error?: Error): void {
    for (const session of [...this.#sessions]) session.warn(message, error);
  }
}

function unprovable(why: string): string {
  return `a crash of the holder is noticed only when its lease has expired: ${why}`;
}
