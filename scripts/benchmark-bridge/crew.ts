/** The processes of one run: instances or bare consumers, and what they have reported. */
import { BenchChild } from "../../src/bench/child.ts";
import { hostNowMs } from "../../src/bench/messages.ts";
import { waitFor } from "../shared/wait.ts";
import type { BridgeCommand, BridgeReport, BridgeTask, First } from "./messages.ts";

const PATIENCE_MS = 120_000;

/** Where children of the benchmark run. */
const PROGRAM: URL = new URL(import.meta.url.endsWith(".ts") ? "./child.ts" : "./child.js", import.meta.url);

interface Worker {
  readonly child: BenchChild<BridgeTask>;
  isReady: boolean;
  owned: readonly string[];
  stored: { total: number; at: number };
  latencies: readonly number[] | null;
  published: readonly number[] | null;
}

export class Crew implements AsyncDisposable {
  readonly #signal: AbortSignal;
  readonly #workers = new Map<string, Worker>();
  readonly #leaving = new Set<string>();
  /** The first batch of each term. */
  readonly firsts: First[] = [];
  #failure: Error | null = null;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  get names(): string[] {
    return [...this.#workers.keys()];
  }

  /** Resolves when the child is ready. */
  async add(name: string, task: BridgeTask): Promise<void> {
    const worker: Worker = {
      child: new BenchChild(name, task, (report) => this.#onReport(name, report as unknown as BridgeReport), {
        program: PROGRAM,
      }),
      isReady: false,
      owned: [],
      stored: { total: 0, at: 0 },
      latencies: null,
      published: null,
    };
    this.#workers.set(name, worker);
    void worker.child.exited.then(() => {
      if (!this.#leaving.has(name)) this.#failure ??= new Error(`${name} has exited: ${worker.child.stderr}`);
    });
    await this.until(() => worker.isReady, `${name} to start`);
  }

  send(name: string, command: BridgeCommand): void {
    this.#of(name).child.send(command);
  }

  /** To all. */
  order(command: BridgeCommand): void {
    for (const name of this.#workers.keys()) this.send(name, command);
  }

  ownedBy(name: string): readonly string[] {
    return this.#of(name).owned;
  }

  /** How many messages all of them have stored, and when the last of these was. */
  get stored(): { readonly total: number; readonly at: number } {
    const all = [...this.#workers.values()].map(({ stored }) => stored);
    return {
      total: all.reduce((sum, { total }) => sum + total, 0),
      at: Math.max(...all.map(({ at }) => at)),
    };
  }

  /** Until each has the same number of partitions. */
  untilShared(partitions: number): Promise<void> {
    const share = partitions / this.#workers.size;
    return this.until(
      () => [...this.#workers.values()].every(({ owned }) => owned.length === share),
      `${this.#workers.size} instances to own ${share} partitions each`,
    );
  }

  /** How many messages took how many milliseconds, since the last call. */
  async takeLatencies(): Promise<number[]> {
    const workers = [...this.#workers.values()];
    for (const worker of workers) worker.latencies = null;
    this.order({ do: "latencies" });
    await this.until(() => workers.every(({ latencies }) => latencies !== null), "latencies");
    const sum: number[] = [];
    for (const { latencies } of workers) {
      for (const [ms, count] of (latencies ?? []).entries()) sum[ms] = (sum[ms] ?? 0) + count;
    }
    return Array.from(sum, (count) => count ?? 0);
  }

  /** Sends the command, and resolves with the numbers that the producer has published. */
  async publish(name: string, command: BridgeCommand): Promise<readonly number[]> {
    const worker = this.#of(name);
    worker.published = null;
    this.send(name, command);
    await this.until(() => worker.published !== null, "the producer");
    return worker.published ?? [];
  }

  /** SIGKILL. Returns the time just before. */
  kill(name: string): number {
    const { child } = this.#of(name);
    this.#leaving.add(name);
    const at = hostNowMs();
    child.signal("SIGKILL");
    this.#workers.delete(name);
    return at;
  }

  async until(condition: () => boolean, what: string | (() => string)): Promise<void> {
    await waitFor(
      () => {
        if (this.#failure !== null) throw this.#failure;
        return condition();
      },
      { timeoutMs: PATIENCE_MS, message: what, signal: this.#signal, intervalMs: 5 },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const workers = [...this.#workers];
    for (const [name] of workers) this.#leaving.add(name);
    await Promise.all(workers.map(([, { child }]) => child.end()));
  }

  #of(name: string): Worker {
    const worker = this.#workers.get(name);
    if (worker === undefined) throw new Error(`no process ${name}`);
    return worker;
  }

  #onReport(name: string, report: BridgeReport): void {
    const worker = this.#workers.get(name);
    if (worker === undefined) return;
    switch (report.type) {
      case "ready":
        worker.isReady = true;
        return;
      case "failed":
        this.#failure ??= new Error(`${name}: ${report.message}`);
        return;
      case "owned":
        worker.owned = report.owned;
        return;
      case "first":
        this.firsts.push(report);
        return;
      case "stored":
        worker.stored = report;
        return;
      case "latencies":
        worker.latencies = report.counts;
        return;
      case "published":
        worker.published = report.numbers;
        return;
      default:
        report satisfies never;
    }
  }
}
