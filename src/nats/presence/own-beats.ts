/**
 * The beats of this process's own connection (`src/election/silence.ts`): what it sends to itself, through its server, on a subject
 * that nothing else uses. A connection begins with one beat, which shows whether what it sends comes back. Only then is the tag of
 * its account known to the elections, and only with that does a record promise silence: a promise that could not be kept would
 * suspend its term for good.
 */
import type { Subscription } from "@nats-io/transport-node";
import type { Instant } from "../../election/time.ts";
import { Beats } from "../../runtime/beats.ts";
import type { Clock } from "../../runtime/ports.ts";
import { systemClock, systemRandom } from "../../runtime/system-clock.ts";
import { type Deferred, deferred } from "../../runtime/waiting.ts";
import { toClusterError } from "../api/request.ts";
import { settledWithin } from "../connection/connection.ts";
import type { ConnectionMonitor, Endpoint } from "../connection/connection-monitor.ts";
import { connectedWith } from "../connection/internals.ts";
import { ALL_BEATS, beatSubject } from "../names.ts";
import { accountTag } from "./confirmation.ts";
import { nextRetryMs } from "./retry-pause.ts";

/** How long an election that is about to begin waits for the first beat. Its first record then already names the promise. */
const FIRST_BEAT_MS = 1_000;
/** After this time without a first beat there is a warning. */
const PATIENCE_MS = 5_000;
/** F is longer than so many round trips, or no promise is made. */
const ROUND_TRIPS = 3;
/** So many beats without an echo are no delay: one and a half times the silence that is promised. */
const LOST_BEATS = 12;
/** A token has 16 characters. Longer messages on the subject are no beats. */
const MAX_TOKEN_BYTES = 64;
const EFFECT = "if this node falls silent while it leads, its lease has to expire";

/** `denied`: this connection cannot hear itself, or cannot learn its account. `off`: not wanted, or not known yet. */
export type BeatsState = "on" | "off" | "denied";

export interface OwnBeatsListener {
  /** The account has become known on the present connection, or is not named any more: no beats come back. */
  changed(): void;
  /** The server has counted a beat that was sent then, on the present connection. */
  proven(sentAt: Instant): void;
  /** No promise of silence can be made. Called once for as long as the reason stays the same. */
  warn(problem: BeatsProblem): void;
}

/** Why no promise of silence can be made. */
export interface BeatsProblem {
  readonly message: string;
  readonly error: Error | undefined;
  /** The user may not ask about its account; a presence needs the same permission. */
  readonly isAboutAccount: boolean;
}

/** One connection, from its first message to its end. */
interface Run {
  readonly endpoint: Endpoint;
  readonly subject: string;
  subscription: Subscription | null;
  account: string | null;
  /** Why the account is not known yet. */
  accountError: Error | null;
  /** Number of beats since the last echo. */
  unanswered: number;
  /** The shortest round trip of a beat so far. */
  fastestMs: number;
  /** That of the newest echo; `null`: there was none. */
  newestMs: number | null;
  readonly cancels: Set<() => void>;
}

/** One per session. It sends nothing and hears nothing while no election wants it. */
export class OwnBeats {
  readonly #monitor: ConnectionMonitor;
  readonly #listener: OwnBeatsListener;
  readonly #deniedRetryMs: number;
  readonly #clock: Clock;
  readonly #beats: Beats;
  #wanted = false;
  #run: Run | null = null;
  #account: string | null = null;
  #denied = false;
  #cancelRetry: (() => void) | null = null;
  #problem: BeatsProblem | null = null;
  #settled: Deferred<void> = deferred();

