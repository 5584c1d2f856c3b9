/** A place where one node runs, process after process: crashed and restarted, each with a fresh incarnation. */
import { DEFAULTS } from "../../src/config/options.ts";
import { leaseSpanMs } from "../../src/election/lease.ts";
import type {
  CrashDetection,
  Effect,
  ElectionConfig,
  ElectionEvent,
  ElectionState,
} from "../../src/election/types.ts";
import { Driver, type Output } from "../../src/runtime/driver.ts";
import type { FakeBucket } from "../../src/testing/simulation/fakes/fake-bucket.ts";
import { type FakeConnections, FakeSession } from "../../src/testing/simulation/fakes/fake-session.ts";
import { FakeStore } from "../../src/testing/simulation/fakes/fake-store.ts";
import { type Network, perfectNetwork } from "../../src/testing/simulation/fakes/network.ts";
import { VirtualClock } from "../../src/testing/simulation/time/virtual-clock.ts";
import type { VirtualTime } from "../../src/testing/simulation/time/virtual-time.ts";

/** What is the same for all nodes: the library's defaults. */
export const timing: Pick<
  typeof DEFAULTS,
  | "leaseTtlMs"
  | "heartbeatIntervalMs"
  | "requestTimeoutMs"
  | "retryDelayMs"
  | "successorGraceMs"
  | "cooldownMs"
> = DEFAULTS;

export type InFlightKind = NonNullable<ElectionState["writes"]["inFlight"]>["kind"];

/** What the checker hears of. */
export interface Witness {
  event(process: Process, event: ElectionEvent, effects: readonly Effect[], state: ElectionState): void;
  output(process: Process, output: Output): void;
  /** The driver threw. It never should. */
  threw(process: Process, thrown: unknown): void;
  /** Something may have changed that no event tells of. */
  stirred(): void;
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
  readonly leaseTtlMs: number;
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
  readonly spanMs: number;
  alive = true;
  /** When it was last stopped (SIGSTOP) or suspended. */
  frozenAt = 0;

  constructor(host: Host, incarnation: string, rememberedEpoch: number) {
    const { time, bucket, connections, presence, witness } = host.world;
    const { nodeId, competes, crashDetection, rate, drainMs, renewIntervalMs, leaseTtlMs } = host.options;
    this.host = host;
    this.incarnation = incarnation;
    this.spanMs = leaseSpanMs(leaseTtlMs);
    this.clock = new VirtualClock(time, { rate });
    this.clock.onContinue = () => witness.stirred();
    const { network } = host;
    this.session = new FakeSession(connections, { presence, clock: this.clock, network });
    this.store = new FakeStore(time, bucket, { network, clock: this.clock, session: this.session });
    const config: ElectionConfig = {
      nodeId,
      incarnation,
      crashDetection,
      leaseTtlMs,
      renewIntervalMs,
      heartbeatIntervalMs: timing.heartbeatIntervalMs,
      requestTimeoutMs: timing.requestTimeoutMs,
      retryDelayMs: timing.retryDelayMs,
      successorGraceMs: timing.successorGraceMs,
      cooldownMs: timing.cooldownMs,
    };
    this.driver = new Driver({
      config,
      clock: this.clock,
      store: this.store,
      session: this.session,
      competes,
      rememberedEpoch,
      output: (output) => {
        witness.output(this, output);
        if (output.type === "drain") {
          const drained = (): void => this.driver.dispatch({ type: "drained" });
          // An application that has nothing to stop may say so at once, within the step that asks for it.
          if (drainMs === 0) drained();
          else this.clock.setTimer(drainMs, drained);
        }
        if (output.type === "stopped") this.#end();
      },
      trace: (event, _now, effects, state) => {
        if (host.atNextWrite !== null && effects.some(({ type }) => type === "write")) host.writes(state);
        witness.event(this, event, effects, state);
      },
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

  /** `lingerMs`: the host dies with it, and the server finds out only that much later. */
  kill(lingerMs = 0): void {
    this.alive = false;
    this.clock.kill();
    void this.store.close();
    this.session.kill(lingerMs);
  }
}

export class Host {
  readonly world: World;
  readonly options: HostOptions;
  /** Unique, also where two hosts run the same node id by mistake. */
  readonly name: string;
  readonly network: Network = perfectNetwork();
  /** What is to happen as soon as its process sends a write of that kind; forgotten then. */
  atNextWrite: { readonly kind: InFlightKind; readonly happen: () => void } | null = null;
  process: Process;
  #incarnations = 0;

  constructor(world: World, name: string, options: HostOptions) {
    this.world = world;
    this.name = name;
    this.options = options;
    this.process = this.#spawn(0);
  }

  /** Its process is about to hand a write to the network. */
  writes({ writes }: ElectionState): void {
    const { atNextWrite } = this;
    if (atNextWrite === null || writes.inFlight?.kind !== atNextWrite.kind) return;
    this.atNextWrite = null;
    atNextWrite.happen();
  }

  /** Starts a new process when there is none. `remembers`: `node.start()` after `node.stop()`. */
  restart(remembers: boolean): void {
    if (this.process.alive) return;
    this.process = this.#spawn(remembers ? this.process.driver.state.lease.highestEpoch : 0);
  }

  #spawn(rememberedEpoch: number): Process {
    this.#incarnations += 1;
    return new Process(this, `${this.name}${this.#incarnations}`, rememberedEpoch);
  }
}
