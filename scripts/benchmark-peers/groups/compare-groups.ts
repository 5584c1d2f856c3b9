/** Measures one system of groups: how long the partitions of a member that dies or leaves are not consumed. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostNowMs } from "../../../src/bench/messages.ts";
import { percentile, round, summarize } from "../../../src/bench/stats.ts";
import { waitFor } from "../../shared/wait.ts";
import type { Consumed, GroupPeer, GroupServer, MemberProcess } from "./group-peer.ts";

export const GROUP_MODES = ["kill", "leave"] as const;
export type GroupMode = (typeof GROUP_MODES)[number];

export interface CompareGroupsOptions {
  readonly rounds: number;
  readonly members: number;
  readonly partitions: number;
  readonly modes: readonly GroupMode[];
  readonly signal: AbortSignal;
  readonly onProgress: (line: string) => void;
}

export interface GroupResult {
  readonly system: string;
  readonly mode: GroupMode;
  readonly members: number;
  readonly partitions: number;
  readonly sessionTimeoutMs: number | null;
  readonly p50: number;
  readonly max: number;
  readonly samplesMs: readonly number[];
  /** The same, until the first of the partitions is consumed again. */
  readonly firstMs: { readonly p50: number; readonly max: number };
  /** In each round: the longest time for which a partition of another member was not consumed. */
  readonly othersPausedMs: { readonly p50: number; readonly max: number };
  /** Each partition gets a message so often. */
  readonly messageEveryMs: number;
  readonly version: string;
  readonly client: string;
}

const MESSAGE_EVERY_MS = 5;
/** A group has settled when its members have equal shares and no partition has changed its member for so long. */
const QUIET_MS = 2_000;
/** A Kafka group of the longest session timeout, and a busy machine. */
const PATIENCE_MS = 180_000;

interface RoundTimes {
  readonly first: number;
  readonly last: number;
  readonly othersPaused: number;
}

