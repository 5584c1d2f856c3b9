/** One server or three, three nodes behind proxies, one fault after the other. Several worlds run side by side. */
import { appendFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { connect } from "@nats-io/transport-node";
import { FencedStream } from "../../src/fencing.ts";
import { streamName } from "../../src/nats/names.ts";
import { Random } from "../../src/testing/simulation/random.ts";
import { check, type FaultMark, type Findings } from "./check/checker.ts";
import type { WorldProfile } from "./faults/catalogue.ts";
import { inflict } from "./faults/inflict.ts";
import type { Scene } from "./faults/scene.ts";
import { BentClock, uptimeOffsetNs } from "./machine/bent-clock.ts";
import { Namespace } from "./machine/namespace.ts";
import { CLUSTER_ID, hostNowNs, STREAM } from "./node/messages.ts";
import { NodeProcess } from "./node/node-process.ts";
import { type HeldInterval, readHistory, type Stall } from "./node/recording.ts";
import type { PlannedFault } from "./schedule.ts";
import { Operator } from "./servers/operator.ts";
import { EMPTY_REGISTER, type RegisterContents, readRegister } from "./servers/register.ts";
import { type Servers, STRANGER, startServers, userOf } from "./servers/servers.ts";

const NODES = ["a", "b", "c"] as const;
/** A cluster may be without a leader for a while when its servers die, and for longer on a busy machine. */
const SETTLE_MS = 120_000;
const LATE_BYTES_MS = 1500;
const REGISTER_TRIES = 120;

export interface WorldOptions {
  readonly profile: WorldProfile;
  /** From 1. */
  readonly number: number;
  readonly plan: readonly PlannedFault[];
  readonly leaseMs: number;
  /** Path of libfaketime; `null` when no clock is bent here. */
  readonly faketime: string | null;
  /** For histories and clocks. */
  readonly folder: string;
  readonly stalls: readonly Stall[];
  /** No more faults are begun. */
  readonly signal: AbortSignal;
  readonly onFault: (mark: FaultMark) => void;
}

export interface WorldReport {
  readonly number: number;
  readonly profile: WorldProfile;
  readonly version: string;
  readonly faults: readonly FaultMark[];
  readonly held: readonly HeldInterval[];
  readonly findings: Findings;
  readonly contents: RegisterContents;
  readonly outcomes: Readonly<Record<string, number>>;
  /** What ended this world before its plan was done. */
  readonly failure: string | null;
}

export async function runWorld(options: WorldOptions): Promise<WorldReport> {
  mkdirSync(options.folder, { recursive: true });
  const { servers: count, disks: smallDisks } = options.profile;
  const servers = await startServers({ count, nodeIds: NODES, smallDisks });
  const world = new World(options, servers);
  try {
    let failure: string | null = null;
    try {
      await world.begin();
      await world.suffer();
    } catch (error) {
      failure = String(error);
    }
    return await world.end(failure);
  } finally {
    await world.close();
    await servers.dispose();
  }
}

class World {
  readonly #options: WorldOptions;
  readonly #servers: Servers;
  readonly #nodes: NodeProcess[] = [];
  readonly #twins: NodeProcess[] = [];
  readonly #faults: FaultMark[] = [];
  #operator: Operator | null = null;
  #stranger: Operator | null = null;
  #uptimeOffsetNs: number | null = null;

  constructor(options: WorldOptions, servers: Servers) {
    this.#options = options;
    this.#servers = servers;
    if (options.faketime !== null) this.#uptimeOffsetNs = uptimeOffsetNs();
  }

  async begin(): Promise<void> {
    const { urls } = this.#servers;
    await makeRegister(urls, this.#options.profile.servers);
    this.#operator = await Operator.at(urls);
    this.#stranger = await Operator.at(urls, STRANGER);
    for (const [index, id] of NODES.entries()) {
      const node = await this.#prepare(id, id, index);
      this.#nodes.push(node);
      node.start();
    }
    await this.#leader(0);
  }

  /** Each begins at another server, and knows a way to all. The last one is given the program's connection. */
  async #prepare(lane: string, nodeId: string, index: number): Promise<NodeProcess> {
    const { folder, leaseMs, profile, faketime } = this.#options;
    const { all } = this.#servers;
    const servers = [...all.slice(index), ...all.slice(0, index)];
    const clock = faketime === null ? null : new BentClock(faketime, join(folder, `${lane}.clock`));
    const settings = {
      nodeId,
      user: userOf(nodeId),
      leaseTtlMs: leaseMs,
      crashDetection: profile.crashDetection,
      sharedConnection: index === NODES.length - 1,
      uptimeOffsetNs: this.#uptimeOffsetNs,
    };
    const namespace = profile.namespaces ? Namespace.make() : null;
    return NodeProcess.prepare(lane, settings, servers, { clock, namespace, folder });
  }

  /** The whole plan, unless it is told to stop. */
  async suffer(): Promise<void> {
    const { plan, signal, onFault, profile } = this.#options;
    for (const { number, name, seed } of plan) {
      if (signal.aborted) return;
      const random = new Random(seed);
      await pause(random.between(20, 250));
      const leader = await this.#leader(0);
      const before = leader.epoch;
      const fromMs = nowMs();
      const mark = { number, name, fromMs, leader: leader.lane, epochBefore: before };
      let mendedMs = fromMs;
      try {
        await inflict(name, this.#scene(leader, random));
        mendedMs = nowMs();
        await this.#mend();
        const next = await this.#leader(mendedMs);
        if (profile.servers > 1) await this.#servers.whole();
        this.#note({ ...mark, mendedMs, settledMs: nowMs(), epochAfter: next.epoch });
      } catch (error) {
        // What it did is its doing, also when the world did not get over it.
        this.#note({ ...mark, mendedMs, settledMs: nowMs(), epochAfter: before });
        throw new Error(`at fault ${number} (${name}): ${error}`, { cause: error });
      }
      onFault(this.#faults.at(-1) as FaultMark);
    }
  }

  /** Also beside the histories, for whoever looks into them later. */
  #note(fault: FaultMark): void {
    this.#faults.push(fault);
    appendFileSync(join(this.#options.folder, "faults.jsonl"), `${JSON.stringify(fault)}\n`);
  }

  #scene(leader: NodeProcess, random: Random): Scene {
    const operator = this.#operator;
    const stranger = this.#stranger;
    if (operator === null || stranger === null) throw new Error("the world has not begun");
    const { epoch } = leader;
    return {
      leader,
      followers: this.#nodes.filter((node) => node !== leader && node.started),
      servers: this.#servers,
      operator,
      stranger,
      random,
      leaseMs: this.#options.leaseMs,
      takenOver: (timeoutMs, thanEpoch = epoch) => this.#writtenSince(thanEpoch, timeoutMs),
      twin: () => this.#twin(leader),
    };
  }

  async #twin(leader: NodeProcess): Promise<NodeProcess> {
    const index = this.#nodes.indexOf(leader);
    const twin = await this.#prepare(`${leader.lane}'`, leader.lane, index);
    this.#twins.push(twin);
    twin.start();
    await until(() => twin.started || twin.failure !== null, SETTLE_MS, "the twin to take part");
    return twin;
  }

  /** Processes that are gone come back; second ones under a node id go. */
  async #mend(): Promise<void> {
    for (const node of this.#nodes) node.start();
    for (const twin of this.#twins.splice(0)) {
      this.#failed(twin);
      await twin.end("SIGTERM");
      await twin.close();
    }
  }

  #failed(node: NodeProcess): void {
    if (node.failure !== null) throw new Error(node.failure);
  }

  /** The node that leads and has written after that moment, when at least one other takes part. */
  async #leader(sinceMs: number): Promise<NodeProcess> {
    const look = (): NodeProcess | undefined => {
      for (const node of this.#nodes) this.#failed(node);
      if (this.#nodes.filter(({ started }) => started).length < 2) return undefined;
      const newest = Math.max(...this.#nodes.map(({ epoch }) => epoch));
      return this.#nodes.find(
        ({ started, epoch, wroteEpoch, wroteAtMs }) =>
          started && newest > 0 && epoch === newest && wroteEpoch === newest && wroteAtMs > sinceMs,
      );
    };
    return until(look, SETTLE_MS, "somebody to lead and write").catch(async (error: unknown) => {
      throw new Error(`${error}; ${await this.#streams()}`, { cause: error });
    });
  }

  /** Who leads the streams, for people: without its bucket nobody can lead, and without the register nobody can write. */
  async #streams(): Promise<string> {
    const state = async (stream: string): Promise<string> => {
      const { cluster } = (await this.#operator?.api(`STREAM.INFO.${stream}`)) ?? {};
      return `${stream}: ${JSON.stringify(cluster)}`;
    };
    const states = await Promise.allSettled([streamName(CLUSTER_ID), STREAM].map(state));
    return states.map((it) => (it.status === "fulfilled" ? it.value : String(it.reason))).join("; ");
  }

  /** Resolves when a newer term has written, or after a while. */
  async #writtenSince(epoch: number, timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    const all = [...this.#nodes, ...this.#twins];
    while (performance.now() < deadline && !all.some(({ wroteEpoch }) => wroteEpoch > epoch)) await pause(5);
  }

  async end(failure: string | null): Promise<WorldReport> {
    const { number, profile, folder, stalls, leaseMs } = this.#options;
    await pause(LATE_BYTES_MS); // whatever is still under way arrives
    const outcomes = sum(await Promise.all(this.#nodes.map((node) => node.outcomes())));
    await Promise.all([...this.#nodes, ...this.#twins].map((node) => node.end("SIGKILL")));
    const history = readHistory(folder);
    const faults = this.#faults;
    // A lease to wait out, as long again for the campaign, and on a cluster the elections of its streams.
    const recoveryMs = 3 * leaseMs + (profile.servers === 1 ? 2_000 : 20_000);
    const presence = profile.crashDetection === "presence";
    const findings = check(history, { faults, stalls, presence, recoveryMs });
    const { contents, unread } = await readPatiently(this.#servers);
    const version = this.#servers.all[0]?.version ?? "";
    const report = { number, profile, version, faults, held: history.held, findings, contents, outcomes };
    return { ...report, failure: failure ?? unread };
  }

  async close(): Promise<void> {
    await Promise.all([...this.#nodes, ...this.#twins].map((node) => node.close()));
    await Promise.all([this.#operator?.close(), this.#stranger?.close()]);
  }
}

function nowMs(): number {
  return hostNowNs() / 1e6;
}

async function until<T>(look: () => T | undefined | false, timeoutMs: number, what: string): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const seen = look();
    if (seen !== undefined && seen !== false) return seen;
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms for ${what}`);
    await pause(5);
  }
}

/** After the last fault a cluster may still be without a leader for the stream. */
async function readPatiently(
  servers: Servers,
): Promise<{ readonly contents: RegisterContents; readonly unread: string | null }> {
  const giveUpAt = performance.now() + SETTLE_MS;
  for (;;) {
    try {
      await servers.whole();
      return { contents: await readRegister(servers.urls), unread: null };
    } catch (error) {
      if (performance.now() > giveUpAt)
        return { contents: EMPTY_REGISTER, unread: `the register can't be read: ${error}` };
      await pause(250);
    }
  }
}

async function makeRegister(servers: string[], replicas: number): Promise<void> {
  const nats = await connect({ servers, waitOnFirstConnect: true });
  for (let tries = 0; ; tries++) {
    try {
      const options = { stream: STREAM, subjects: ["register.>"], replicas, timeoutMs: 5000 };
      (await FencedStream.connect(nats, options)).close();
      break;
    } catch (error) {
      if (tries === REGISTER_TRIES) throw error;
      await pause(250); // a cluster that has just started
    }
  }
  await nats.close();
}

function sum(all: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const total: Record<string, number> = {};
  for (const one of all) {
    for (const [name, count] of Object.entries(one)) total[name] = (total[name] ?? 0) + count;
  }
  return total;
}
