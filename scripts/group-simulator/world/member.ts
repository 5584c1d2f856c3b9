/** One process of a member: the driver that ships, on virtual time. */
import type { Resource } from "../../../src/group/core/balance.ts";
import type { GroupConfig, GroupEffect, GroupEvent, Profile } from "../../../src/group/core/events.ts";
import { isHeld } from "../../../src/group/core/outlook.ts";
import { GroupDriver, type GroupOutput } from "../../../src/group/driver.ts";
import type { FakeConnections } from "../../../src/testing/simulation/fakes/fake-connections.ts";
import type { FakeGroupBucket } from "../../../src/testing/simulation/fakes/fake-group-bucket.ts";
import { FakeGroupStore } from "../../../src/testing/simulation/fakes/fake-group-store.ts";
import { FakeSession } from "../../../src/testing/simulation/fakes/fake-session.ts";
import type { GroupNetwork } from "../../../src/testing/simulation/fakes/group-network.ts";
import { SeededRandom } from "../../../src/testing/simulation/random.ts";
import { VirtualClock } from "../../../src/testing/simulation/time/virtual-clock.ts";
import type { VirtualTime } from "../../../src/testing/simulation/time/virtual-time.ts";
import type { GroupPlan, MemberPlan } from "../plan.ts";
import * as timing from "../timing.ts";
import { MemberApplication } from "./application.ts";
import { balanceWith } from "./balance.ts";

/** Receives everything that happens in the processes. */
export interface Witness {
  started(member: Member): void;
  /** Called after the step, before its effects are carried out. */
  step(member: Member, event: GroupEvent, effects: readonly GroupEffect[]): void;
  /** The driver threw, which it must never do. */
  threw(member: Member, thrown: unknown): void;
  /** The state of a process may change without an event. */
  invalidate(): void;
}

export interface GroupWorld {
  readonly plan: GroupPlan;
  readonly time: VirtualTime;
  readonly bucket: FakeGroupBucket;
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
  readonly store: FakeGroupStore;
  readonly application: MemberApplication;
  readonly config: GroupConfig;
  readonly driver: GroupDriver;
  /** It runs: it was not killed, and has not stopped. */
  alive = true;
  stopping = false;
  /** When it was last stopped (SIGSTOP) or suspended. */
  frozenAt = 0;

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
    this.store = new FakeGroupStore({
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
      dispatch: (event) => this.driver.dispatch(event),
    });
    this.driver = new GroupDriver({
      config: this.config,
      profile: this.profile(),
      clock: this.clock,
      store: this.store,
      session: this.session,
      // A member starts once its bucket is open. It may be gone again by then.
      bucket: { generation: bucket.generation, maxAgeMs: 0, replicas: 1, republish: true },
      output: (output) => this.#output(output),
      trace: (event, _now, effects) => witness.step(this, event, effects),
    });
    const dispatch = this.driver.dispatch.bind(this.driver);
    // Whatever happens in the process goes through here.
    this.driver.dispatch = (event) => {
      if (!this.alive) return;
      try {
        dispatch(event);
      } catch (thrown) {
        witness.threw(this, thrown);
      }
    };
  }

  get memberId(): string {
    return this.config.memberId;
  }

  /** May it act as the owner now? */
  isHeld(resource: string): boolean {
    return this.alive && this.driver.isHeld(resource);
  }

  /** As `isHeld`, whatever the connection has proven. */
  isHeldByLease(resource: string): boolean {
    return this.alive && isHeld(this.driver.state, resource, this.clock.now());
  }

  /** Whether work that drains still does so in good order: no other member may begin until it has ended. */
  isSessionHeld(): boolean {
    return this.alive && this.driver.provenRemainingMs() > 0;
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
    const { resources, draining } = this.host;
    this.driver.dispatch({ type: "resources", resources });
    if (draining) this.driver.dispatch({ type: "draining", draining: true });
    this.driver.start();
  }

  /** Something outside calls the process: it waits while the process is stopped. */
  deliver(event: GroupEvent): void {
    if (this.alive) this.clock.deliver(() => this.driver.dispatch(event));
  }

  stop(restarting: boolean): void {
    this.clock.deliver(() => {
      if (this.stopping || !this.alive) return;
      this.stopping = true;
      this.application.stop();
      this.driver.dispatch({ type: "stop", restarting });
    });
  }

  /** `lingerMs`: the host is lost, too, and its server notices so much later. */
  kill(lingerMs = 0): void {
    if (!this.alive) return;
    this.#end();
    this.clock.kill();
    this.session.kill(lingerMs);
  }

  #output(output: GroupOutput): void {
    if (!this.alive) return;
    if (output.type !== "stopped") return this.application.effect(output);
    this.#end();
    this.session.kill();
  }

  #end(): void {
    this.alive = false;
    void this.store.close();
    this.application.works.clear();
  }
}
