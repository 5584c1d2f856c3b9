/** A place where one node runs, process after process: crashed and restarted, each with a fresh incarnation. */
import type { CrashDetection, Effect, ElectionConfig, ElectionEvent } from "../../../src/election/types.ts";
import { Driver, type Output } from "../../../src/runtime/driver.ts";
import type { FakeBucket } from "../../../src/sim/fake-bucket.ts";
import { type FakeConnections, FakeSession } from "../../../src/sim/fake-session.ts";
import { FakeStore } from "../../../src/sim/fake-store.ts";
import { type Network, perfectNetwork } from "../../../src/sim/network.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";
import type { VirtualTime } from "../../../src/sim/virtual-time.ts";

/** Short leases, so that much happens in little time. Margin 250, so S = 2750. */
export const timing = {
  leaseTtlMs: 3_000,
  heartbeatIntervalMs: 900,
  requestTimeoutMs: 300,
  retryDelayMs: 75,
  successorGraceMs: 50,
  cooldownMs: 3_000,
} as const;

export const SPAN_MS = 2_750;

/** What the checker hears of. */
export interface Witness {
  event(process: Process, event: ElectionEvent, effects: readonly Effect[]): void;
  output(process: Process, output: Output): void;
  /** The driver threw. It never should. */
  threw(process: Process, thrown: unknown): void;
}

export interface World {
  readonly time: VirtualTime;
  readonly bucket: FakeBucket;
  readonly connections: FakeConnections;
  /** Every connection has a presence consumer, also that of a node that does not use it. */
  readonly presence: boolean;
  readonly witness: Witness;
}

export interface HostOptions {
  readonly crashDetection: CrashDetection;
  readonly nodeId: string;
  readonly competes: boolean;
  readonly rate: number;
  /** The heartbeat, or less. */
  readonly renewIntervalMs: number;
  /** How long leader work takes to stop. */
  readonly drainMs: number;
}

export class Process {
  readonly host: Host;
  readonly incarnation: string;
  readonly clock: VirtualClock;
  readonly session: FakeSession;
  readonly store: FakeStore;
  readonly driver: Driver;
  alive = true;
  /** When it was last stopped (SIGSTOP) or suspended. */
  frozenAt = 0;

  constructor(host: Host, incarnation: string, rememberedEpoch: number) {
    const { time, bucket, connections, presence, witness } = host.world;
    const { nodeId, competes, crashDetection, rate, drainMs, renewIntervalMs } = host.options;
    this.host = host;
    this.incarnation = incarnation;
    this.clock = new VirtualClock(time, { rate });
    const { network } = host;
    this.session = new FakeSession(connections, {
      presence,
      clock: this.clock,
      network,
    });
    this.store = new FakeStore(time, bucket, { network, clock: this.clock, session: this.session });
    const own = { nodeId, incarnation, competes, crashDetection, renewIntervalMs };
    const config: ElectionConfig = { ...timing, ...own };
    this.driver = new Driver({
      config,
      clock: this.clock,
      store: this.store,
      session: this.session,
      rememberedEpoch,
      output: (output) => {
        witness.output(this, output);
        if (output.type === "drain") {
          this.clock.setTimer(drainMs, () => this.driver.dispatch({ type: "drained" }));
        }
        if (output.type === "stopped") this.#end();
      },
      trace: (event, _now, effects) => witness.event(this, event, effects),
    });
    const dispatch = this.driver.dispatch.bind(this.driver);
    this.driver.dispatch = (event) => {
      try {
        dispatch(event);
      } catch (thrown) {
        witness.threw(this, thrown);
      }
    };
    this.driver.start(this.store.info());
  }

  /** `stop()` was carried out to the end: the process exits. */
  #end(): void {
    this.alive = false;
    void this.store.close();
    this.session.kill();
  }

  kill(): void {
    this.alive = false;
    this.clock.kill();
    void this.store.close();
    this.session.kill();
  }
}

export class Host {
  readonly world: World;
  readonly options: HostOptions;
  readonly network: Network = perfectNetwork();
  process: Process;
  #incarnations = 0;

  constructor(world: World, options: HostOptions) {
    this.world = world;
    this.options = options;
    this.process = this.#spawn(0);
  }

  get nodeId(): string {
    return this.options.nodeId;
  }

  /** Starts a new process when there is none. `remembers`: `node.start()` after `node.stop()`. */
  restart(remembers: boolean): void {
    if (this.process.alive) return;
    this.process = this.#spawn(remembers ? this.process.driver.state.highestEpoch : 0);
  }

  #spawn(rememberedEpoch: number): Process {
    this.#incarnations += 1;
    return new Process(this, `${this.nodeId}${this.#incarnations}`, rememberedEpoch);
  }
}
