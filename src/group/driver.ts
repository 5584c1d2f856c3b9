import { roundTripMs } from "../election/silence.ts";
import type { Instant } from "../election/time.ts";
import { asError } from "../errors.ts";
import { Freshness } from "../runtime/freshness.ts";
import type { BucketInfo, Clock, SessionEvent } from "../runtime/ports.ts";
import { RoundTrips } from "../runtime/round-trips.ts";
import { WakeTimer } from "../runtime/wake-timer.ts";
import { wakeDelayMs } from "./core/act.ts";
import type { GroupConfig, GroupEffect, GroupEvent, Profile } from "./core/events.ts";
import { step } from "./core/group.ts";
import { hasLeaseEnded, isBound, isSessionHeld, remainingLeaseMs, remainingStretchMs } from "./core/held.ts";
import { initialState } from "./core/initial-state.ts";
import { beatsEveryMs, dependsOnConnection, isHeld } from "./core/outlook.ts";
import { watchedSessions } from "./core/sessions.ts";
import type { GroupState } from "./core/state.ts";
import type { GroupSession, GroupStore } from "./ports.ts";

/** Effects for the application. The driver carries out the others. */
export type GroupOutput = Exclude<
  GroupEffect,
  { type: "write" | "read" | "read-after" | "open-bucket" | "ask" }
>;

export interface GroupDriverOptions {
  readonly config: GroupConfig;
  readonly profile: Profile;
  readonly clock: Clock;
  readonly store: GroupStore;
  readonly session: GroupSession;
  /** The bucket, which is open. */
  readonly bucket: BucketInfo;
  /**
   * Receives the effects for the application, in order, synchronously. The end of a session may bring thousands in one step: what is slow
   * has to be put off, so that the event loop turns. Must not throw.
   */
  readonly output: (output: GroupOutput) => void;
  /** Receives every step; for transcripts and tests. */
  readonly trace?: (
    event: GroupEvent,
    now: Instant,
    effects: readonly GroupEffect[],
    state: GroupState,
  ) => void;
  /** Receives every step once its effects have been carried out: for channels and facts. Must not throw. */
  readonly observe?: (
    event: GroupEvent,
    now: Instant,
    effects: readonly GroupEffect[],
    state: GroupState,
  ) => void;
}

/**
 * Runs one member. Everything that happens is an event in one queue; each event is one `step`, whose effects are carried out; their
 * results are events again. Nothing else changes the state.
 */
export class GroupDriver {
  readonly #options: GroupDriverOptions;
  readonly #state: GroupState;
  readonly #freshness: Freshness;
  readonly #roundTrips: RoundTrips;
  readonly #timer: WakeTimer;
  readonly #queue: GroupEvent[] = [];
  #handling = false;
  /** Aborts the opening of the bucket: the only effect whose result may take long. */
  #opening: AbortController | null = null;
  #unlisten: (() => void) | null = null;
  #watchVersion: number;
  #beatsEveryMs: number | null = null;

