/** One seed gives one history: some members, one bucket, many faults, then a quiet end. */
import type { Resource } from "../../src/group/core/balance.ts";
import { FakeConnections } from "../../src/testing/simulation/fakes/fake-connections.ts";
import { FakeGroupBucket } from "../../src/testing/simulation/fakes/fake-group-bucket.ts";
import type { GroupNetwork, RequestKind } from "../../src/testing/simulation/fakes/group-network.ts";
import { SeededRandom } from "../../src/testing/simulation/random.ts";
import { VirtualTime } from "../../src/testing/simulation/time/virtual-time.ts";
import { traceLine } from "../../src/testing/simulation/trace-line.ts";
import { Violation } from "../simulator/check/violation.ts";
import { Checker } from "./check/checker.ts";
import { balanceProblem } from "./check/settled.ts";
import type { FaultContext } from "./faults/fault-tools.ts";
import { strike } from "./faults/faults.ts";
import { effectText, eventText } from "./group-text.ts";
import type { GroupPlan } from "./plan.ts";
import { Tally } from "./tally.ts";
import { FAULTY_MS, HEARTBEAT_MS, QUIET_MS, RATE_SLACK, STEADY_MS, STOPPING_MS } from "./timing.ts";
import { GroupTraceHash } from "./trace-hash.ts";
import { Host } from "./world/host.ts";
import type { GroupWorld, Member } from "./world/member.ts";

export interface Outcome {
  /** Number of terms that began. */
  readonly terms: number;
  /** `null`: no invariant was violated. */
  readonly violation: string | null;
  /** Hash of everything that happened. */
  readonly hash: number;
}

export class History {
  readonly #plan: GroupPlan;
  readonly #tally: Tally;
  readonly #time = new VirtualTime("announced");
  readonly #bucket = new FakeGroupBucket();
  readonly #hash = new GroupTraceHash();
  readonly #checker: Checker;
  readonly #trace: string[] | null;
  readonly #hosts: Host[] = [];
  #resources: readonly Resource[];
  /** The member that owned each resource last. */
  readonly #lastOwner = new Map<string, string>();
  #moves = 0;

