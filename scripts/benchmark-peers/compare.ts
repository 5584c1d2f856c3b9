/** Measures the failover of one system: a leader and a standby, each in its own process. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { BenchChild } from "../../src/bench/child.ts";
import { hostNowMs } from "../../src/bench/messages.ts";
import { round, summarize } from "../../src/bench/stats.ts";
import type { CandidateTask } from "./candidate.ts";
import type { Peer } from "./peer.ts";

export const MODES = ["kill", "term"] as const;
export type Mode = (typeof MODES)[number];

export interface CompareOptions {
  readonly rounds: number;
  readonly ttlMs: number;
  readonly modes: readonly Mode[];
  readonly signal: AbortSignal;
  readonly onProgress: (line: string) => void;
}

export interface Result {
  readonly system: string;
  readonly mode: Mode;
  readonly ttlMs: number;
  readonly p50: number;
  readonly max: number;
  readonly samplesMs: readonly number[];
  readonly version: string;
  readonly client: string;
}

const CANDIDATE = new URL(
  import.meta.url.endsWith(".ts") ? "./candidate.ts" : "./candidate.js",
  import.meta.url,
);
/** A standby that has reported that it competes may still have a request in flight. */
const SETTLE_MS = 300;
const READY_TIMEOUT_MS = 30_000;

/** Runs all modes of one system on a server of its own. */
export async function compare(peer: Peer, options: CompareOptions): Promise<Result[]> {
  const dir = await mkdtemp(join(tmpdir(), `nats-leader-peer-${peer.system}-`));
  try {
    const server = await peer.startServer(dir, options.signal);
    try {
      const results: Result[] = [];
      for (const mode of options.modes) {
        const samplesMs = await new Pair(peer, server.url, options).run(mode);
        const { p50, max } = summarize(samplesMs);
        const { system, client } = peer;
        const { version } = server;
        results.push({
          system,
          mode,
          ttlMs: options.ttlMs,
          p50,
          max,
          samplesMs: samplesMs.map(round),
          version,
          client,
        });
      }
      return results;
    } finally {
      await server.stop();
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** The leader and the standby of one mode. */
class Pair {
  readonly #peer: Peer;
  readonly #url: string;
  readonly #options: CompareOptions;
  readonly #children = new Set<BenchChild<CandidateTask>>();
  readonly #ready = new Set<BenchChild<CandidateTask>>();
  #leader: { readonly child: BenchChild<CandidateTask>; readonly at: number } | null = null;
  #leaving: BenchChild<CandidateTask> | null = null;
  #failure: Error | null = null;
  #wake: () => void = () => {};
  #count = 0;

  constructor(peer: Peer, url: string, options: CompareOptions) {
    this.#peer = peer;
    this.#url = url;
    this.#options = options;
  }

  async run(mode: Mode): Promise<number[]> {
    const { rounds, ttlMs, signal, onProgress } = this.#options;
    const onAbort = (): void => this.#wake();
    signal.addEventListener("abort", onAbort);
    const samples: number[] = [];
    try {
      this.#add();
      await this.#until(() => this.#leader !== null, READY_TIMEOUT_MS + 2 * ttlMs, "a first leader");
      this.#add();
      for (let number = 1; number <= rounds; number++) {
        await this.#until(() => this.#ready.size === 2, READY_TIMEOUT_MS, "a standby");
        // The remaining time of a lease depends on when its holder dies: kills are spread over one renewal interval.
        await pause(SETTLE_MS + Math.random() * this.#peer.renewEveryMs(ttlMs), undefined, { signal });
        const sample = await this.#round(mode);
        samples.push(sample);
        onProgress(`${this.#peer.system} ${mode} ${number}/${rounds}: ${round(sample)} ms`);
      }
      return samples;
    } finally {
      signal.removeEventListener("abort", onAbort);
      await Promise.all([...this.#children].map((child) => child.end()));
    }
  }

  async #round(mode: Mode): Promise<number> {
    const old = this.#leader?.child;
    if (old === undefined) throw new Error("no leader");
    this.#leader = null;
    this.#leaving = old;
    const start = hostNowMs();
    old.signal(mode === "kill" ? "SIGKILL" : "SIGTERM");
    const patienceMs = 3 * this.#options.ttlMs + 10_000;
    const next = await this.#until(() => this.#leader, patienceMs, `the next leader of ${this.#peer.system}`);
    await old.exited;
    this.#children.delete(old);
    this.#ready.delete(old);
    this.#add();
    return next.at - start;
  }

  #add(): void {
    this.#count += 1;
    const id = `candidate-${this.#count}`;
    const task = { system: this.#peer.system, url: this.#url, id, ttlMs: this.#options.ttlMs };
    const child: BenchChild<CandidateTask> = new BenchChild(
      id,
      task,
      (report) => {
        if (report.type === "ready") this.#ready.add(child);
        else if (report.type === "become") this.#leader = { child, at: report.at };
        else if (report.type === "failed" && child !== this.#leaving) {
          this.#failure ??= new Error(`${this.#peer.system} ${id}: ${report.message}`);
        }
        this.#wake();
      },
      { program: CANDIDATE },
    );
    this.#children.add(child);
    void child.exited.then(() => {
      if (child !== this.#leaving) {
        this.#failure ??= new Error(
          `${this.#peer.system} ${id} exited unexpectedly; stderr: ${child.stderr}`,
        );
      }
      this.#wake();
    });
  }

  async #until<V>(probe: () => V | null | false, timeoutMs: number, what: string): Promise<V> {
    let expired = false;
    const timer = setTimeout(() => {
      expired = true;
      this.#wake();
    }, timeoutMs);
    try {
      for (;;) {
        this.#options.signal.throwIfAborted();
        if (this.#failure !== null) throw this.#failure;
        const found = probe();
        if (found !== null && found !== false) return found;
        if (expired) throw new Error(`timed out after ${timeoutMs} ms waiting for ${what}`);
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      clearTimeout(timer);
    }
  }
}
