/**
 * A node under test: records its events, hook calls and log lines, and checks the invariants that hold in every test. It is
 * stopped when the test ends.
 */
import { expect } from "vitest";
import { deferred, within } from "../../../scripts/shared/wait.ts";
import {
  type ConnectedServer,
  type Hooks,
  type Leader,
  type LossReason,
  Node,
  type NodeEvent,
  type NodeOptions,
  type Term,
} from "../../../src/index.ts";
import { atEnd, checkAfterCleanup } from "../at-end.ts";
import { PATIENCE_MS } from "../patience.ts";
import { Recorder } from "../recorder.ts";

/** A short lease that survives delays of a busy machine: S = 2750, a heartbeat every 900. */
export const CALM = { leaseTtlMs: 3000 } as const;
/** The shortest lease, for tests that wait until it expires: S = 1250, a heartbeat every 450. */
export const QUICK = { leaseTtlMs: 1500 } as const;

export interface LogLine {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

/** One call of a hook, recorded when it begins. */
export interface HookCall {
  readonly name: keyof Hooks;
  readonly term?: Term;
  readonly reason?: LossReason;
  readonly leader?: Leader | null;
  readonly error?: Error | null;
  readonly server?: ConnectedServer | null;
  readonly atMs: number;
  /** When it returned or threw. */
  endedMs: number | null;
}

export type EventOf<T extends NodeEvent["type"]> = Extract<NodeEvent, { type: T }>;

/** State that the nodes of one cluster share for the checks. */
interface Witness {
  readonly nodes: Set<TestNode>;
  highestEpoch: number;
}

const witnesses = new Map<string, Witness>();
const violations: string[] = [];

checkAfterCleanup(() => {
  witnesses.clear();
  expect(violations.splice(0)).toEqual([]);
});

export class TestNode {
  readonly node: Node;
  readonly id: string;
  readonly events: Recorder<NodeEvent> = new Recorder<NodeEvent>();
  readonly hooks: Recorder<HookCall> = new Recorder<HookCall>();
  readonly log: LogLine[] = [];
  readonly #witness: Witness;
  readonly #checks = new Set<() => void>();
  #running: HookCall | null = null;
  #unlost = 0;
  #reading: Promise<void> = Promise.resolve();