  constructor(plan: GroupPlan, tally: Tally = new Tally(), withTrace = false) {
    this.#plan = plan;
    this.#tally = tally;
    this.#trace = withTrace ? [] : null;
    const [time, bucket] = [this.#time, this.#bucket];
    const connections = new FakeConnections(time);
    this.#checker = new Checker({ time, bucket, connections });
    this.#checker.onStep = (member, event, effects) => {
      this.#hash.step(time.now, member.incarnation, event, effects, bucket.lastSequence);
      if (this.#trace === null) return;
      if (effects.length === 0 && (event.type === "beat-proven" || event.type === "tick")) return;
      this.#log(time.now, member.incarnation, `<- ${eventText(event)}`);
      for (const effect of effects) this.#log(null, member.incarnation, `-> ${effectText(effect)}`);
    };
    this.#checker.onOwn = (member, resource) => this.#owned(member, resource);
    this.#resources = Array.from({ length: plan.resources }, (_, index) => ({
      name: `r${index}`,
      ...(plan.zones > 0 ? { zone: `z${index % plan.zones}` } : {}),
    }));
    const random = new SeededRandom(plan.seed ^ 0x776f726c);
    const world: GroupWorld = { plan, time, bucket, connections, witness: this.#checker, random };
    for (const [index, member] of plan.hosts.entries())
      this.#hosts.push(new Host(world, index, member, this.#resources));
  }

  /** Empty without `withTrace`. */
  get trace(): readonly string[] {
    return this.#trace ?? [];
  }

  async run(): Promise<Outcome> {
    let violation: string | null = null;
    try {
      await this.#play();
    } catch (thrown) {
      violation = thrown instanceof Violation ? thrown.message : String((thrown as Error).stack ?? thrown);
    }
    const { terms, truth, effects } = this.#checker;
    this.#tally.add({ commits: truth.kinds, effects });
    return { terms, violation, hash: this.#hash.value };
  }

  async #play(): Promise<void> {
    const check = (): void => this.#checker.check();
    for (const host of this.#hosts) this.#time.at(host.plan.startsAt, () => host.start());
    for (const fault of this.#plan.faults) this.#schedule(fault);
    if (this.#plan.scenario === "rolling") await this.#rolling(check);
    else await this.#time.advance(FAULTY_MS, check);
    this.#heal();
    await this.#time.advance(this.#quietMs(), check);
    this.#assertSettled();
    await this.#steady(check);
    await this.#stopAll(check);
  }

  /** Long sessions, short drains: what takes time is the number of resources that move, `maxMoves` at a time. */
  #quietMs(): number {
    const { settleMs, hosts, maxMoves, rejoinGraceMs } = this.#plan;
    const drainMs = Math.max(0, ...hosts.map((one) => one.drainMs));
    const rounds = Math.ceil(this.#resources.length / maxMoves);
    return QUIET_MS + settleMs + rejoinGraceMs + Math.min(rounds * (drainMs + 20), 40_000);
  }

  /** Every member is stopped and started again, one after the other, each when the group has settled. Moves are the minimum. */
  async #rolling(check: () => void): Promise<void> {
    await this.#time.advance(this.#quietMs(), check);
    this.#assertSettled();
    this.#moves = 0;
    const paceMs = this.#plan.settleMs > 2_000 ? 1_500 : 12_000;
    for (const host of this.#hosts) {
      this.#log(this.#time.now, "**", `${host.name}: stop()`);
      host.member?.stop(false);
      await this.#time.advance(paceMs / 2, check);
      if (host.isRunning) throw new Violation(`${host.name} did not stop within ${paceMs / 2} ms`);
      host.start();
      await this.#time.advance(paceMs / 2, check);
    }
    await this.#time.advance(this.#quietMs(), check);
    // groups.md §3 (k): rebalanced eagerly each resource moves twice; with a pace below `settleMs` fewer do.
    const [resources, members] = [this.#resources.length, this.#hosts.length];
    const limit =
      paceMs < this.#plan.settleMs
        ? resources + Math.ceil((2 * resources) / members) + members
        : 2 * resources + members;
    if (this.#moves > limit)
      throw new Violation(`a rolling restart of ${members} members moves ${this.#moves} times, not ${limit}`);
  }

  #owned({ memberId }: Member, resource: string): void {
    const last = this.#lastOwner.get(resource);
    if (last !== undefined && last !== memberId) this.#moves += 1;
    this.#lastOwner.set(resource, memberId);
  }

  /** Nothing fails: nothing moves, nothing is written but one renewal per heartbeat and member. */
  async #steady(check: () => void): Promise<void> {
    const members = this.#members();
    const before = members.map(({ store }) => ({ ...counts(store) }));
    const { terms } = this.#checker;
    await this.#time.advance(STEADY_MS, check);
    this.#assertSettled();
    if (this.#checker.terms > terms)
      throw new Violation(`without faults ${this.#checker.terms - terms} terms begin`);
    for (const [index, { incarnation, store, host }] of members.entries()) {
      const beats = (STEADY_MS / HEARTBEAT_MS) * Math.max(1, host.plan.rate);
      const was = before[index] ?? counts(store);
      const writes = store.writes - was.writes;
      if (writes > beats * RATE_SLACK + 1)
        throw new Violation(`without faults ${incarnation} writes ${writes} times`);
      if (writes < Math.floor(beats / RATE_SLACK) - 1 && !this.#isFollowing(members[index]))
        throw new Violation(`without faults ${incarnation} renews ${writes} times`);
      const reads = store.reads + store.bulkReads - was.reads - was.bulkReads;
      // By a clock that runs too fast every renewal of another member is late.
      const late = host.plan.rate > RATE_SLACK ? members.length - 1 : 0;
      if (reads > beats * RATE_SLACK * (1 + late) + 1)
        throw new Violation(`without faults ${incarnation} reads ${reads} times`);
    }
  }

  /** A second process with the same member id waits for the session of the first. */
  #isFollowing(member: Member | undefined): boolean {
    const same = this.#members().filter(({ memberId }) => memberId === member?.memberId);
    return same.length > 1;
  }

  #members(): Member[] {
    return this.#hosts.flatMap(({ member }) => (member?.alive === true ? [member] : []));
  }

  #assertSettled(): void {
    this.#checker.check();
    const problem = balanceProblem(
      this.#members(),
      this.#resources,
      this.#resources.length <= this.#plan.largestPlan,
    );
    if (problem !== null) throw new Violation(problem);
  }

  #schedule({ at, name, host, seed, kind }: GroupPlan["faults"][number]): void {
    this.#time.at(at, () => {
      const target = this.#hosts[host];
      if (target === undefined) throw new Error(`fault "${name}": the plan has no host ${host}`);
      this.#tally.fault(name);
      strike(name, this.#faultContext(seed, kind), target);
      this.#checker.invalidate();
    });
  }

  #faultContext(seed: number, kind: RequestKind | undefined): FaultContext {
    const history = this;
    const context: FaultContext = {
      random: new SeededRandom(seed),
      kind,
      time: this.#time,
      bucket: this.#bucket,
      hosts: this.#hosts,
      get resources() {
        return history.#resources;
      },
      quietFrom: FAULTY_MS,
      log: (text) => this.#log(this.#time.now, "**", text),
      strike: (name, host) => strike(name, context, host),
      excuse: (key) => this.#checker.excuse(key),
      removed: (key) => this.#checker.removed(key),
      excuseAll: () => this.#checker.excuseAll(),
      forged: (entry) => this.#checker.forged(entry),
      lost: (keys) => this.#checker.lost(keys),
      invalidate: () => this.#checker.invalidate(),
      setResources: (resources) => {
        this.#resources = resources;
      },
    };
    return context;
  }

  #heal(): void {
    this.#log(this.#time.now, "**", "every fault ends");
    this.#bucket.regainQuorum();
    for (const host of this.#hosts) {
      heal(host.network);
      host.atNextWrite = null;
      host.start();
      host.member?.application.becomeBenign();
      // Also for a member that has refused too many resources.
      host.setDraining(false);
      if (host.weight === 0) host.setWeight(1);
      host.setResources(this.#resources);
    }
  }

  async #stopAll(check: () => void): Promise<void> {
    this.#log(this.#time.now, "**", "every member stops");
    const members = this.#members();
    for (const member of members) member.stop(false);
    await this.#time.advance(STOPPING_MS, check);
    for (const { incarnation, alive, session } of members) {
      if (alive) throw new Violation(`${incarnation} did not stop`);
      if (session.listeners > 0) throw new Violation(`${incarnation} left a listener behind`);
    }
    if (this.#time.pending > 0) throw new Violation(`${this.#time.pending} timers were left behind`);
  }

  #log(at: number | null, source: string, text: string): void {
    this.#trace?.push(traceLine(at, source, text));
  }
}

function counts({ writes, reads, bulkReads }: Member["store"]): {
  writes: number;
  reads: number;
  bulkReads: number;
} {
  return { writes, reads, bulkReads };
}

/** Every fault of the network ends. */
function heal(network: GroupNetwork): void {
  network.lostRequests.clear();
  network.lostAnswers.clear();
  Object.assign(network, {
    latencyMs: 1,
    dropRequests: false,
    dropResponses: false,
    dropWatch: false,
    lateWrites: [],
    stale: null,
    watchLoss: 0,
    watchRepeats: 0,
    watchJitterMs: 0,
  });
}
