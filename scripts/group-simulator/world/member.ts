/** One process of a member: the core of the group, with what a driver does around it, on virtual time. */
import { roundTripMs } from "../../../src/election/silence.ts";
import { wakeDelayMs } from "../../../src/group/core/act.ts";
import type { Resource } from "../../../src/group/core/balance.ts";
import type { GroupConfig, GroupEffect, GroupEvent, Profile } from "../../../src/group/core/events.ts";
import { step } from "../../../src/group/core/group.ts";
import { isSessionHeld } from "../../../src/group/core/held.ts";
import { initialState } from "../../../src/group/core/initial-state.ts";
import { beatsEveryMs, dependsOnConnection, isHeld } from "../../../src/group/core/outlook.ts";
import { watchedSessions } from "../../../src/group/core/sessions.ts";
import type { GroupState } from "../../../src/group/core/state.ts";
import type { GroupWrite } from "../../../src/group/core/types.ts";
import { Freshness } from "../../../src/runtime/freshness.ts";
import type { SessionEvent } from "../../../src/runtime/ports.ts";
import { RoundTrips } from "../../../src/runtime/round-trips.ts";
import type { FakeConnections } from "../../../src/testing/simulation/fakes/fake-connections.ts";
import { FakeSession } from "../../../src/testing/simulation/fakes/fake-session.ts";
import { SeededRandom } from "../../../src/testing/simulation/random.ts";
import { VirtualClock } from "../../../src/testing/simulation/time/virtual-clock.ts";
import type { VirtualTime } from "../../../src/testing/simulation/time/virtual-time.ts";
import type { GroupPlan, MemberPlan } from "../plan.ts";
import * as timing from "../timing.ts";
import { MemberApplication } from "./application.ts";
import { balanceWith } from "./balance.ts";
import type { GroupBucket } from "./bucket.ts";
import type { GroupNetwork } from "./network.ts";
import { SimulatedStore } from "./store.ts";

/** Receives everything that happens in the processes. */
export interface Witness {
  started(member: Member): void;
  /** Called after the step, before its effects are carried out. */
  step(member: Member, event: GroupEvent, effects: readonly GroupEffect[]): void;
  /** The core threw, which it must never do. */
  threw(member: Member, thrown: unknown): void;
  /** The state of a process may change without an event. */
  invalidate(): void;
}

export interface GroupWorld {
  readonly plan: GroupPlan;
  readonly time: VirtualTime;
  readonly bucket: GroupBucket;
  readonly connections: FakeConnections;
  readonly witness: Witness;
  readonly random: SeededRandom;
}

/** Where a process runs: what outlives it. */
export interface MemberHost {
  readonly world: GroupWorld;
  readonly plan: MemberPlan;
  readonly network: GroupNetwork;
  readonly resources: readonly Resource[];
  readonly weight: number;
  readonly draining: boolean;
}

export class Member {
  readonly host: MemberHost;
  readonly incarnation: string;
  readonly clock: VirtualClock;
  readonly session: FakeSession;
  readonly store: SimulatedStore;
  readonly application: MemberApplication;
  readonly config: GroupConfig;
  readonly state: GroupState;
  /** It runs: it was not killed, and has not stopped. */
  alive = true;
  stopping = false;
  /** When it was last stopped (SIGSTOP) or suspended. */
  frozenAt = 0;
  readonly #freshness: Freshness;
  readonly #roundTrips: RoundTrips;
  readonly #queue: GroupEvent[] = [];
  #handling = false;
  #cancelTimer: (() => void) | null = null;
  #timerAtMono = 0;
  #opening: AbortController | null = null;
  #beatsEveryMs: number | null = null;
  #watchVersion = 0;

