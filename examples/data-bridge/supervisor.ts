/** Keeps as many instances running as wanted, and knows which of them owns which partition. */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Awaited } from "./commands.ts";
import { InstanceProcess } from "./instance.ts";
import { addCounters, type Counters, Meters } from "./meters.ts";
import type { Report, Start } from "./report.ts";
import type { Targets } from "./targets.ts";

export interface SupervisorOptions {
  /** The compiled program of the instances. */
  readonly file: string;
  readonly start: Omit<Start, "instance" | "number" | "slowMs">;
  /** A sentence about an instance. */
  readonly note: (text: string) => void;
  readonly onLog: (line: string) => void;
  /** Of what Prometheus is to scrape. */
  readonly targets: Pick<Targets, "ready" | "stopped"> | null;
}

interface Owner {
  readonly instance: InstanceProcess;
  readonly epoch: number;
}

const SLOW_MS = 500;
const STOP_MS = 20_000;
/** An instance that ends this often in a row before it is ready cannot run at all. */
const MAX_FAILED_STARTS = 5;

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #instances = new Map<number, InstanceProcess>();
  readonly #owners = new Map<string, Owner>();
  readonly #restarts = new Map<number, NodeJS.Timeout>();
  readonly #listeners = new Set<() => void>();
  /** Of instances that have ended. */
  #ended: Counters = new Meters().counters;
  #wanted = 0;
  #slowMs = 0;
  #failedStarts = 0;
  #failure: Error | null = null;

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  get wanted(): number {
    return this.#wanted;
  }

  get instances(): readonly InstanceProcess[] {
    return [...this.#instances.values()].sort((a, b) => a.number - b.number);
  }

  /** The partitions of an instance: those whose sink it has opened, and which no newer term has. */
  owned(instance: InstanceProcess): string[] {
    return [...this.#owners]
      .filter(([, owner]) => owner.instance === instance)
      .map(([partition]) => partition)
      .sort((a, b) => Number(a) - Number(b));
  }

  /** The sums of all instances, also of those that have ended. What an instance did after its last report is not in it. */
  counters(): Counters {
    return this.instances.reduce((sum, { status }) => addCounters(sum, status?.counters), this.#ended);
  }

  /** Starts the missing numbers, or stops the largest ones. Resolves when those to be stopped have ended. */
  async scale(count: number): Promise<void> {
    this.#wanted = count;
    for (const [number, timer] of this.#restarts) {
      if (number <= count) continue;
      clearTimeout(timer);
      this.#restarts.delete(number);
    }
    for (let number = 1; number <= count; number++) {
      if (!this.#instances.has(number) && !this.#restarts.has(number)) this.#start(number);
    }
    await Promise.all(this.instances.filter(({ number }) => number > count).map((one) => one.stop(STOP_MS)));
  }

  /**
   * Resolves when it has ended.
   *
   * @throws Error if this instance does not run.
   */
  async kill(number: number): Promise<void> {
    const instance = this.#running(number);
    instance.kill();
    await instance.ended;
  }

  freeze(number: number): void {
    this.#running(number).freeze();
    this.#changed();
  }

  thaw(number: number): void {
    this.#running(number).thaw();
    this.#changed();
  }

  thawAll(): void {
    for (const instance of this.instances) if (instance.isFrozen) instance.thaw();
  }

  slow(on: boolean): void {
    this.#slowMs = on ? SLOW_MS : 0;
    for (const instance of this.instances) instance.send({ type: "slow", ms: this.#slowMs });
  }

  /**
   * @throws Error after `timeoutMs`, when instances cannot be started, or the reason of `signal`.
   */
  async until(
    what: Awaited,
    options: { readonly timeoutMs: number; readonly signal: AbortSignal },
  ): Promise<void> {
    const { timeoutMs, signal } = options;
    const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    while (!this.#is(what)) {
      if (this.#failure !== null) throw this.#failure;
      signal.throwIfAborted();
      if (limit.aborted) throw new Error(`not ${what} after ${timeoutMs / 1000} s: ${this.#describe()}`);
      await this.#change(limit);
    }
  }

  /** Stops all instances in an orderly way. */
  async stop(): Promise<void> {
    await this.scale(0);
  }

  #start(number: number): void {
    const instance = `${this.#options.start.config.stream.toLowerCase()}-${number}-${randomBytes(3).toString("hex")}`;
    const { note, onLog } = this.#options;
    const start: Start = { ...this.#options.start, instance, number, slowMs: this.#slowMs };
    this.#instances.set(
      number,
      new InstanceProcess(this.#options.file, start, {
        onReport: (from, report) => {
          this.#onReport(from, report);
          this.#changed();
        },
        onLog: (_, line) => onLog(line),
        onEnd: (ended, how) => {
          this.#onEnd(ended, how);
          this.#changed();
        },
      }),
    );
    note(`instance ${number} is started as ${instance}`);
  }

  #onReport(instance: InstanceProcess, report: Report): void {
    const { note } = this.#options;
    const { number } = instance;
    switch (report.type) {
      case "ready":
        this.#failedStarts = 0;
        this.#options.targets?.ready(number, report.http);
        return note(`instance ${number} is ready: ${report.http}/health, ${report.http}/metrics`);
      case "open": {
        const { partition, epoch, position } = report;
        const before = this.#owners.get(partition);
        if (before !== undefined && before.epoch > epoch) return;
        this.#owners.set(partition, { instance, epoch });
        return note(
          `instance ${number} owns partition ${partition}: epoch ${epoch}, after message ${position}`,
        );
      }
      case "lost": {
        const { partition, epoch, reason } = report;
        if (this.#owners.get(partition)?.epoch === epoch) this.#owners.delete(partition);
        return note(`instance ${number} gives up partition ${partition}: ${reason}`);
      }
      case "failed":
        return note(`instance ${number} fails: ${report.message}`);
      case "paused":
      case "resumed":
        return note(`instance ${number}: partition ${report.partition} is ${report.type}`);
      case "failing":
        return note(`instance ${number}: partition ${report.partition} fails: ${report.message}`);
      case "refused":
        return note(`instance ${number}: a late write was refused: ${report.message}`);
      case "dead":
        return note(
          `instance ${number}: message ${report.seq} of partition ${report.partition} is a dead letter after ${report.tries} tries: ${report.error}`,
        );
      case "status":
        return undefined;
      default:
        return report satisfies never;
    }
  }

  #onEnd(ended: InstanceProcess, how: string): void {
    const { number } = ended;
    const { note, start } = this.#options;
    for (const partition of this.owned(ended)) this.#owners.delete(partition);
    this.#ended = addCounters(this.#ended, ended.status?.counters);
    if (this.#instances.get(number) === ended) this.#instances.delete(number);
    if (ended.isStopping) {
      this.#options.targets?.stopped(number);
      note(`instance ${number} has stopped (${how})`);
      if (number <= this.#wanted) this.#start(number); // scaled down and up again while it stopped
      return;
    }
    const wasReady = ended.http !== null;
    note(`instance ${number} has ended (${how})`);
    if (!wasReady) this.#failedStarts += 1;
    if (this.#failedStarts >= MAX_FAILED_STARTS) {
      this.#failure = new Error(`instances do not start: ${MAX_FAILED_STARTS} attempts in a row have failed`);
      note(this.#failure.message);
    }
    if (number > this.#wanted || this.#failure !== null) return;
    const restart = (): void => {
      this.#restarts.delete(number);
      this.#start(number);
    };
    this.#restarts.set(number, setTimeout(restart, start.config.restartMs * 2 ** this.#failedStarts));
  }

  #is(what: Awaited): boolean {
    const isPaused = this.instances.some(
      ({ status }) => status?.partitions.some(({ paused }) => paused) === true,
    );
    switch (what) {
      case "balanced":
        return this.#isTaken() && this.#isBalanced();
      case "taken":
        return this.#isTaken();
      case "paused":
        return isPaused;
      case "resumed":
        return !isPaused;
      default:
        return what satisfies never;
    }
  }

  /** Every partition has an owner that runs. */
  #isTaken(): boolean {
    const running = [...this.#owners.values()].filter(({ instance }) => !instance.isFrozen);
    return running.length === this.#options.start.config.partitions;
  }

  /** All instances run, and no two of them differ by more than one partition. */
  #isBalanced(): boolean {
    const able = this.instances.filter((one) => !one.isFrozen && !one.isStopping && one.http !== null);
    const frozen = this.instances.filter((one) => one.isFrozen).length;
    if (able.length !== this.#wanted - frozen) return false;
    const counts = able.map((one) => this.owned(one).length);
    return Math.max(...counts) - Math.min(...counts) <= 1;
  }

  #describe(): string {
    return this.instances
      .map(
        (one) =>
          `${one.number} ${one.isFrozen ? "is frozen" : `owns ${this.owned(one).join(" ") || "nothing"}`}`,
      )
      .join(", ");
  }

  #running(number: number): InstanceProcess {
    const instance = this.#instances.get(number);
    if (instance !== undefined) return instance;
    const numbers = this.instances.map((one) => one.number);
    throw new Error(`instance ${number} does not run; there are ${numbers.join(", ") || "none"}`);
  }

  #changed(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  async #change(signal: AbortSignal): Promise<void> {
    const woken = new AbortController();
    const listener = (): void => woken.abort();
    this.#listeners.add(listener);
    // The limit alone would not keep this process alive.
    const either = AbortSignal.any([signal, woken.signal]);
    await sleep(60_000, undefined, { signal: either }).catch(() => {});
    this.#listeners.delete(listener);
  }
}
