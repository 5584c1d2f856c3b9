/** A host runs one node, process after process. Each process has a fresh incarnation. */
import { DEFAULTS } from "../../src/config/options.ts";
import { leaseSpanMs } from "../../src/election/lease.ts";
import type { Instant } from "../../src/election/time.ts";
import type {
  CrashDetection,
  Effect,
  ElectionConfig,
  ElectionEvent,
  ElectionState,
} from "../../src/election/types.ts";
import { Driver, type Output } from "../../src/runtime/driver.ts";
import type { FakeBucket } from "../../src/testing/simulation/fakes/fake-bucket.ts";
import type { FakeConnections } from "../../src/testing/simulation/fakes/fake-connections.ts";
import { FakeSession } from "../../src/testing/simulation/fakes/fake-session.ts";
import { FakeStore } from "../../src/testing/simulation/fakes/fake-store.ts";
import { type Network, perfectNetwork } from "../../src/testing/simulation/fakes/network.ts";
import { SeededRandom } from "../../src/testing/simulation/random.ts";
import { VirtualClock } from "../../src/testing/simulation/time/virtual-clock.ts";
import type { VirtualTime } from "../../src/testing/simulation/time/virtual-time.ts";
import { HostileApplication } from "./application/hostile-application.ts";
import { Violation } from "./check/violation.ts";

/** Options that are the same for all nodes: the library's defaults. */
export const timing: Pick<
  typeof DEFAULTS,
  | "leaseTtlMs"
  | "heartbeatIntervalMs"
  | "requestTimeoutMs"
  | "retryDelayMs"
  | "successorGraceMs"
  | "cooldownMs"
> = DEFAULTS;

/** `promise`: the first renewal of a term that names the promise of silence. */
export type InFlightKind = NonNullable<ElectionState["writes"]["inFlight"]>["kind"] | "promise";

/** Receives everything that happens in the processes. */
export interface Witness {
  event(
    process: Process,
    event: ElectionEvent,
    now: Instant,
    effects: readonly Effect[],
    state: ElectionState,
  ): void;
  output(process: Process, output: Output): void;
  /** The driver threw, which it must never do. */
  threw(process: Process, thrown: unknown): void;
  /** The state of a process may change without an event. */
  invalidate(): void;
}

export interface SimulatedWorld {
  readonly time: VirtualTime;
  readonly bucket: FakeBucket;
  readonly connections: FakeConnections;
  /** Whether every connection has a presence consumer, including those of nodes that do not use presence. */
  readonly presence: boolean;
  readonly witness: Witness;
  /** From then on there are no faults, and applications behave well. */
  readonly quietFrom: number;
}

export interface HostOptions {
  readonly crashDetection: CrashDetection;
  /** Absent in histories that were pinned before there was one: 0. */
  readonly silenceMs?: number;
  /** What the process sends to itself does not come back (`noEcho`, a missing permission). */
  readonly noEcho?: boolean;
  /** The process may not hear the beats of others. */
  readonly deaf?: boolean;
  /** Its connection is of another account than those of the other hosts. */
  readonly foreign?: boolean;
  readonly nodeId: string;
  readonly competes: boolean;
  /** Milliseconds on the host's clocks per true millisecond. */
  readonly rate: number;
  readonly leaseTtlMs: number;
  /** At most the heartbeat interval. */
  readonly renewIntervalMs: number;
  /** How long the leader's work takes to stop, if there is no `application`. */
  readonly drainMs: number;
  /** An application that misbehaves. Absent in histories that were pinned before there was one. */
  readonly application?: ApplicationPlan;
}

export interface ApplicationPlan {
  /** Seed of everything that the application does. */
  readonly seed: number;
  /** Share of its hook calls and runs that misbehave. */
  readonly hostility: number;
  readonly drainTimeoutMs: number;
}

export class Process {
  readonly host: Host;
  readonly incarnation: string;
  readonly clock: VirtualClock;
  readonly session: FakeSession;
  readonly store: FakeStore;
  readonly driver: Driver;
  readonly spanMs: number;
  readonly application: HostileApplication | null;
  alive = true;
  /** When it was last stopped (SIGSTOP) or suspended. */
  frozenAt = 0;