  constructor(host: MemberHost, incarnation: string) {
    const { time, bucket, connections, plan, witness, random } = host.world;
    const { memberId, rate, crashDetection, silenceMs } = host.plan;
    this.host = host;
    this.incarnation = incarnation;
    this.clock = new VirtualClock(time, { rate });
    this.clock.onContinue = () => witness.invalidate();
    const { network } = host;
    this.session = new FakeSession(connections, {
      presence: plan.presence && crashDetection === "presence",
      clock: this.clock,
      network,
      silenceMs,
    });
    const ownRandom = new SeededRandom(random.between(0, 0x7fffffff));
    this.store = new SimulatedStore({
      time,
      bucket,
      network,
      clock: this.clock,
      session: this.session,
      random: ownRandom,
    });
    this.config = {
      memberId,
      incarnation,
      crashDetection,
      silenceMs,
      leaseTtlMs: timing.LEASE_TTL_MS,
      heartbeatIntervalMs: timing.HEARTBEAT_MS,
      renewIntervalMs: timing.HEARTBEAT_MS,
      requestTimeoutMs: timing.REQUEST_TIMEOUT_MS,
      bulkTimeoutMs: timing.BULK_TIMEOUT_MS,
      retryDelayMs: timing.RETRY_DELAY_MS,
      window: timing.WINDOW,
      maxMoves: plan.maxMoves,
      settleMs: plan.settleMs,
      rejoinGraceMs: plan.rejoinGraceMs,
      unownedGraceMs: timing.UNOWNED_GRACE_MS,
      balance: balanceWith(plan.largestPlan),
    };
    this.application = new MemberApplication({
      plan: host.plan,
      clock: this.clock,
      random: ownRandom,
      dispatch: (event) => this.dispatch(event),
    });
    this.#freshness = new Freshness(this.clock, () => this.session.connected);
    this.#roundTrips = new RoundTrips(this.clock, this.session, () => roundTripMs(silenceMs));
    this.state = initialState(this.config, this.profile(), this.clock.now());
  }

  get memberId(): string {
    return this.config.memberId;
  }

  /** May it act as the owner now? As the driver computes it: by clocks that are read at the call. */
  isHeld(resource: string): boolean {
    if (!this.alive) return false;
    const now = this.clock.now();
    return isHeld(this.state, resource, now) && this.#isConnectionProven();
  }

  /** As `isHeld`, whatever the connection has proven. */
  isHeldByLease(resource: string): boolean {
    return this.alive && isHeld(this.state, resource, this.clock.now());
  }

  /** Whether work that drains still does so in good order: no other member may begin until it has ended. */
  isSessionHeld(): boolean {
    return this.alive && isSessionHeld(this.state, this.clock.now()) && this.#isConnectionProven();
  }

  profile(): Profile {
    const { zone, maxOwned } = this.host.plan;
    return {
      weight: this.host.weight,
      ...(zone === undefined ? {} : { zone }),
      ...(maxOwned === undefined ? {} : { maxOwned }),
    };
  }

