import { wakeDelayMs } from "../election/due.ts";
import { initialState, isHeld, remainingStretchMs, step } from "../election/election.ts";
import { beatsEveryMs, dependsOnConnection, isSameHolder, watchedHolder } from "../election/outlook.ts";
import { isBound, roundTripMs } from "../election/silence.ts";
import { hasReached, type Instant, remainingMs } from "../election/time.ts";
import type {
  Effect,
  ElectionConfig,
  ElectionEvent,
  ElectionState,
  LeaseWrite,
  SessionBinding,
} from "../election/types.ts";
import { asError } from "../errors.ts";
import { Freshness } from "./freshness.ts";
import type { BucketInfo, Clock, LeaseStore, Session } from "./ports.ts";
import { RoundTrips } from "./round-trips.ts";
import { WakeTimer } from "./wake-timer.ts";

/** Effects for the application. The driver carries out the others. */
export type Output = Exclude<Effect, { type: "write" | "read" | "open-bucket" | "ask" }>;

export interface DriverOptions {
  readonly config: ElectionConfig;
  readonly clock: Clock;
  readonly store: LeaseStore;
  readonly session: Session;
  /** Largest epoch an earlier incarnation in this process has seen. */
  readonly rememberedEpoch?: number;
  /** @default true */
  readonly competes?: boolean;
  /** Receives the effects for the application, in order, synchronously. Must not throw. */
  readonly output: (output: Output) => void;
  /** Receives every step; for transcripts and tests. */
  readonly trace?: (
    event: ElectionEvent,
    now: Instant,
    effects: readonly Effect[],
    state: ElectionState,
  ) => void;
  /** Receives every step once its effects have been carried out: for channels and facts. Must not throw. */
  readonly observe?: (
    event: ElectionEvent,
    now: Instant,
    effects: readonly Effect[],
    before: ElectionState,
    after: ElectionState,
  ) => void;
}

/**
 * Runs one election. Everything that happens is an event in one queue; each event is one `step`, whose effects are carried out;
 * their results are events again. Nothing else changes the state.
 */
export class Driver {
  readonly #options: DriverOptions;
  readonly #freshness: Freshness;
  readonly #roundTrips: RoundTrips;
  readonly #timer: WakeTimer;
  readonly #queue: ElectionEvent[] = [];
  /** Aborts the opening of the bucket: the only effect whose result may take long. */
  #opening: AbortController | null = null;
  #state: ElectionState;
  #handling = false;
  #unlisten: (() => void) | null = null;
  #watchedHolder: SessionBinding | null = null;
  #beatsEveryMs: number | null = null;

