/** One server or three, three members behind proxies, one fault after another. */
import { setTimeout as pause } from "node:timers/promises";
import type { CrashDetection } from "../../src/election/types.ts";
import { Random } from "../../src/testing/simulation/random.ts";
import { type Detection, detectionsOf } from "../chaos/detection.ts";
import { hostNowMs } from "../chaos/harness/host-clock.ts";
import { placeOf } from "../chaos/harness/lane-process.ts";
import { playFault } from "../chaos/harness/play-fault.ts";
import { playWorld, type World, type WorldPlace } from "../chaos/harness/run-worlds.ts";
import { summed, total } from "../chaos/harness/sums.ts";
import { uptimeOffsetNs } from "../chaos/machine/fake-clock.ts";
import { readRecording } from "../chaos/node/recording.ts";
import { Operator } from "../chaos/servers/operator.ts";
import type { Servers } from "../chaos/servers/servers.ts";
import { waitFor } from "../shared/wait.ts";
import {
  type FaultMark,
  findingsOf,
  type LedgerFindings,
  ledgerFindings,
  type ResourceFindings,
  type Stored,
  staleEpochs,
} from "./check/findings.ts";
import { type FaultName, kindOf } from "./faults/faults.ts";
import type { Scene } from "./faults/scene.ts";
import { MemberProcess } from "./member/member-process.ts";
import { RESOURCES } from "./member/messages.ts";
import { createSinks, readSinks, type SinkContents } from "./sinks.ts";

const MEMBERS: readonly string[] = ["a", "b", "c"];
/** On a busy machine a process may get no turn for seconds, again and again. */
const SETTLE_MS = 300_000;
const STATS_MS = 2_000;
const POLL_MS = 20;

export interface WorldProfile {
  readonly servers: 1 | 3;
  /** Of all members; `mixed`: one of each. */
  readonly crashDetection: CrashDetection | "mixed";
  readonly clocks: boolean;
}

export interface WorldOptions extends WorldPlace {
  readonly profile: WorldProfile;
  readonly faults: readonly FaultName[];
  readonly seed: number;
  readonly leaseMs: number;
  readonly faketime: string | null;
}

export interface WorldReport {
  readonly number: number;
  readonly profile: WorldProfile;
  readonly version: string;
  readonly faults: readonly FaultMark[];
  readonly resources: readonly ResourceFindings[];
  readonly ledgers: readonly LedgerFindings[];
  readonly shadowEntries: number;
  readonly shadowStale: number;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly warnings: Readonly<Record<string, number>>;
  /** Why the world ended before its schedule was complete, `null` if it did not. */
  readonly failure: string | null;
}

export function runWorld(options: WorldOptions): Promise<WorldReport> {
  const servers = { count: options.profile.servers, nodeIds: [], smallDisks: false };
  return playWorld(servers, (running) => new GroupWorld(options, running));
}

class GroupWorld implements World<WorldReport> {
  readonly #options: WorldOptions;
  readonly #servers: Servers;
  readonly #random: Random;
  readonly #members: MemberProcess[] = [];
  /** Members and processes that a fault has started. */
  readonly #guests: MemberProcess[] = [];
  readonly #faults: FaultMark[] = [];
  readonly #detections: readonly Detection[];
  #operator: Operator | null = null;
  #lanes = 0;

  constructor(options: WorldOptions, servers: Servers) {
    const { seed, number, profile, leaseMs } = options;
    this.#options = options;
    this.#servers = servers;
    this.#random = new Random(seed * 1_000 + number);
    const mode = profile.crashDetection;
    this.#detections = detectionsOf(mode, leaseMs, number - 1);
  }