  constructor(monitor: ConnectionMonitor, deniedRetryMs: number, listener: OwnBeatsListener) {
    this.#monitor = monitor;
    this.#deniedRetryMs = deniedRetryMs;
    this.#listener = listener;
    this.#clock = systemClock();
    this.#beats = new Beats(this.#clock, systemRandom, {
      send: (token) => this.#send(token),
      comesBack: () => this.#check(),
      proven: (sentAt, tookMs) => {
        if (this.#run !== null) this.#run.newestMs = tookMs;
        listener.proven(sentAt);
      },
    });
  }

  /** The tag of the account of this connection; `null` while no promise can be made. */
  get account(): string | null {
    return this.#monitor.connected ? this.#account : null;
  }

  /** Can a leader on this connection be held with this promise? The echo that proves a beat is that of the next one, and takes as long. */
  isFastEnoughFor(silenceMs: number): boolean {
    return this.roundTripMs * ROUND_TRIPS < silenceMs;
  }

  /** The shortest round trip of a beat on the present connection; infinite while there was none. */
  get roundTripMs(): number {
    return this.#run?.fastestMs ?? Number.POSITIVE_INFINITY;
  }

  /** Of the newest beat on the present connection that has come back. */
  get newestRoundTripMs(): number | null {
    return this.#run?.newestMs ?? null;
  }

  get state(): BeatsState {
    if (this.account !== null) return "on";
    return this.#denied ? "denied" : "off";
  }

  /** The problem of the last warning while it lasts, for elections that start later. */
  get problem(): BeatsProblem | null {
    return this.#problem;
  }

  /** Whether an election depends on beats, and how often they are to be sent; `null`: only the first of each connection. */
  want(wanted: boolean, everyMs: number | null): void {
    this.#beats.every(everyMs);
    if (wanted === this.#wanted) return;
    this.#wanted = wanted;
    if (wanted) this.begin();
    else this.end();
  }

  /** Resolves when the present connection has shown whether it hears itself, at the latest after a second. */
  async settled(): Promise<void> {
    if (this.#run !== null) await settledWithin(this.#settled.promise, FIRST_BEAT_MS);
  }

  /** A connection has begun. */
  begin(): void {
    this.end();
    const { endpoint, connection } = this.#monitor;
    if (!this.#wanted || endpoint === null) return;
    this.#denied = false;
    if (!connectedWith(connection).echo) {
      this.#denied = true;
      const todo = "connect without noEcho, or pass servers instead of a connection";
      return this.#warn({
        message: `no promise of silence (${EFFECT}): the given connection has the option noEcho; ${todo}`,
        error: undefined,
        isAboutAccount: false,
      });
    }
    const run: Run = {
      endpoint,
      subject: beatSubject(endpoint),
      subscription: null,
      account: null,
      accountError: null,
      unanswered: 0,
      fastestMs: Number.POSITIVE_INFINITY,
      newestMs: null,
      cancels: new Set(),
    };
    try {
      // Before the first beat: the server handles both in this order.
      run.subscription = connection.subscribe(run.subject, {
        callback: (error, message) => {
          if (run !== this.#run) return;
          if (error !== null) this.#deny(run, error);
          else if (message.data.length <= MAX_TOKEN_BYTES) this.#echoed(run, message.string());
        },
      });
    } catch {
      return; // The connection is being closed.
    }
    this.#run = run;
    this.#settled = deferred();
    this.#beats.connected();
    this.#later(run, PATIENCE_MS, () => this.#losePatience(run));
    void this.#learnAccount(run, 0);
  }

  /** The connection has ended, or no election wants beats any more. */
  end(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = null;
    this.#beats.ended();
    const run = this.#run;
    this.#run = null;
    this.#account = null;
    if (run === null) return;
    for (const cancel of run.cancels) cancel();
    run.subscription?.unsubscribe();
    this.#settled.resolve();
  }

  /** The server has refused a message of this connection. */
  denied(subject: string, error: Error): void {
    const run = this.#run;
    if (subject === run?.subject) this.#deny(run, error);
  }

  #send(token: string): void {
    const run = this.#run;
    // While it is down, nats.js keeps what is published for its next connection.
    if (run === null || this.#monitor.endpoint !== run.endpoint) return;
    try {
      this.#monitor.connection.publish(run.subject, token);
    } catch {
      return; // The connection is being closed.
    }
    run.unanswered += 1;
    if (run.unanswered > LOST_BEATS && this.#account !== null) this.#withdraw(run);
  }

  #echoed(run: Run, token: string): void {
    const roundTripMs = this.#beats.echoed(token);
    if (roundTripMs === null) return;
    run.unanswered = 0;
    run.newestMs = roundTripMs;
    const isFastest = roundTripMs < run.fastestMs;
    if (isFastest) run.fastestMs = roundTripMs;
    if (this.#account === null) this.#check();
    else if (isFastest) this.#listener.changed();
  }

  /** The connection is open, but no beat comes back any more: the next record promises nothing, so that the term can go on. */
  #withdraw(run: Run): void {
    this.#account = null;
    this.#listener.changed();
    this.#losePatience(run);
  }

  async #learnAccount(run: Run, pausedMs: number): Promise<void> {
    try {
      const account = await accountTag(this.#monitor);
      if (run !== this.#run) return;
      run.account = account;
      run.accountError = null;
      this.#check();
    } catch (thrown) {
      if (run !== this.#run) return;
      const error = toClusterError(thrown, "learn the account of this connection");
      if (error.code === "AUTHORIZATION") return this.#deny(run, error, true);
      run.accountError = error;
      const pauseMs = nextRetryMs(pausedMs);
      this.#later(run, pauseMs, () => void this.#learnAccount(run, pauseMs));
    }
  }

  #check(): void {
    const account = this.#run?.account ?? null;
    if (account === null || !this.#beats.returns || this.#account !== null) return;
    this.#account = account;
    this.#problem = null;
    this.#settled.resolve();
    this.#listener.changed();
  }

  #deny({ subject }: Run, error: Error, isAboutAccount = false): void {
    const wasNamed = this.#account !== null;
    this.end();
    this.#denied = true;
    this.#cancelRetry = this.#clock.setTimer(this.#deniedRetryMs, () => this.begin());
    if (wasNamed) this.#listener.changed();
    // The subject changes with every connection.
    const why = error.message.replaceAll(subject, ALL_BEATS);
    const todo = isAboutAccount ? "" : `; allow this user to publish and to subscribe to "${ALL_BEATS}"`;
    const message = `no promise of silence (${EFFECT}): ${why}${todo}`;
    this.#warn({ message, error, isAboutAccount });
  }

  #losePatience(run: Run): void {
    if (this.#account !== null) return;
    const error = run.accountError ?? undefined;
    const why =
      this.#beats.returns && run.unanswered <= LOST_BEATS
        ? (error?.message ?? "the server does not report the account of this connection")
        : `what this connection publishes to "${ALL_BEATS}" does not come back; check the subject mappings of the account`;
    const message = `no promise of silence for now (${EFFECT}): ${why}`;
    this.#warn({ message, error, isAboutAccount: false });
  }

  #later(run: Run, delayMs: number, act: () => void): void {
    const cancel = this.#clock.setTimer(delayMs, () => {
      run.cancels.delete(cancel);
      act();
    });
    run.cancels.add(cancel);
  }

  #warn(problem: BeatsProblem): void {
    if (this.#problem?.message === problem.message) return;
    this.#problem = problem;
    this.#listener.warn(problem);
  }
}