  constructor(options: DriverOptions) {
    this.#options = options;
    this.#freshness = new Freshness(options.clock, () => options.session.connected);
    this.#roundTrips = new RoundTrips(
      options.clock,
      options.session,
      () => roundTripMs(isBound(this.#state) ? options.config.silenceMs : 0),
      (tookMs, provenForMs) => this.#warnOfRoundTrips(tookMs, provenForMs),
    );
    this.#timer = new WakeTimer(
      options.clock,
      (now) => wakeDelayMs(this.#state, now),
      () => this.dispatch({ type: "tick" }),
    );
    this.#state = initialState(options.config, options.clock.now(), options);
  }

  get state(): ElectionState {
    return this.#state;
  }

  /** May this node act as the leader now, by its lease, its stretch and its connection? Compares clocks at every call. */
  isHeld(): boolean {
    if (this.#state.role.name !== "leader") return false;
    const now = this.#options.clock.now();
    if (!isHeld(this.#state, now)) return false;
    if (this.#options.config.crashDetection !== "presence") return true;
    return this.#freshness.isFresh(now) && this.#roundTrips.isProven(now);
  }

  /** Ends a term whose deadline has passed, and suspends one whose stretch has ended, without waiting for the timer. */
  expire(): void {
    const { role } = this.#state;
    if (!("term" in role)) return;
    const now = this.#options.clock.now();
    const hasFallen = role.name === "leader" && remainingStretchMs(this.#state, now) === 0;
    if (hasFallen || hasReached(role.term.deadline, now)) this.dispatch({ type: "tick" });
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

  /** Milliseconds until the lease of the term with this epoch ends; 0 if that term is not running. */
  leaseRemainingMs(epoch: number): number {
    const { role } = this.#state;
    if (!("term" in role) || role.term.epoch !== epoch) return 0;
    return remainingMs(role.term.deadline, this.#options.clock.now());
  }

  /**
   * As `leaseRemainingMs`, but until the first of lease and stretch ends, and 0 while suspended and once the lease may be deleted: another
   * node may lead from then on. While draining it is 0 from the end of a stretch until a write of the next one is known to be applied.
   */
  remainingMs(epoch: number): number {
    const { role } = this.#state;
    if (role.name === "suspended" || (role.name === "draining" && role.drained)) return 0;
    const leaseMs = this.leaseRemainingMs(epoch);
    return Math.min(leaseMs, remainingStretchMs(this.#state, this.#options.clock.now()));
  }

  /** As `remainingMs`, and with crash detection by presence no longer than the last round trip counts. */
  provenRemainingMs(epoch: number): number {
    const ms = this.remainingMs(epoch);
    if (this.#options.config.crashDetection !== "presence") return ms;
    return Math.min(ms, this.#roundTrips.remainingMs(this.#options.clock.now()));
  }

  /** Starts the election in a bucket that is already open. */
  start(bucket: BucketInfo): void {
    const { session, store } = this.#options;
    this.#unlisten = session.listen((event) => {
      switch (event.type) {
        case "connected":
        case "rebound":
          this.dispatch({ type: event.type, binding: event.binding });
          break;
        case "disconnected":
        case "closed":
          this.dispatch({ type: "disconnected" });
          break;
        case "presence-lost":
        case "beat-proven":
        case "holder-silent":
        case "holder-heard":
          this.dispatch(event);
          break;
        default:
          event satisfies never;
      }
    });
    store.watch({
      entry: (entry) => this.dispatch({ type: "watched", entry }),
      gone: () => this.dispatch({ type: "bucket-gone" }),
    });
    this.dispatch({ type: "bucket-opened", generation: bucket.generation, maxAgeMs: bucket.maxAgeMs });
    if (session.connected) this.dispatch({ type: "connected", binding: session.binding });
  }

  /** Queues an event. Returns when it is handled, unless called within a step: then it is handled after that step. */
  dispatch(event: ElectionEvent): void {
    if (this.#handling) {
      this.#queue.push(event);
      return;
    }
    this.#handling = true;
    try {
      let next: ElectionEvent | undefined = event;
      while (next !== undefined) {
        this.#step(next);
        next = this.#queue.length === 0 ? undefined : this.#queue.shift();
      }
    } finally {
      this.#handling = false;
    }
    this.#timer.update();
  }

  #step(event: ElectionEvent): void {
    const now = this.#options.clock.now();
    const before = this.#state;
    const { state, effects } = step(before, event, now);
    this.#state = state;
    this.#options.trace?.(event, now, effects, state);
    for (const effect of effects) this.#carryOut(effect);
    this.#checkConnection(state, now);
    this.#follow(state);
    this.#options.observe?.(event, now, effects, before, state);
  }

  /** Derives from the state whether to check the connection. `now`: of the step, in which the write that counts as a check was sent. */
  #checkConnection(state: ElectionState, now: Instant): void {
    if (dependsOnConnection(state)) {
      this.#freshness.start(now);
      this.#roundTrips.start(now);
    } else {
      this.#freshness.stop();
      this.#roundTrips.stop();
    }
  }

  #warnOfRoundTrips(tookMs: number, provenForMs: number): void {
    if (this.#state.role.name !== "leader") return;
    this.#options.output({
      type: "warning",
      code: "SLOW_CONNECTION",
      message: `a round trip to the server takes ${Math.ceil(tookMs)} ms, and crashDetection "presence" needs less than ${provenForMs} ms: isLeader() is false, and no other node leads; connect to a closer server, or set crashDetection to "lease"`,
    });
  }

  /** Derives from the state how often to send beats, and which holder to watch. */
  #follow(state: ElectionState): void {
    const everyMs = beatsEveryMs(state);
    if (everyMs !== this.#beatsEveryMs) {
      this.#beatsEveryMs = everyMs;
      this.#options.session.beat(everyMs);
    }
    const holder = watchedHolder(state);
    if (!isSameHolder(holder, this.#watchedHolder)) {
      this.#watchedHolder = holder;
      this.#options.session.watchHolder(holder);
    }
  }

  #carryOut(effect: Effect): void {
    const { store, session } = this.#options;
    switch (effect.type) {
      case "write":
        this.#write(effect.nonce, effect.write, effect.timeoutMs);
        return;
      case "read":
        void store.read(effect.timeoutMs).then((outcome) => this.#answered({ type: "read", outcome }));
        return;
      case "open-bucket":
        this.#opening = new AbortController();
        void store.open(this.#opening.signal, effect.above).then(
          ({ generation, maxAgeMs }) => {
            this.#opening = null;
            this.dispatch({ type: "bucket-opened", generation, maxAgeMs });
          },
          (error: unknown) => {
            this.#opening = null;
            this.dispatch({ type: "bucket-failed", error: asError(error) });
          },
        );
        return;
      case "ask":
        void session
          .inquire(effect.binding, { timeoutMs: effect.timeoutMs, closedIsEnough: effect.closedIsEnough })
          .then((answer) => this.dispatch({ type: "answered", question: effect.question, answer }));
        return;
      case "stopped":
        this.#end();
        this.#options.output(effect);
        return;
      default:
        this.#options.output(effect);
    }
  }

  #write(nonce: number, write: LeaseWrite, timeoutMs: number): void {
    void this.#options.store
      .write(write, timeoutMs)
      .then((outcome) => this.#answered({ type: "written", nonce, outcome }));
  }

  #answered(event: ElectionEvent): void {
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
    if (this.#watchedHolder !== null) this.#options.session.watchHolder(null);
    this.#watchedHolder = null;
  }
}
