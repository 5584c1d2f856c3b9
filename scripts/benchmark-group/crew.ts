/** The member processes of the group, and who owns what by their own reports. */
import { setTimeout as pause } from "node:timers/promises";
import { BenchChild } from "../../src/bench/child.ts";
import { type HeldInterval, largestOverlap } from "../../src/bench/held.ts";
import type { HostNetwork, NetworkHost } from "../../src/bench/host-network.ts";
import { hostNowMs } from "../../src/bench/messages.ts";
import type { CrashDetection } from "../../src/election/types.ts";
import type { DisownReason } from "../../src/group/application/types.ts";
import { waitFor } from "../shared/wait.ts";
import type { Change, GroupReport, GroupTask, Published } from "./messages.ts";

const PATIENCE_MS = 120_000;
const STRANGER_EVERY_MS = 5;
/** Reasons of `onDisown` after which the resource was not kept for the work. */
const LOSSES: ReadonlySet<string> = new Set<DisownReason>(["expired", "fenced", "deleted", "superseded"]);

export interface CrewOptions {
  readonly servers: readonly string[];
  readonly resources: number;
  readonly settleMs: number;
  readonly crashDetection: CrashDetection;
  /** Each member gets a host of its own in it. `null`: all run on this one. */
  readonly network: HostNetwork | null;
  readonly signal: AbortSignal;
}

export interface Crewman {
  readonly id: string;
  readonly child: BenchChild<GroupTask>;
  /** It is expected to exit. */
  leaving: boolean;
  killedAt: number | null;
  startedAt: number | null;
  /** `null`: it runs on this host. */
  readonly host: NetworkHost | null;
  /** The last time at which a watched member held its terms; `null`: it does. */
  heldUntil: number | null;
  cpu: { readonly at: number; readonly cpuMs: number } | null;
}

/** A period in which a member owned a resource. */
interface Owned {
  readonly member: string;
  readonly epoch: number;
  readonly from: number;
  until: number;
}

export interface Begin {
  readonly member: string;
  readonly resource: string;
  readonly at: number;
}

/** Where children of the benchmark run. */
export const PROGRAM: URL = new URL(
  import.meta.url.endsWith(".ts") ? "./child.ts" : "./child.js",
  import.meta.url,
);

export class Crew implements AsyncDisposable {
  readonly #options: CrewOptions;
  readonly #members = new Map<string, Crewman>();
  readonly #owned = new Map<string, Owned[]>();
  /** Every begin of a term, in the order of the reports. */
  readonly begins: Begin[] = [];
  /** Every publish of the stranger. */
  readonly published: Published[] = [];
  /** Terms that ended because their session did, or by another member's claim. */
  lostTerms = 0;
  readonly #cutOff = new Set<Crewman>();
  #stranger: Crewman | null = null;
  #failure: Error | null = null;
  #lastChangeAt = 0;
  #number = 0;

  constructor(options: CrewOptions) {
    this.#options = options;
  }

  get ids(): string[] {
    return [...this.#members.keys()];
  }

  /** Starts members at the same time. Resolves when all of them take part. */
  async add(count: number): Promise<Crewman[]> {
    const { servers, resources, settleMs, crashDetection, network } = this.#options;
    const added = Array.from({ length: count }, () => {
      this.#number += 1;
      const id = `m${this.#number}`;
      const config = { memberId: id, servers, resources, settleMs, crashDetection };
      const task: GroupTask = { role: "member", ...config, watch: network !== null };
      const member = this.#start(id, task, network?.add() ?? null);
      this.#members.set(id, member);
      return member;
    });
    await this.#until(
      () => added.every(({ startedAt }) => startedAt !== null),
      () => `${added.map(({ id }) => id).join(", ")} to start`,
    );
    return added;
  }