/** Runs all modes of one system on a server of its own. */
export async function compareGroups(peer: GroupPeer, options: CompareGroupsOptions): Promise<GroupResult[]> {
  const dir = await mkdtemp(join(tmpdir(), `nats-leader-groups-${peer.system}-`));
  try {
    const server = await peer.startServer(dir, options.partitions, options.signal);
    try {
      const results: GroupResult[] = [];
      for (const mode of options.modes) results.push(await measure(peer, server, mode, options));
      return results;
    } finally {
      await server.stop();
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function measure(
  peer: GroupPeer,
  server: GroupServer,
  mode: GroupMode,
  options: CompareGroupsOptions,
): Promise<GroupResult> {
  const { members, partitions, rounds, onProgress } = options;
  const { system, client, sessionTimeoutMs } = peer;
  await using crew = new Crew(peer, server.url, `compared-${mode}`, options);
  for (let count = 0; count < members; count += 1) crew.add();
  const done: RoundTimes[] = [];
  for (let number = 1; number <= rounds; number += 1) {
    await crew.settled();
    const times = await crew.lose(mode);
    done.push(times);
    onProgress(
      `${system} ${mode} ${number}/${rounds}: first ${round(times.first)} ms, last ${round(times.last)} ms, others paused ${round(times.othersPaused)} ms`,
    );
    crew.add();
  }
  const { p50, max } = summarize(done.map(({ last }) => last));
  const spread = (samples: readonly number[]): { p50: number; max: number } => ({
    p50: round(percentile(samples, 50)),
    max: round(Math.max(...samples)),
  });
  return {
    system,
    mode,
    members,
    partitions,
    sessionTimeoutMs,
    p50,
    max,
    samplesMs: done.map(({ last }) => round(last)),
    firstMs: spread(done.map(({ first }) => first)),
    othersPausedMs: spread(done.map(({ othersPaused }) => othersPaused)),
    messageEveryMs: MESSAGE_EVERY_MS,
    version: server.version,
    client,
  };
}

/** Which member consumed the last message of a partition, since when it does, and the longest pause since `lose()` began. */
interface Seen {
  member: string;
  since: number;
  at: number;
  longestPause: number;
}

class Crew implements AsyncDisposable {
  readonly #peer: GroupPeer;
  readonly #url: string;
  readonly #group: string;
  readonly #options: CompareGroupsOptions;
  readonly #members = new Map<string, MemberProcess>();
  readonly #ended: MemberProcess[] = [];
  readonly #seen = new Map<number, Seen>();
  readonly #producer: MemberProcess;
  #failure: Error | null = null;
  #count = 0;

  constructor(peer: GroupPeer, url: string, group: string, options: CompareGroupsOptions) {
    this.#peer = peer;
    this.#url = url;
    this.#group = group;
    this.#options = options;
    const task = { url, partitions: options.partitions, everyMs: MESSAGE_EVERY_MS };
    this.#producer = peer.startProducer(task, { failed: (message) => this.#fail(message) });
    this.#watch("producer", this.#producer, () => this.#isOver);
  }

  #isOver = false;

  add(): void {
    this.#count += 1;
    const id = `member-${this.#count}`;
    const { partitions } = this.#options;
    const task = { url: this.#url, id, partitions, group: this.#group };
    const member = this.#peer.startMember(task, {
      consumed: (messages) => {
        for (const message of messages) this.#note(id, message);
      },
      failed: (message) => {
        if (this.#members.has(id)) this.#fail(message);
      },
    });
    this.#members.set(id, member);
    this.#watch(id, member, () => !this.#members.has(id));
  }

  /** Resolves when every member consumes its share, and that has not changed lately. */
  async settled(): Promise<void> {
    const { partitions } = this.#options;
    const isSettled = (): boolean => {
      const now = hostNowMs();
      const seen = [...this.#seen.values()];
      const shares = [...this.#members.keys()].map((id) => seen.filter(({ member }) => member === id).length);
      const isFlowing = seen.every(({ since, at }) => now - since > QUIET_MS && now - at < QUIET_MS);
      return seen.length === partitions && isFlowing && Math.max(...shares) - Math.min(...shares) <= 1;
    };
    await this.#until(isSettled, () => {
      const shares = [...this.#seen.values()].map(({ member }) => member).sort();
      return `${this.#peer.system} to settle; partitions are consumed by ${shares.join(", ") || "no member"}`;
    });
  }

  /** One member dies or leaves. */
  async lose(mode: GroupMode): Promise<RoundTimes> {
    const [id, victim] = [...this.#members][0] ?? [];
    if (id === undefined || victim === undefined) throw new Error("no member is left");
    const lost = [...this.#seen].filter(([, { member }]) => member === id).map(([partition]) => partition);
    for (const seen of this.#seen.values()) seen.longestPause = 0;
    this.#members.delete(id);
    this.#ended.push(victim);
    const start = hostNowMs();
    victim.signal(mode === "kill" ? "SIGKILL" : "SIGTERM");
    const begins = (): number[] =>
      lost.flatMap((partition) => {
        const seen = this.#seen.get(partition);
        return seen === undefined || seen.member === id ? [] : [seen.since - start];
      });
    await this.#until(
      () => begins().length === lost.length,
      () => `the partitions of ${id} to be consumed again (${begins().length} of ${lost.length})`,
    );
    const others = [...this.#seen].filter(([partition]) => !lost.includes(partition));
    const times = begins();
    return {
      first: Math.min(...times),
      last: Math.max(...times),
      othersPaused: Math.max(0, ...others.map(([, { longestPause }]) => longestPause)),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    const members = [...this.#members.values(), ...this.#ended, this.#producer];
    this.#members.clear();
    await Promise.all(members.map((member) => member.end()));
  }

  #note(id: string, [partition, at]: Consumed): void {
    const seen = this.#seen.get(partition);
    if (seen === undefined) {
      this.#seen.set(partition, { member: id, since: at, at, longestPause: 0 });
      return;
    }
    // The reports of two members may arrive in another order than they consumed.
    if (at < seen.at) return;
    if (seen.member !== id) {
      seen.member = id;
      seen.since = at;
    }
    seen.longestPause = Math.max(seen.longestPause, at - seen.at);
    seen.at = at;
  }

  #watch(id: string, member: MemberProcess, isExpected: () => boolean): void {
    void member.exited.then(() => {
      if (!isExpected()) this.#fail(`${id} exited unexpectedly; stderr: ${member.stderr}`);
    });
  }

  #fail(message: string): void {
    this.#failure ??= new Error(`${this.#peer.system}: ${message}`);
  }

  /** Fails as soon as a process has failed. */
  async #until(condition: () => boolean, message: () => string): Promise<void> {
    const check = (): boolean => {
      if (this.#failure !== null) throw this.#failure;
      return condition();
    };
    const { signal } = this.#options;
    await waitFor(check, { timeoutMs: PATIENCE_MS, intervalMs: 20, message, signal });
  }
}