  constructor(options: GroupDriverOptions) {
    const { clock, config, profile, session } = options;
    this.#options = options;
    this.#freshness = new Freshness(clock, () => session.connected);
    this.#roundTrips = new RoundTrips(
      clock,
      session,
      () => roundTripMs(isBound(this.#state) ? config.silenceMs : 0),
      (tookMs, provenForMs) => this.#warnOfRoundTrips(tookMs, provenForMs),
    );
    this.#timer = new WakeTimer(
      clock,
      (now) => wakeDelayMs(this.#state, now),
      () => this.dispatch({ type: "tick" }),
    );
    this.#state = initialState(config, profile, clock.now());
    this.#watchVersion = this.#state.watchVersion;
  }

  /** To be read only. */
  get state(): GroupState {
    return this.#state;
  }

  /**
   * May this member act as the owner of the resource now, by its session's lease and stretch and by its connection? Compares clocks at every
   * call.
   */
  isHeld(resource: string): boolean {
    const now = this.#options.clock.now();
    return isHeld(this.#state, resource, now) && this.#isConnectionProven(now);
  }

  /** As `isHeld()`, for all resources at once. */
  isSessionHeld(): boolean {
    const now = this.#options.clock.now();
    return isSessionHeld(this.#state, now) && this.#isConnectionProven(now);
  }

  #isConnectionProven(now: Instant): boolean {
    if (this.#options.config.crashDetection !== "presence") return true;
    return this.#freshness.isFresh(now) && this.#roundTrips.isProven(now);
  }

  /** Ends a session and terms whose deadline has passed, and suspends a session whose stretch has ended, without waiting for the timer. */
  expire(): void {
    const now = this.#options.clock.now();
    const hasFallen = this.#state.own.phase === "live" && remainingStretchMs(this.#state, now) <= 0;
    if (hasFallen || hasLeaseEnded(this.#state, now)) this.dispatch({ type: "tick" });
  }

  /**
   * Resolves when the event loop has checked its sockets and the server has answered, if that was not done lately; also when
   * nothing depends on the connection any more, after `limitMs`, and when the signal aborts.
   */
  freshened(limitMs: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      let isOver = false;
      let cancelWait = (): void => {};
      const end = (): void => {
        isOver = true;
        cancelTimer?.();
        cancelWait();
        signal?.removeEventListener("abort", end);
        resolve();
      };
      const cancelTimer =
        limitMs === Number.POSITIVE_INFINITY ? null : this.#options.clock.setTimer(limitMs, end);
      signal?.addEventListener("abort", end, { once: true });
      this.#freshness.afterCheck(() => {
        if (!isOver) cancelWait = this.#roundTrips.whenProven(end);
      });
    });
  }

  /**
   * Milliseconds until the lease of the session ends, and with it all terms; for a resource until that of its term does. 0 without a session.
   */
  leaseRemainingMs(resource?: string): number {
    return remainingLeaseMs(this.#state, this.#options.clock.now(), resource);
  }

  /** As `leaseRemainingMs`, but until the first of lease and stretch ends. 0 while the session is suspended, and once all work has ended. */
  remainingMs(resource?: string): number {
    const now = this.#options.clock.now();
    if (!isSessionHeld(this.#state, now)) return 0;
    return Math.min(remainingLeaseMs(this.#state, now, resource), remainingStretchMs(this.#state, now));
  }

  /** As `remainingMs`, and with crash detection by presence no longer than the last round trip counts. */
  provenRemainingMs(resource?: string): number {
    const ms = this.remainingMs(resource);
    if (this.#options.config.crashDetection !== "presence") return ms;
    return Math.min(ms, this.#roundTrips.remainingMs(this.#options.clock.now()));
  }

  /** Begins to take part. The list of resources comes before. */
  start(): void {
    const { bucket, session, store } = this.#options;
    this.#unlisten = session.listen((event) => this.#onSession(event));
    store.watch({
      entry: (entry) => this.dispatch({ type: "watched", entry }),
      gone: () => this.dispatch({ type: "bucket-gone" }),
    });
    this.dispatch({ type: "bucket-opened", generation: bucket.generation });
    if (session.connected) this.dispatch({ type: "connected", binding: session.binding });
  }

  #onSession(event: SessionEvent): void {
    switch (event.type) {
      case "connected":
      case "rebound":
        return this.dispatch({ type: event.type, binding: event.binding });
      case "disconnected":
      case "closed":
        return this.dispatch({ type: "disconnected" });
      case "presence-lost":
      case "beat-proven":
      case "holder-silent":
      case "holder-heard":
        return this.dispatch(event);
      default:
        event satisfies never;
    }
  }

  /** Queues an event. Returns when it is handled, unless called within a step: then it is handled after that step. */
  dispatch(event: GroupEvent): void {
    if (this.#handling) {
      this.#queue.push(event);
      return;
    }
    this.#handling = true;
    let handled = 0;
    try {
      this.#step(event);
      while (handled < this.#queue.length) this.#step(this.#queue[handled++] as GroupEvent);
    } finally {
      this.#queue.splice(0, handled);
      this.#handling = false;
    }
    this.#timer.update();
  }

  #step(event: GroupEvent): void {
    const now = this.#options.clock.now();
    const effects = step(this.#state, event, now);
    this.#options.trace?.(event, now, effects, this.#state);
    // A request that is not sent has no result: the core would wait for it. So the others are carried out when an output throws.
    const failures: unknown[] = [];
    for (const effect of effects) {
      try {
        this.#carryOut(effect);
      } catch (thrown) {
        failures.push(thrown);
      }
    }
    if (!this.#state.stopped) this.#follow();
    this.#options.observe?.(event, now, effects, this.#state);
    if (failures.length > 0) throw failures[0];
  }

  #warnOfRoundTrips(tookMs: number, provenForMs: number): void {
    if (this.#options.config.crashDetection !== "presence" || this.#state.own.phase !== "live") return;
    this.#options.output({
      type: "warning",
      code: "SLOW_CONNECTION",
      message: `a round trip to the server takes ${Math.ceil(tookMs)} ms, and crashDetection "presence" needs less than ${provenForMs} ms: no term is held, and no other member takes the resources; connect to a closer server, or set crashDetection to "lease"`,
    });
  }

  /** Derives from the state whether to check the connection, how often to send beats, and which sessions to watch. */
  #follow(): void {
    const { session } = this.#options;
    if (dependsOnConnection(this.#state)) {
      this.#freshness.start();
      this.#roundTrips.start();
    } else {
      this.#freshness.stop();
      this.#roundTrips.stop();
    }
    const everyMs = beatsEveryMs(this.#state);
    if (everyMs !== this.#beatsEveryMs) {
      this.#beatsEveryMs = everyMs;
      session.beat(everyMs);
    }
    if (this.#state.watchVersion === this.#watchVersion) return;
    this.#watchVersion = this.#state.watchVersion;
    session.watchHolders(watchedSessions(this.#state));
  }

  #carryOut(effect: GroupEffect): void {
    const { store, session, output } = this.#options;
    switch (effect.type) {
      case "write": {
        const { nonce } = effect;
        void store
          .write(effect.write, effect.timeoutMs)
          .then((outcome) => this.#answered({ type: "written", nonce, outcome }));
        return;
      }
      case "read": {
        const { request } = effect;
        void store
          .read(effect.key, effect.timeoutMs)
          .then((outcome) => this.#answered({ type: "read", request, outcome }));
        return;
      }
      case "read-after": {
        const { request } = effect;
        void store
          .readAfter(effect.after, effect.timeoutMs)
          .then((outcome) => this.#answered({ type: "changes", request, outcome }));
        return;
      }
      case "open-bucket":
        return this.#open(effect.above);
      case "ask": {
        const { question, binding, timeoutMs, closedIsEnough } = effect;
        void session
          .inquire(binding, { timeoutMs, closedIsEnough })
          .then((answer) => this.dispatch({ type: "answered", question, answer }));
        return;
      }
      case "stopped":
        this.#end();
        return output(effect);
      default:
        output(effect);
    }
  }

  #open(above: number): void {
    this.#opening = new AbortController();
    void this.#options.store.open(this.#opening.signal, above).then(
      ({ generation }) => {
        this.#opening = null;
        this.dispatch({ type: "bucket-opened", generation });
      },
      (error: unknown) => {
        this.#opening = null;
        this.dispatch({ type: "bucket-failed", error: asError(error) });
      },
    );
  }

  /** After a pause an answer counts once the loop has checked its sockets: the session may have been ended while the process stood still. */
  #answered(event: GroupEvent): void {
    this.#freshness.afterCheck(() => this.dispatch(event));
  }

  #end(): void {
    this.#opening?.abort();
    this.#freshness.stop();
    this.#roundTrips.stop();
    this.#unlisten?.();
    this.#unlisten = null;
    if (this.#beatsEveryMs !== null) this.#options.session.beat(null);
    this.#beatsEveryMs = null;
    this.#options.session.watchHolders([]);
  }
}
