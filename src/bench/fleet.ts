/** The competing child processes of one benchmark, and the record of their terms. */
import { BenchChild, type ChildPlace } from "./child.ts";
import { HeldLedger, largestOverlap } from "./held.ts";
import { type ChildReport, type ChildTask, hostNowMs } from "./messages.ts";

const READY_TIMEOUT_MS = 60_000;

type TaskOf<R extends ChildTask["role"]> = Extract<ChildTask, { role: R }>;
type ReportOf<T extends ChildReport["type"]> = Extract<ChildReport, { type: T }>;

/** The begin of a term, as reported by its node. */
export interface Begun {
  readonly node: string;
  readonly epoch: number;
  readonly at: number;
}

/** One node of the fleet. */
export interface Member {
  readonly child: BenchChild;
  readonly id: string;
  ready: boolean;
  /** The process is expected to exit; its exit is not a failure. */
  leaving: boolean;
  /** The leader in the node's view. `null`: not reported yet. */
  knows: { readonly nodeId: string | null; readonly epoch: number } | null;
}

/** What all members have in common. They are nodes, unless the role says otherwise. */
export type FleetOptions = (
  | (Omit<TaskOf<"node">, "role" | "nodeId"> & { readonly role?: "node" })
  | Omit<TaskOf<"script">, "nodeId">
) & { readonly signal: AbortSignal };

export class Fleet {
  readonly #options: FleetOptions;
  readonly #members = new Map<string, Member>();
  readonly #terms: Begun[] = [];
  readonly #ledger = new HeldLedger();
  readonly #waiting = new Set<() => void>();
  readonly #listeners = new Set<(report: ChildReport, member: Member) => void>();
  #spawned = 0;
  #failure: Error | null = null;