  start(): void {
    const { bucket } = this.host.world;
    this.session.listen((event) => this.#onSession(event));
    this.store.watch({
      entry: (entry) => this.dispatch({ type: "watched", entry }),
      gone: () => this.dispatch({ type: "bucket-gone" }),
    });
    this.dispatch({ type: "resources", resources: this.host.resources });
    if (this.host.draining) this.dispatch({ type: "draining", draining: true });
    // A member starts once its bucket is open. It may be gone again by then.
    this.dispatch({ type: "bucket-opened", generation: bucket.generation });
    if (this.session.connected) this.dispatch({ type: "connected", binding: this.session.binding });
  }

  /** Something outside calls the process: it waits while the process is stopped. */
  deliver(event: GroupEvent): void {
    if (this.alive) this.clock.deliver(() => this.dispatch(event));
  }

  stop(restarting: boolean): void {
    this.clock.deliver(() => {
      if (this.stopping || !this.alive) return;
      this.stopping = true;
      this.application.stop();
      this.dispatch({ type: "stop", restarting });
    });
  }

  /** `lingerMs`: the host is lost, too, and its server notices so much later. */
  kill(lingerMs = 0): void {
    if (!this.alive) return;
    this.#end();
    this.clock.kill();
    this.session.kill(lingerMs);
  }

  dispatch(event: GroupEvent): void {
    if (!this.alive) return;
    if (this.#handling) {
      this.#queue.push(event);
      return;
    }
    this.#handling = true;
    try {
      for (let next: GroupEvent | undefined = event; next !== undefined; next = this.#queue.shift())
        this.#step(next);
    } finally {
      this.#handling = false;
    }
    this.#setTimer();
  }

  #step(event: GroupEvent): void {
    if (!this.alive) return;
    const { witness } = this.host.world;
    let effects: readonly GroupEffect[] = [];
    try {
      effects = step(this.state, event, this.clock.now());
    } catch (thrown) {
      return witness.threw(this, thrown);
    }
    witness.step(this, event, effects);
    for (const effect of effects) this.#carryOut(effect);
    if (this.alive) this.#follow();
  }

  /** Derives from the state whether to check the connection, how often to send beats, and which connections to watch. */
  #follow(): void {
    if (dependsOnConnection(this.state)) {
      this.#freshness.start();
      this.#roundTrips.start();
    } else {
      this.#freshness.stop();
      this.#roundTrips.stop();
    }
    const everyMs = beatsEveryMs(this.state);
    if (everyMs !== this.#beatsEveryMs) {
      this.#beatsEveryMs = everyMs;
      this.session.beat(everyMs);
    }
    if (this.state.watchVersion === this.#watchVersion) return;
    this.#watchVersion = this.state.watchVersion;
    this.session.watchHolders(watchedSessions(this.state));
  }

  #carryOut(effect: GroupEffect): void {
    switch (effect.type) {
      case "write":
        this.#write(effect.nonce, effect.write, effect.timeoutMs);
        return;
      case "read":
        void this.store
          .read(effect.key, effect.timeoutMs)
          .then((outcome) => this.#answered({ type: "read", request: effect.request, outcome }));
        return;
      case "read-after":
        void this.store
          .readAfter(effect.after, effect.timeoutMs)
          .then((outcome) => this.#answered({ type: "changes", request: effect.request, outcome }));
        return;
      case "open-bucket":
        this.#open(effect.above);
        return;
      case "ask":
        void this.session
          .inquire(effect.binding, { timeoutMs: effect.timeoutMs, closedIsEnough: effect.closedIsEnough })
          .then((answer) => this.dispatch({ type: "answered", question: effect.question, answer }));
        return;
      case "stopped":
        this.#end();
        this.session.kill();
        return;
      default:
        this.application.effect(effect);
    }
  }

  #write(nonce: number, write: GroupWrite, timeoutMs: number): void {
    void this.store
      .write(write, timeoutMs)
      .then((outcome) => this.#answered({ type: "written", nonce, outcome }));
  }

  #open(above: number): void {
    this.#opening = new AbortController();
    void this.store.open(this.#opening.signal, above).then(
      ({ generation }) => this.dispatch({ type: "bucket-opened", generation }),
      (error: Error) => this.dispatch({ type: "bucket-failed", error }),
    );
  }

  /** After a pause the loop checks its sockets before an answer is believed. */
  #answered(event: GroupEvent): void {
    this.#freshness.afterCheck(() => this.dispatch(event));
  }

  #onSession(event: SessionEvent): void {
    switch (event.type) {
      case "connected":
      case "rebound":
        return this.dispatch({ type: event.type, binding: event.binding });
      case "disconnected":
      case "closed":
        return this.dispatch({ type: "disconnected" });
      default:
        this.dispatch(event);
    }
  }

  #isConnectionProven(): boolean {
    if (this.config.crashDetection !== "presence") return true;
    const now = this.clock.now();
    return this.#freshness.isFresh(now) && this.#roundTrips.isProven(now);
  }

  #setTimer(): void {
    if (!this.alive) return;
    const now = this.clock.now();
    const delayMs = wakeDelayMs(this.state, now);
    if (delayMs !== null && this.#cancelTimer !== null && this.#timerAtMono <= now.mono + delayMs) return;
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    if (delayMs === null) return;
    this.#timerAtMono = now.mono + delayMs;
    this.#cancelTimer = this.clock.setTimer(delayMs, () => this.#wake());
  }

  #wake(): void {
    this.#cancelTimer = null;
    if (wakeDelayMs(this.state, this.clock.now()) === 0) this.dispatch({ type: "tick" });
    else this.#setTimer();
  }

  #end(): void {
    this.alive = false;
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    this.#opening?.abort();
    this.#freshness.stop();
    this.#roundTrips.stop();
    void this.store.close();
    this.application.works.clear();
  }
}