  /** Does not start the node. */
  constructor(options: NodeOptions, hooks: Hooks = {}) {
    this.node = new Node({ logger: collect(this.log), ...options }, this.#observed(hooks));
    this.id = this.node.nodeId;
    const { clusterId } = options;
    const witness = witnesses.get(clusterId) ?? { nodes: new Set(), highestEpoch: 0 };
    witnesses.set(clusterId, witness);
    witness.nodes.add(this);
    this.#witness = witness;
    atEnd(async () => {
      await this.node[Symbol.asyncDispose]();
      await this.#reading;
      if (this.#unlost !== 0) violations.push(`${this.id}: ${this.#unlost} terms began and were never lost`);
    });
  }

  async start(): Promise<this> {
    const stream = this.node.events();
    this.#reading = this.#read(stream);
    try {
      await this.node.start();
    } catch (error) {
      await stream.return?.();
      throw error;
    }
    return this;
  }

  /** Ends when the node stops. */
  async #read(stream: AsyncIterable<NodeEvent>): Promise<void> {
    for await (const event of stream) {
      this.#judge(event);
      this.events.push(event);
      for (const check of [...this.#checks]) check();
    }
  }

  /** The first matching event of this type, after the event that the previous call resolved with. */
  async next<T extends NodeEvent["type"]>(
    type: T,
    matches: (event: EventOf<T>) => boolean = () => true,
    timeoutMs?: number,
  ): Promise<EventOf<T>> {
    return this.events.next(
      (event): event is EventOf<T> => event.type === type && matches(event as EventOf<T>),
      timeoutMs,
    );
  }

  /** The term of its next `become-leader`. */
  async becomes(timeoutMs?: number): Promise<Term> {
    return (await this.next("become-leader", undefined, timeoutMs)).term;
  }

  /** Resolves as soon as `holds` is true; it is evaluated after every event of this node. */
  async until(holds: () => boolean, timeoutMs?: number): Promise<void> {
    await when([this], holds, timeoutMs);
  }

  /** Resolves when it may act as the leader. On a busy machine `isLeader()` may be false for a moment after the term began. */
  async leads(timeoutMs?: number): Promise<void> {
    await this.until(() => this.node.isLeader(), timeoutMs);
  }

  /** Calls `check` after every event. Returns a function that ends this. */
  onEvent(check: () => void): () => void {
    this.#checks.add(check);
    return () => void this.#checks.delete(check);
  }

  /** Resolves when this node sees that one lead. */
  async sees(leader: TestNode | null, timeoutMs?: number): Promise<void> {
    await this.until(() => (this.node.leader?.nodeId ?? null) === (leader?.id ?? null), timeoutMs);
  }

  /** Resolves when the hook was called that often. */
  async called(name: keyof Hooks, times = 1, timeoutMs?: number): Promise<HookCall> {
    await this.hooks.until((calls) => calls.filter((call) => call.name === name).length >= times, timeoutMs);
    const call = this.calls(name)[times - 1];
    if (call === undefined) throw new Error("unreachable");
    return call;
  }

  calls(name: keyof Hooks): HookCall[] {
    return this.hooks.items.filter((call) => call.name === name);
  }

  count(type: NodeEvent["type"]): number {
    return this.events.items.filter((event) => event.type === type).length;
  }

  /** Types of all events so far, except warnings, which a busy machine may add. */
  types(): NodeEvent["type"][] {
    return this.events.items.map((event) => event.type).filter((type) => type !== "warning");
  }

  warnings(code: string): string[] {
    return this.events.items.flatMap((event) =>
      event.type === "warning" && event.code === code ? [event.message] : [],
    );
  }

  /** Checks invariants 1, 2 and 6 (docs/simulator.md) among the nodes in this process. */
  #judge(event: NodeEvent): void {
    if (event.type === "become-leader") {
      const { epoch } = event.term;
      this.#unlost += 1;
      if (this.#unlost > 1) violations.push(`${this.id}: term ${epoch} began within another`);
      if (epoch <= this.#witness.highestEpoch) {
        violations.push(`${this.id}: epoch ${epoch} after ${this.#witness.highestEpoch}`);
      }
      this.#witness.highestEpoch = Math.max(this.#witness.highestEpoch, epoch);
      for (const other of this.#witness.nodes) {
        if (other === this || !other.node.isLeader() || !this.node.isLeader()) continue;
        violations.push(
          `${this.id} (epoch ${epoch}) and ${other.id} (${other.node.term?.epoch}) lead at once`,
        );
      }
    }
    if (event.type === "lose-leadership") {
      this.#unlost -= 1;
      if (this.#unlost < 0) violations.push(`${this.id}: term ${event.term.epoch} was lost twice`);
      if (!event.term.signal.aborted)
        violations.push(`${this.id}: lose-leadership before the signal was aborted`);
    }
  }

  /** Records every call, and checks that no two run at the same time. */
  #observed(hooks: Hooks): Hooks {
    const run = async (
      call: Omit<HookCall, "atMs" | "endedMs">,
      hook: (() => unknown) | undefined,
    ): Promise<void> => {
      const running: HookCall = { ...call, atMs: performance.now(), endedMs: null };
      if (this.#running !== null) violations.push(`${this.id}: ${call.name} within ${this.#running.name}`);
      this.#running = running;
      this.hooks.push(running);
      try {
        await hook?.();
      } finally {
        running.endedMs = performance.now();
        this.#running = null;
      }
    };
    return {
      onBecomeLeader: (term) => run({ name: "onBecomeLeader", term }, () => hooks.onBecomeLeader?.(term)),
      onLoseLeadership: (term, reason) => {
        if (!term.signal.aborted)
          violations.push(`${this.id}: onLoseLeadership before the signal was aborted`);
        const called = this.calls("onBecomeLeader").filter((call) => call.term === term).length;
        if (called !== 1) violations.push(`${this.id}: onLoseLeadership of a term that was never announced`);
        return run({ name: "onLoseLeadership", term, reason }, () => hooks.onLoseLeadership?.(term, reason));
      },
      onLeaderChange: (leader) =>
        run({ name: "onLeaderChange", leader }, () => hooks.onLeaderChange?.(leader)),
      onNatsDisconnect: (error, server) =>
        run({ name: "onNatsDisconnect", error, server }, () => hooks.onNatsDisconnect?.(error, server)),
      onNatsReconnect: (server) =>
        run({ name: "onNatsReconnect", server }, () => hooks.onNatsReconnect?.(server)),
    };
  }
}

/** The server or the connection of a node. */
export type Place = { readonly url: string } | Pick<NodeOptions, "servers" | "connection">;

/** A node that is not started yet. */
export function makeNode(
  place: Place,
  options: Omit<NodeOptions, "servers" | "connection">,
  hooks: Hooks = {},
): TestNode {
  const where = "url" in place ? { servers: place.url } : place;
  return new TestNode({ ...CALM, ...where, ...options }, hooks);
}

/** A started node, leader or follower. */
export async function startNode(
  place: Place,
  options: Omit<NodeOptions, "servers" | "connection">,
  hooks: Hooks = {},
): Promise<TestNode> {
  return makeNode(place, options, hooks).start();
}

/** A node that leads. */
export async function startLeader(
  place: Place,
  options: Omit<NodeOptions, "servers" | "connection">,
  hooks: Hooks = {},
): Promise<TestNode> {
  const node = await startNode(place, options, hooks);
  await node.leads();
  return node;
}

/** A node's answers can change without an event: a deadline passes, the event loop turns. */
const CHECK_EVERY_MS = 20;

/** Resolves as soon as `holds` is true; it is evaluated after every event of these nodes and every 20 ms. */
export async function when(
  nodes: readonly TestNode[],
  holds: () => boolean,
  timeoutMs: number = PATIENCE_MS,
): Promise<void> {
  const found = deferred();
  const check = (): void => {
    if (holds()) found.resolve();
  };
  const cancels = nodes.map((node) => node.onEvent(check));
  const timer = setInterval(check, CHECK_EVERY_MS);
  try {
    check();
    const message = (): string =>
      `${holds}; ${nodes.map((node) => `${node.id}: ${node.types().join(" ")}`).join("; ")}`;
    await within(found.promise, { timeoutMs, message });
  } finally {
    for (const cancel of cancels) cancel();
    clearInterval(timer);
  }
}

/** Resolves when exactly one leads and all agree on it, in a term after `afterEpoch`. Returns the leader first. */
export async function settled(
  nodes: readonly TestNode[],
  afterEpoch = 0,
  timeoutMs?: number,
): Promise<[leader: TestNode, ...followers: TestNode[]]> {
  const agreed = (): TestNode | undefined => {
    const leaders = nodes.filter((node) => node.node.isLeader());
    const [leader] = leaders;
    if (leaders.length !== 1 || leader === undefined || leader.node.epoch <= afterEpoch) return undefined;
    const { epoch, leader: seen } = leader.node;
    const agree = nodes.every(
      (node) => node.node.epoch === epoch && node.node.leader?.nodeId === seen?.nodeId,
    );
    return agree ? leader : undefined;
  };
  let leader: TestNode | undefined;
  await when(
    nodes,
    () => {
      leader ??= agreed();
      return leader !== undefined;
    },
    timeoutMs,
  );
  if (leader === undefined) throw new Error("unreachable");
  return [leader, ...nodes.filter((node) => node !== leader)];
}

/** A logger in the form of pino that collects its lines. */
export function collect(
  lines: LogLine[],
): Record<LogLine["level"], (fields: object, message?: string) => void> {
  const at =
    (level: LogLine["level"]) =>
    (fields: object, message = ""): void =>
      void lines.push({ level, fields: fields as LogLine["fields"], message });
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}