  async begin(): Promise<void> {
    const { urls } = this.#servers;
    await createSinks(urls, this.#options.profile.servers);
    this.#operator = await Operator.at(urls);
    for (const [index, id] of MEMBERS.entries()) {
      const member = await this.#prepare(id, id, index);
      this.#members.push(member);
      member.start();
    }
    await this.#settled(0);
  }

  async runFaults(): Promise<void> {
    const { faults, signal, onFault } = this.#options;
    for (const [index, name] of faults.entries()) {
      if (signal.aborted) return;
      await pause(this.#random.between(0, 600));
      const fault = { number: index + 1, name };
      await playFault(fault, {
        inflict: () => kindOf(name).inflict(this.#scene()),
        recover: (mendedMs) => this.#recover(mendedMs),
        record: (times) => this.#faults.push({ ...fault, ...times }),
      });
      onFault(this.#faults.at(-1) as FaultMark);
    }
  }

  async #recover(mendedMs: number): Promise<void> {
    for (const guest of this.#guests.splice(0)) await this.#retire(guest);
    for (const member of this.#members) member.start();
    await this.#settled(mendedMs);
    for (const { failure } of this.#members) if (failure !== null) throw new Error(failure);
  }

  async end(failure: string | null): Promise<WorldReport> {
    const { profile, number, folder } = this.#options;
    const outcomes: Readonly<Record<string, number>>[] = [];
    for (const member of this.#members) {
      outcomes.push((await member.stats(STATS_MS))?.outcomes ?? {});
      if (member.frozen) member.thaw();
      await member.end("SIGTERM");
    }
    const sinks: ReadonlyMap<string, SinkContents> = await readSinks(this.#servers.urls);
    const { held, events } = readRecordings(folder);
    const detectionOf = (lane: string): Detection => this.#detectionOf(lane);
    return {
      number,
      profile,
      version: this.#servers.all[0]?.version ?? "",
      faults: this.#faults,
      resources: RESOURCES.map((resource) =>
        findingsOf(resource, held.get(resource) ?? [], { faults: this.#faults, detectionOf }),
      ),
      ledgers: RESOURCES.map((resource) =>
        ledgerFindings(resource, sinks.get(resource)?.entries ?? [], events.get(resource) ?? []),
      ),
      shadowEntries: total(RESOURCES.map((resource) => sinks.get(resource)?.shadow.length ?? 0)),
      shadowStale: total(RESOURCES.map((resource) => staleEpochs(sinks.get(resource)?.shadow ?? []))),
      outcomes: summed(outcomes),
      warnings: summed([...this.#members, ...this.#guests].map((member) => member.warnings)),
      failure,
    };
  }

  async close(): Promise<void> {
    for (const member of [...this.#members, ...this.#guests]) await member.close();
    await this.#operator?.connection.close();
  }

  /** Every resource was written by its owner after `afterMs`. */
  async #settled(afterMs: number): Promise<void> {
    const missing = (): string[] =>
      RESOURCES.filter(
        (resource) => !this.#members.some(({ wroteAtMs }) => (wroteAtMs.get(resource) ?? 0) > afterMs),
      );
    try {
      await waitFor(() => missing().length === 0, {
        timeoutMs: SETTLE_MS,
        intervalMs: POLL_MS,
        message: () => `an owner of ${missing().join(", ")} that writes`,
      });
    } catch (error) {
      throw new Error(`${error}; ${await this.#describe(missing())}`);
    }
    // The members that were started again take part.
    await waitFor(() => this.#members.every(({ started, failure }) => started || failure !== null), {
      timeoutMs: SETTLE_MS,
      message: "every member to start",
    });
  }

  /** What every member says about these resources. */
  async #describe(resources: readonly string[]): Promise<string> {
    const lines: string[] = [];
    for (const member of this.#members) {
      const stats = await member.stats(STATS_MS);
      if (stats === null)
        lines.push(`${member.lane} ${member.started ? "does not answer" : "has not started"}`);
      for (const { resource, epoch, held, doing, forMs } of stats?.resources ?? []) {
        if (!resources.includes(resource)) continue;
        const term = epoch === null ? "no term" : `epoch ${epoch}, ${held ? "held" : "not held"}`;
        const since = forMs === null ? "" : ` for ${Math.round(forMs)} ms`;
        lines.push(`${member.lane} ${resource}: ${term}, work: ${doing}${since}`);
      }
    }
    return lines.join("; ");
  }

  #scene(): Scene {
    const random = this.#random;
    const first = random.pick(this.#members);
    const others = this.#members.filter((member) => member !== first);
    if (this.#operator === null) throw new Error("the world has not begun");
    return {
      members: [first, ...others],
      servers: this.#servers,
      operator: this.#operator,
      random,
      leaseMs: this.#options.leaseMs,
      settled: () => this.#settled(hostNowMs()),
      join: () => this.#guest("d", 0),
      twin: (member) => this.#guest(member.settings.memberId, MEMBERS.indexOf(member.lane)),
    };
  }

  async #guest(memberId: string, index: number): Promise<MemberProcess> {
    this.#lanes += 1;
    const guest = await this.#prepare(`${memberId}.${this.#lanes}`, memberId, index);
    this.#guests.push(guest);
    guest.start();
    return guest;
  }

  async #retire(guest: MemberProcess): Promise<void> {
    await guest.end("SIGTERM");
    await guest.close();
  }

  async #prepare(lane: string, memberId: string, index: number): Promise<MemberProcess> {
    const { folder, leaseMs, profile, faketime } = this.#options;
    const settings = {
      memberId,
      leaseTtlMs: leaseMs,
      ...this.#detectionOf(lane),
      replicas: profile.servers,
      folder,
      uptimeOffsetNs: faketime === null ? null : uptimeOffsetNs(),
    };
    const place = await placeOf(lane, index, { all: this.#servers.all, faketime, folder });
    return new MemberProcess(lane, settings, place);
  }

  #detectionOf(lane: string): Detection {
    const index = Math.max(0, MEMBERS.indexOf(lane.charAt(0)));
    return this.#detections[index] as Detection;
  }
}

function readRecordings(folder: string): {
  readonly held: ReadonlyMap<string, ReturnType<typeof readRecording>["held"]>;
  readonly events: ReadonlyMap<string, readonly Stored[]>;
} {
  const held = new Map<string, ReturnType<typeof readRecording>["held"]>();
  const events = new Map<string, Stored[]>();
  for (const resource of RESOURCES) {
    const recording = readRecording(folder, `${resource}~`);
    held.set(resource, recording.held);
    events.set(
      resource,
      recording.events.map(({ node, processNumber, text }) => ({
        n: Number(text.split("-").at(-1)),
        by: `${node} ${processNumber}`,
      })),
    );
  }
  return { held, events };
}