  constructor(host: Host, incarnation: string, rememberedEpoch: number) {
    const { time, bucket, connections, presence, witness } = host.world;
    const { nodeId, competes, crashDetection, rate, drainMs, application, renewIntervalMs, leaseTtlMs } =
      host.options;
    const silenceMs = host.options.silenceMs ?? 0;
    this.host = host;
    this.incarnation = incarnation;
    this.spanMs = leaseSpanMs(leaseTtlMs);
    this.clock = new VirtualClock(time, { rate });
    this.clock.onContinue = () => witness.invalidate();
    const { network } = host;
    this.session = new FakeSession(connections, {
      presence,
      clock: this.clock,
      network,
      silenceMs,
      noEcho: host.options.noEcho === true,
      deaf: host.options.deaf === true,
      account: host.options.foreign === true ? "other" : "account",
    });
    this.store = new FakeStore(time, bucket, { network, clock: this.clock, session: this.session });
    const config: ElectionConfig = {
      nodeId,
      incarnation,
      crashDetection,
      silenceMs,
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
        if (this.application !== null) return this.application.output(output);
        if (output.type === "drain") {
          const drained = (): void => this.driver.dispatch({ type: "drained" });
          // An application without work to stop may report it at once, within the step that requests the drain.
          if (drainMs === 0) drained();
          else this.clock.setTimer(drainMs, drained);
        }
        if (output.type === "stopped") this.#end();
      },
      trace: (event, now, effects, state) => {
        if (host.atNextWrite !== null && effects.some(({ type }) => type === "write"))
          host.beforeWrite(state);
        witness.event(this, event, now, effects, state);
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
    this.application = application === undefined ? null : this.#applicationOf(application);
    this.driver.start(this.store.info());
  }

  #applicationOf({ seed, hostility, drainTimeoutMs }: ApplicationPlan): HostileApplication {
    const { witness, time, quietFrom } = this.host.world;
    return new HostileApplication({
      clock: this.clock,
      random: new SeededRandom(seed),
      hostility: time.now >= quietFrom ? 0 : hostility,
      block: (ms, then) => {
        if (this.clock.caughtUp) this.frozenAt = time.now;
        this.clock.block(Math.min(ms, Math.max(0, quietFrom - time.now)), then);
      },
      drainTimeoutMs,
      election: (event) => this.driver.dispatch(event),
      violated: (what) => witness.threw(this, new Violation(`application: ${what}`)),
      closed: () => this.#end(),
    });
  }

  /** `stop()` of the node. */
  stop(): void {
    if (this.application === null) this.driver.dispatch({ type: "stop" });
    else this.application.stop();
  }

  /** `stop()` is complete: the process exits. */
  #end(): void {
    this.alive = false;
    void this.store.close();
    this.session.kill();
  }

  /** Kills the process. With `lingerMs` the host is lost, too: its server closes the connection only `lingerMs` later. */
  kill(lingerMs = 0): void {
    this.alive = false;
    this.clock.kill();
    void this.store.close();
    this.session.kill(lingerMs);
  }
}

export class Host {
  readonly world: SimulatedWorld;
  readonly options: HostOptions;
  /** Unique, even if two hosts run the same node id. */
  readonly name: string;
  readonly network: Network = perfectNetwork();
  /** Called once, when the host's process sends its next write of this kind. */
  atNextWrite: { readonly kind: InFlightKind; readonly happen: () => void } | null = null;
  process: Process;
  #incarnations = 0;

  constructor(world: SimulatedWorld, name: string, options: HostOptions) {
    this.world = world;
    this.name = name;
    this.options = options;
    this.process = this.#spawn(0);
  }

  /** Called before the process hands a write to the network. */
  beforeWrite({ writes, role }: ElectionState): void {
    const { atNextWrite } = this;
    if (atNextWrite === null || writes.inFlight === null) return;
    const promises = "term" in role && !role.term.promises && writes.unsettled.at(-1)?.promises === true;
    const isWanted =
      atNextWrite.kind === "promise"
        ? promises && writes.inFlight.kind === "renew"
        : writes.inFlight.kind === atNextWrite.kind;
    if (!isWanted) return;
    this.atNextWrite = null;
    atNextWrite.happen();
  }

  /** Starts a process, unless one is alive. `remembers`: it knows the epochs of the last one, as after `node.stop()`. */
  restart(remembers: boolean): void {
    if (this.process.alive) return;
    this.process = this.#spawn(remembers ? this.process.driver.state.lease.highestEpoch : 0);
  }

  #spawn(rememberedEpoch: number): Process {
    this.#incarnations += 1;
    return new Process(this, `${this.name}${this.#incarnations}`, rememberedEpoch);
  }
}