  /** @param exec - Prefix of its command. */
  async addStranger(exec: readonly string[]): Promise<void> {
    const { servers } = this.#options;
    const task: GroupTask = { role: "stranger", servers, everyMs: STRANGER_EVERY_MS };
    const stranger = this.#start("stranger", task, null, exec);
    this.#stranger = stranger;
    await this.#until(
      () => stranger.startedAt !== null,
      () => "the stranger to start",
    );
  }

  member(id: string): Crewman {
    const member = this.#members.get(id);
    if (member === undefined) throw new Error(`no member ${id}`);
    return member;
  }

  /** SIGKILL; its terms are over at that moment. Returns the time just before. */
  kill(member: Crewman): number {
    member.leaving = true;
    const at = hostNowMs();
    member.killedAt = at;
    member.child.signal("SIGKILL");
    this.#members.delete(member.id);
    for (const owned of this.#owned.values()) {
      const last = owned.at(-1);
      if (last?.member === member.id) last.until = Math.min(last.until, at);
    }
    return at;
  }

  /** Pulls the cable of the member's host. Returns the time just before. Until `mend()` it does not count as a member. */
  cut(member: Crewman): number {
    const at = hostNowMs();
    member.host?.pull();
    this.#members.delete(member.id);
    this.#cutOff.add(member);
    return at;
  }

  /** Resolves when the member that is cut off has given its terms up, with the last time at which it held them. */
  async givenUp(member: Crewman): Promise<number> {
    await this.#until(
      () => member.heldUntil !== null,
      () => `${member.id}, which is cut off, to hold nothing`,
    );
    const heldUntil = member.heldUntil ?? 0;
    for (const periods of this.#owned.values()) {
      const last = periods.findLast((one) => one.member === member.id);
      if (last !== undefined) last.until = Math.min(last.until, heldUntil);
    }
    return heldUntil;
  }

  mend(member: Crewman): void {
    member.host?.mend();
    this.#cutOff.delete(member);
    this.#members.set(member.id, member);
  }

  /** SIGTERM. Resolves when the process has exited and all its reports have arrived. */
  async leave(member: Crewman): Promise<void> {
    member.leaving = true;
    member.child.signal("SIGTERM");
    await member.child.exited;
    this.#members.delete(member.id);
  }

  /** Resource name to the member that owns it now. */
  owners(): Map<string, string> {
    const owners = new Map<string, string>();
    for (const [resource, periods] of this.#owned) {
      const last = periods.findLast(({ until }) => until === Number.POSITIVE_INFINITY);
      if (last !== undefined) owners.set(resource, last.member);
    }
    return owners;
  }

  ownedBy(member: string): string[] {
    return [...this.owners()].filter(([, owner]) => owner === member).map(([resource]) => resource);
  }

  /** When the member's last term of this resource ended; `null`: it has none, or it has not ended. */
  endedAt(resource: string, member: string): number | null {
    const until = this.#owned.get(resource)?.findLast((one) => one.member === member)?.until;
    return until === undefined || until === Number.POSITIVE_INFINITY ? null : until;
  }

  /** Resolves when every resource has an owner, every member its share, and nothing has changed for longer than the group settles. */
  async settled(): Promise<void> {
    const { resources, settleMs } = this.#options;
    const quietMs = settleMs + 500;
    const isBalanced = (): boolean => {
      const counts = new Map(this.ids.map((id) => [id, 0]));
      for (const owner of this.owners().values()) {
        const count = counts.get(owner);
        // One that is cut off is no member.
        if (count !== undefined) counts.set(owner, count + 1);
      }
      const all = [...counts.values()];
      const sum = all.reduce((total, one) => total + one, 0);
      return sum === resources && Math.max(...all) - Math.min(...all) <= 1;
    };
    await this.#until(
      () => hostNowMs() - this.#lastChangeAt > quietMs && isBalanced(),
      () => {
        const counts = this.ids.map((id) => `${id} owns ${this.ownedBy(id).length}`).join(", ");
        return `the group to settle; ${counts} of ${resources}`;
      },
    );
  }

  /** Percent of one core that each member uses during this time. */
  async cpuPercents(forMs: number): Promise<number[]> {
    const before = await this.#cpu();
    await pause(forMs, undefined, { signal: this.#options.signal });
    const after = await this.#cpu();
    return after.map(({ at, cpuMs }, index) => {
      const first = before[index];
      return first === undefined ? 0 : (100 * (cpuMs - first.cpuMs)) / (at - first.at);
    });
  }

  async #cpu(): Promise<{ readonly at: number; readonly cpuMs: number }[]> {
    const members = [...this.#members.values()];
    for (const member of members) {
      member.cpu = null;
      member.child.send({ do: "cpu" });
    }
    const answers = (): { readonly at: number; readonly cpuMs: number }[] =>
      members.flatMap(({ cpu }) => (cpu === null ? [] : [cpu]));
    await this.#until(
      () => answers().length === members.length,
      () => "the members to answer",
    );
    return answers();
  }

  /** The longest time during which two members owned one resource. */
  overlapMs(): number {
    const now = hostNowMs();
    let largest = 0;
    for (const periods of this.#owned.values()) {
      const intervals = periods.map(
        ({ member, epoch, from, until }): HeldInterval => ({
          node: member,
          epoch,
          from,
          until: Math.min(until, now),
        }),
      );
      largest = Math.max(largest, largestOverlap(intervals));
    }
    return largest;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const all = [
      ...this.#members.values(),
      ...this.#cutOff,
      ...(this.#stranger === null ? [] : [this.#stranger]),
    ];
    for (const member of all) member.leaving = true;
    await Promise.all(all.map(({ child }) => child.end()));
  }

  #start(
    id: string,
    task: GroupTask,
    host: NetworkHost | null,
    exec: readonly string[] = host?.exec ?? [],
  ): Crewman {
    const child = new BenchChild(id, task, (report) => this.#onReport(member, report as unknown), {
      program: PROGRAM,
      exec,
    });
    const member: Crewman = {
      id,
      child,
      host,
      leaving: false,
      killedAt: null,
      startedAt: null,
      heldUntil: null,
      cpu: null,
    };
    void child.exited.then(() => {
      if (!member.leaving) this.#failure ??= new Error(`${id} exited unexpectedly: ${child.stderr}`);
    });
    return member;
  }

  #onReport(member: Crewman, message: unknown): void {
    const report = message as GroupReport;
    switch (report.type) {
      case "ready":
        member.startedAt = report.startedAt;
        return;
      case "failed":
        this.#failure ??= new Error(`${member.id} failed: ${report.message}`);
        return;
      case "changes":
        for (const change of report.changes) this.#note(member, change);
        return;
      case "held":
        member.heldUntil = report.held ? null : report.at;
        return;
      case "cpu":
        member.cpu = report;
        return;
      case "published":
        for (const one of report.published) this.published.push(one);
        return;
      case "claimed":
        return;
      default:
        report satisfies never;
    }
  }

  #note({ id, killedAt }: Crewman, { kind, resource, epoch, at, reason }: Change): void {
    this.#lastChangeAt = Math.max(this.#lastChangeAt, at);
    const periods = this.#owned.get(resource) ?? [];
    this.#owned.set(resource, periods);
    if (kind === "own") {
      periods.push({ member: id, epoch, from: at, until: killedAt ?? Number.POSITIVE_INFINITY });
      this.begins.push({ member: id, resource, at });
      return;
    }
    const period = periods.find((one) => one.member === id && one.epoch === epoch);
    if (period !== undefined) period.until = Math.min(period.until, at);
    if (reason !== undefined && LOSSES.has(reason)) this.lostTerms += 1;
  }

  /** Fails as soon as a child has failed. */
  async #until(condition: () => boolean, message: () => string): Promise<void> {
    const check = (): boolean => {
      if (this.#failure !== null) throw this.#failure;
      return condition();
    };
    await waitFor(check, { timeoutMs: PATIENCE_MS, intervalMs: 20, message, signal: this.#options.signal });
  }
}