  constructor(options: FleetOptions) {
    this.#options = options;
    options.signal.addEventListener("abort", this.#wake);
  }

  get members(): readonly Member[] {
    return [...this.#members.values()];
  }

  /** All terms so far, ordered by their begin. */
  get terms(): readonly Begun[] {
    return [...this.#terms].sort((a, b) => a.at - b.at);
  }

  /**
   * The longest time for which two members were held at once.
   * @param since Counts from this time on. @default the beginning
   */
  overlapMs(since: number = Number.NEGATIVE_INFINITY): number {
    const intervals = this.#ledger.intervals(hostNowMs());
    return largestOverlap(intervals.map((one) => ({ ...one, from: Math.max(one.from, since) })));
  }

  isHeld(member: Member): boolean {
    return this.#ledger.isHeld(member.id);
  }

  /** When the member was last held, by its reports. Now if it still is. */
  lastHeld(member: Member): number {
    const at = this.#ledger.lastHeld(member.id, hostNowMs());
    if (at === null) throw new Error(`${member.id} has never led`);
    return at;
  }

  /** Calls `listener` for every report from now on. Returns the function that removes it. */
  listen(listener: (report: ChildReport, member: Member) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * Starts one more node.
   * @param servers The node's own servers. @default the fleet's
   * @param place Where its process runs. @default like the other benchmark processes
   */
  add(servers: readonly string[] = this.#options.servers, place: ChildPlace = {}): Member {
    this.#spawned += 1;
    const id = `node-${this.#spawned}`;
    const { signal: _, ...task } = this.#options;
    const child = new BenchChild(
      id,
      { role: "node", ...task, servers, nodeId: id } as ChildTask,
      (report) => this.#onReport(member, report),
      place,
    );
    const member: Member = { child, id, ready: false, leaving: false, knows: null };
    this.#members.set(id, member);
    void child.exited.then(() => this.#onExit(member));
    return member;
  }

  /** The member that leads the newest term. */
  leader(): Member {
    const newest = this.terms.at(-1);
    const member = newest === undefined ? undefined : this.#members.get(newest.node);
    if (member === undefined) throw new Error("no leader");
    return member;
  }

  /** Records that a member was killed: a killed process cannot report the end of its term. */
  markDead(member: Member, at: number): void {
    member.leaving = true;
    this.#ledger.release(member.id, at);
  }

  /** Resolves with the first term whose epoch is larger than `afterEpoch`. */
  async nextTerm(afterEpoch: number, timeoutMs: number): Promise<Begun> {
    const found = (): Begun | undefined => this.#terms.find((term) => term.epoch > afterEpoch);
    return this.until(found, timeoutMs, () => `a leader with an epoch above ${afterEpoch}`);
  }

  /** Resolves when every member is ready and sees the leader of the newest term. */
  async settled(): Promise<void> {
    const unsettled = (): Member[] => {
      const newest = this.terms.at(-1);
      return this.members.filter(
        ({ ready, knows, leaving }) =>
          !leaving && !(ready && knows?.epoch === newest?.epoch && knows?.nodeId === newest?.node),
      );
    };
    await this.until(
      () => (this.#terms.length > 0 && unsettled().length === 0 ? true : undefined),
      READY_TIMEOUT_MS,
      () => `all nodes to see the same leader (${unsettled().map(describe).join(", ") || "no leader yet"})`,
    );
  }

  /** Resolves with the member's next report of this type. */
  async report<T extends ChildReport["type"]>(
    member: Member,
    type: T,
    timeoutMs: number,
  ): Promise<ReportOf<T>> {
    let seen: ReportOf<T> | undefined;
    const unlisten = this.listen((report, from) => {
      if (from === member && report.type === type) seen ??= report as ReportOf<T>;
    });
    try {
      return await this.until(
        () => seen,
        timeoutMs,
        () => `${member.id} to report "${type}"`,
      );
    } finally {
      unlisten();
    }
  }

  /** Calls `probe` after every report until it returns a value. Rejects on a node's failure, on abort and on timeout. */
  async until<T>(probe: () => T | undefined, timeoutMs: number, what: () => string): Promise<T> {
    let expired = false;
    const timer = setTimeout(() => {
      expired = true;
      this.#wake();
    }, timeoutMs);
    try {
      for (;;) {
        this.check();
        const found = probe();
        if (found !== undefined) return found;
        if (expired) throw new Error(`timed out after ${timeoutMs} ms waiting for ${what()}`);
        await new Promise<void>((resolve) => this.#waiting.add(resolve));
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** Throws when the benchmark was aborted or a node has failed. */
  check(): void {
    this.#options.signal.throwIfAborted();
    if (this.#failure !== null) throw this.#failure;
  }

  /** Kills every process. */
  async dispose(): Promise<void> {
    this.#options.signal.removeEventListener("abort", this.#wake);
    for (const member of this.#members.values()) member.leaving = true;
    await Promise.all(this.members.map(({ child }) => child.end()));
  }

  #onReport(member: Member, report: ChildReport): void {
    switch (report.type) {
      case "ready":
        member.ready = true;
        break;
      case "failed":
        this.#failure ??= new Error(`${member.id} failed: ${report.message}`);
        break;
      case "become":
        this.#terms.push({ node: member.id, epoch: report.epoch, at: report.at });
        break;
      case "held":
        // Reports that a killed process sent earlier may arrive after its death was recorded.
        if (!member.leaving || report.by === "thaw") this.#ledger.hold(member.id, report.epoch, report.at);
        break;
      case "unheld":
        this.#ledger.release(member.id, report.at);
        break;
      case "leader":
        member.knows = { nodeId: report.nodeId, epoch: report.epoch };
        break;
      case "lose-hook":
      case "spinning":
      case "blocking":
      case "thawed":
        break;
      default:
        report satisfies never;
    }
    for (const listener of [...this.#listeners]) listener(report, member);
    this.#wake();
  }

  #onExit(member: Member): void {
    this.#members.delete(member.id);
    if (!member.leaving) {
      this.#failure ??= new Error(`${member.id} exited unexpectedly; stderr: ${member.child.stderr}`);
    }
    this.#wake();
  }

  readonly #wake = (): void => {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resolve of waiting) resolve();
  };
}

function describe({ id, ready, knows }: Member): string {
  if (!ready) return `${id} is not ready`;
  return `${id} sees ${knows?.nodeId ?? "no leader"}, epoch ${knows?.epoch ?? 0}`;
}
