/** The beats of other connections, heard on their subjects. Shared by all elections on this connection. */

import type { Subscription } from "@nats-io/transport-node";
import type { ConnectionId } from "../../election/types.ts";
import { missingBeatMs } from "../../inquiry/durations.ts";
import { BeatWatch } from "../../runtime/beat-watch.ts";
import { systemClock } from "../../runtime/system-clock.ts";
import type { ConnectionMonitor } from "../connection/connection-monitor.ts";
import { beatSubject } from "../names.ts";

/**
 * Beats look like this. Who may not publish to the subject can still have a server send its responses there, which must not look like
 * signs of life.
 */
const BEAT = /^[A-Za-z0-9_-]{16,64}$/;
const MAX_BEAT_BYTES = 64;

/** A holder that promises silence. */
export interface BeatingHolder extends ConnectionId {
  /** What it promises. Holders on one connection may promise different times: it sends beats for the shortest. */
  readonly silenceMs: number;
}

/** Hears about one holder: an election. */
export interface HolderListener {
  /** No beat of the connection was heard for too long. Called once until it is heard again. */
  silent(connection: ConnectionId): void;
  heard(connection: ConnectionId): void;
}

/** All who wait for the beats of one connection by one promise. */
interface Watch {
  readonly listeners: Set<HolderListener>;
  /** `null` while this process is disconnected: it can hear nothing then. */
  beats: BeatWatch | null;
}

interface WatchedConnection {
  readonly connection: ConnectionId;
  /** By the time that is promised. */
  readonly watches: Map<number, Watch>;
  subscription: Subscription | null;
  /** Number of beats. */
  count: number;
}

/** One subscription for each connection that is watched, however many elections follow it. */
export class HolderBeats {
  readonly #monitor: ConnectionMonitor;
  readonly #onDenied: (error: Error, subject: string) => void;
  readonly #connections = new Map<string, WatchedConnection>();

  constructor(monitor: ConnectionMonitor, onDenied: (error: Error, subject: string) => void) {
    this.#monitor = monitor;
    this.#onDenied = onDenied;
  }

  /** Number of beats of this connection that were heard while it was watched. */
  countOf(connection: ConnectionId): number {
    return this.#connections.get(beatSubject(connection))?.count ?? 0;
  }

  watch({ serverId, clientId, silenceMs }: BeatingHolder, listener: HolderListener): void {
    const subject = beatSubject({ serverId, clientId });
    let watched = this.#connections.get(subject);
    if (watched === undefined) {
      watched = { connection: { serverId, clientId }, watches: new Map(), subscription: null, count: 0 };
      this.#connections.set(subject, watched);
      if (this.#monitor.connected) this.#subscribe(watched);
    }
    let watch = watched.watches.get(silenceMs);
    if (watch === undefined) {
      watch = { listeners: new Set(), beats: null };
      watched.watches.set(silenceMs, watch);
      if (this.#monitor.connected) watch.beats = beatWatch(watched.connection, silenceMs, watch);
    }
    watch.listeners.add(listener);
    if (watch.beats?.isSilent === true) listener.silent(watched.connection);
  }

  unwatch({ silenceMs, ...connection }: BeatingHolder, listener: HolderListener): void {
    const subject = beatSubject(connection);
    const watched = this.#connections.get(subject);
    const watch = watched?.watches.get(silenceMs);
    if (watched === undefined || watch === undefined) return;
    watch.listeners.delete(listener);
    if (watch.listeners.size > 0) return;
    watch.beats?.stop();
    watched.watches.delete(silenceMs);
    if (watched.watches.size > 0) return;
    watched.subscription?.unsubscribe();
    this.#connections.delete(subject);
  }

  /** A connection has begun. Whatever was not heard before could not be. */
  begin(): void {
    this.end();
    for (const watched of this.#connections.values()) {
      this.#subscribe(watched);
      for (const [silenceMs, watch] of watched.watches)
        watch.beats = beatWatch(watched.connection, silenceMs, watch);
    }
  }

  /** The connection has ended. */
  end(): void {
    for (const watched of this.#connections.values()) {
      // Subscribed to again on the next connection: a server may have denied it on this one.
      watched.subscription?.unsubscribe();
      watched.subscription = null;
      for (const watch of watched.watches.values()) {
        watch.beats?.stop();
        watch.beats = null;
      }
    }
  }

  #subscribe(watched: WatchedConnection): void {
    const subject = beatSubject(watched.connection);
    try {
      watched.subscription = this.#monitor.connection.subscribe(subject, {
        callback: (error, message) => {
          // Nothing will be heard: the connection counts as silent, which entitles to questions only.
          if (error !== null) return this.#onDenied(error, subject);
          if (message.data.length > MAX_BEAT_BYTES || !BEAT.test(message.string())) return;
          watched.count += 1;
          for (const { beats } of watched.watches.values()) beats?.heard();
        },
      });
    } catch {
      // The connection is being closed.
    }
  }
}

function beatWatch(connection: ConnectionId, silenceMs: number, { listeners }: Watch): BeatWatch {
  return new BeatWatch(systemClock(), missingBeatMs(silenceMs), (isSilent) => {
    for (const listener of [...listeners]) {
      if (isSilent) listener.silent(connection);
      else listener.heard(connection);
    }
  });
}
