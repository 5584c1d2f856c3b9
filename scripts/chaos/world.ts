/** One server or three, three nodes behind proxies, one fault after another. Several worlds run in parallel. */
import { appendFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { streamName } from "../../src/nats/names.ts";
import { Random } from "../../src/testing/simulation/random.ts";
import { waitFor } from "../shared/wait.ts";
import { check } from "./check/checker.ts";
import type { FaultMark, Findings } from "./check/findings.ts";
import { type Detection, detectionsOf } from "./detection.ts";
import type { WorldProfile } from "./faults/catalogue.ts";
import { inflict } from "./faults/inflict.ts";
import type { Scene } from "./faults/scene.ts";
import { placeOf } from "./harness/lane-process.ts";
import { playFault } from "./harness/play-fault.ts";
import { playWorld, type World, type WorldPlace } from "./harness/run-worlds.ts";
import { summed } from "./harness/sums.ts";
import { uptimeOffsetNs } from "./machine/fake-clock.ts";
import { Namespace } from "./machine/namespace.ts";
import { CLUSTER_ID, STREAM } from "./node/messages.ts";
import { NodeProcess } from "./node/node-process.ts";
import { type HeldInterval, readRecording, type Stall } from "./node/recording.ts";
import type { ScheduledFault } from "./schedule.ts";
import { AnswerWatch } from "./servers/answer-watch.ts";
import { Operator } from "./servers/operator.ts";
import { createRegister, EMPTY_REGISTER, type RegisterContents, readRegister } from "./servers/register.ts";
import { replicasText } from "./servers/replicas.ts";
import { type Servers, STRANGER, userOf } from "./servers/servers.ts";

const NODES = ["a", "b", "c"] as const;
/** A cluster whose servers die may have no leader for many seconds, longer on a busy machine. */
const SETTLE_MS = 120_000;
const LATE_BYTES_MS = 1500;
const POLL_MS = 5;

export interface WorldOptions extends WorldPlace {
  readonly profile: WorldProfile;
  readonly schedule: readonly ScheduledFault[];
  readonly leaseMs: number;
  /** Path of libfaketime; `null` if no clock changes in this world. */
  readonly faketime: string | null;
  readonly stalls: readonly Stall[];
}

export interface WorldReport {
  readonly number: number;
  readonly profile: WorldProfile;
  /** Options of the nodes, by node id. */
  readonly detections: Readonly<Record<string, Detection>>;
  readonly version: string;
  readonly faults: readonly FaultMark[];
  readonly held: readonly HeldInterval[];
  readonly findings: Findings;
  readonly contents: RegisterContents;
  readonly outcomes: Readonly<Record<string, number>>;
  /** Why the world ended before its schedule was complete, `null` if it did not. */
  readonly failure: string | null;
}

export function runWorld(options: WorldOptions): Promise<WorldReport> {
  const { servers: count, disks: smallDisks } = options.profile;
  return playWorld({ count, nodeIds: NODES, smallDisks }, (servers) => new ClusterWorld(options, servers));
}

class ClusterWorld implements World<WorldReport> {
  readonly #options: WorldOptions;
  readonly #servers: Servers;
  readonly #nodes: NodeProcess[] = [];
  readonly #twins: NodeProcess[] = [];
  readonly #faults: FaultMark[] = [];
  readonly #detections: Readonly<Record<string, Detection>>;
  #answers: AnswerWatch | null = null;
  #operator: Operator | null = null;
  #stranger: Operator | null = null;
  #uptimeOffsetNs: number | null = null;

  constructor(options: WorldOptions, servers: Servers) {
    this.#options = options;
    this.#servers = servers;
    const { profile, leaseMs, number } = options;
    const detections = detectionsOf(profile.crashDetection, leaseMs, number - 1);
    this.#detections = Object.fromEntries(NODES.map((id, index) => [id, detections[index] as Detection]));
    if (options.faketime !== null) this.#uptimeOffsetNs = uptimeOffsetNs();
  }

  async begin(): Promise<void> {
    const { urls, all } = this.#servers;
    await createRegister(urls, this.#options.profile.servers);
    this.#answers = await AnswerWatch.of(all);
    this.#operator = await Operator.at(urls);
    this.#stranger = await Operator.at(urls, STRANGER);
    for (const [index, id] of NODES.entries()) {
      const node = await this.#prepare(id, id, index);
      this.#nodes.push(node);
      node.start();
    }
    await this.#leader(0);
  }

  /** Each node has a proxy to every server. The last one uses the program's connection. */
  async #prepare(lane: string, nodeId: string, index: number): Promise<NodeProcess> {
    const { folder, leaseMs, profile, faketime } = this.#options;
    const settings = {
      nodeId,
      user: userOf(nodeId),
      leaseTtlMs: leaseMs,
      ...(this.#detections[nodeId] as Detection),
      sharedConnection: index === NODES.length - 1,
      uptimeOffsetNs: this.#uptimeOffsetNs,
    };
    const namespace = profile.namespaces ? Namespace.create() : null;
    const place = await placeOf(lane, index, { all: this.#servers.all, faketime, folder, namespace });
    return new NodeProcess(lane, settings, place, folder);
  }

  async runFaults(): Promise<void> {
    const { schedule, signal, onFault, profile } = this.#options;
    for (const { number, name, seed } of schedule) {
      if (signal.aborted) return;
      const random = new Random(seed);
      await pause(random.between(20, 250));
      const leader = await this.#leader(0);
      const epochBefore = leader.epoch;
      let epochAfter = epochBefore;
      const fault = { number, name, leader: leader.lane, epochBefore };
      await playFault(fault, {
        inflict: () => inflict(name, this.#scene(leader, random)),
        recover: async (mendedMs) => {
          await this.#mend();
          const next = await this.#leader(mendedMs);
          if (profile.servers > 1) await this.#servers.whole();
          epochAfter = next.epoch;
        },
        record: (times) => this.#record({ ...fault, ...times, epochAfter }),
      });
      onFault(this.#faults.at(-1) as FaultMark);
    }
  }

  /** Also written to a file beside the recordings, for `--keep`. */
  #record(fault: FaultMark): void {
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
    await waitFor(() => twin.started || twin.failure !== null, {
      timeoutMs: SETTLE_MS,
      intervalMs: POLL_MS,
      message: `the second process of node ${leader.lane} to start`,
    });
    return twin;
  }

  /** Restarts processes that have ended, and ends second processes with the same node id. */
  async #mend(): Promise<void> {
    for (const node of this.#nodes) node.start();
    for (const twin of this.#twins.splice(0)) {
      this.#assertRunning(twin);
      await twin.end("SIGTERM");
      await twin.close();
    }
  }

  #assertRunning(node: NodeProcess): void {
    if (node.failure !== null) throw new Error(node.failure);
  }

  /** Resolves when a node leads that has written after `sinceMs`, and at least one other node has started. */
  async #leader(sinceMs: number): Promise<NodeProcess> {
    const settled = (): NodeProcess | undefined => {
      for (const node of this.#nodes) this.#assertRunning(node);
      if (this.#nodes.filter(({ started }) => started).length < 2) return undefined;
      const newest = Math.max(...this.#nodes.map(({ epoch }) => epoch));
      return this.#nodes.find(
        ({ started, epoch, wroteEpoch, wroteAtMs }) =>
          started && newest > 0 && epoch === newest && wroteEpoch === newest && wroteAtMs > sinceMs,
      );
    };
    const message = "a node to lead and write";
    return waitFor(settled, { timeoutMs: SETTLE_MS, intervalMs: POLL_MS, message }).catch(
      async (error: unknown) => {
        this.#keepServerLogs();
        throw new Error(`${error}; ${await this.#streams()}`, { cause: error });
      },
    );
  }

  /** Beside the recordings, which a run that is not sound keeps. */
  #keepServerLogs(): void {
    for (const server of this.#servers.all)
      writeFileSync(join(this.#options.folder, `${server.name}.log`), `${server.logs().join("\n")}\n`);
  }

  /** State of the bucket's and the register's stream, for the error message: no node can lead or write without them. */
  async #streams(): Promise<string> {
    const state = async (stream: string): Promise<string> => {
      const { cluster } = (await this.#operator?.api(`STREAM.INFO.${stream}`)) ?? {};
      return `${stream}: ${JSON.stringify(cluster)}, stored: ${await replicasText(this.#servers.all, stream)}`;
    };
    const states = await Promise.allSettled([streamName(CLUSTER_ID), STREAM].map(state));
    return states.map((it) => (it.status === "fulfilled" ? it.value : String(it.reason))).join("; ");
  }

  /** Resolves when a term with a larger epoch has written, or after `timeoutMs`. */
  async #writtenSince(epoch: number, timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    const all = [...this.#nodes, ...this.#twins];
    while (performance.now() < deadline && !all.some(({ wroteEpoch }) => wroteEpoch > epoch)) await pause(5);
  }

  async end(failure: string | null): Promise<WorldReport> {
    const { number, profile, folder, stalls, leaseMs } = this.#options;
    await pause(LATE_BYTES_MS); // bytes under way arrive
    const outcomes = summed(await Promise.all(this.#nodes.map((node) => node.outcomes())));
    await Promise.all([...this.#nodes, ...this.#twins].map((node) => node.end("SIGKILL")));
    const recording = readRecording(folder);
    const faults = this.#faults;
    // The lease expires, the next node campaigns, and on a cluster the streams elect leaders.
    const recoveryMs = 3 * leaseMs + (profile.servers === 1 ? 2_000 : 20_000);
    const detections = this.#detections;
    const seen = [...stalls, ...(this.#answers?.seen ?? [])];
    const findings = check(recording, { faults, stalls: seen, detections, leaseMs, recoveryMs });
    const { contents, unread } = await readRegisterWhenReady(this.#servers, join(folder, "register.jsonl"));
    const version = this.#servers.all[0]?.version ?? "";
    const report = {
      number,
      profile,
      detections,
      version,
      faults,
      held: recording.held,
      findings,
      contents,
      outcomes,
    };
    return { ...report, failure: failure ?? unread };
  }

  async close(): Promise<void> {
    await Promise.all([...this.#nodes, ...this.#twins].map((node) => node.close()));
    await Promise.all([this.#answers?.close(), this.#operator?.close(), this.#stranger?.close()]);
  }
}

/** After the last fault the register's stream may be without a leader for a while. */
async function readRegisterWhenReady(
  servers: Servers,
  log: string,
): Promise<{ readonly contents: RegisterContents; readonly unread: string | null }> {
  const giveUpAt = performance.now() + SETTLE_MS;
  for (;;) {
    try {
      await servers.whole();
      return { contents: await readRegister(servers.urls, log), unread: null };
    } catch (error) {
      if (performance.now() > giveUpAt)
        return { contents: EMPTY_REGISTER, unread: `cannot read the register: ${error}` };
      await pause(250);
    }
  }
}
