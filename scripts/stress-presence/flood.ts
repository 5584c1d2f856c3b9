/**
 * Floods what others can reach on the connection of the lease: the micro service, and the application's own subscription. Measures
 * how late beats come back, on the connection of the lease and on another one of the same process, and what becomes of the leader.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { BenchChild } from "../../src/bench/child.ts";
import { HeldLedger, largestOverlap } from "../../src/bench/held.ts";
import { type ChildReport, hostNowMs } from "../../src/bench/messages.ts";
import { pingSubject, statusSubject } from "../../src/nats/names.ts";
import type { NatsServer } from "../../src/testing/server/types.ts";
import {
  type BeatReport,
  type ChildTask,
  type DownReport,
  type Flood,
  type FloodReport,
  type Mode,
  Operator,
  startChild,
  summaryOf,
  until,
} from "./support.ts";

const LEASE_TTL_MS = 10_000;
const FLOOD_MS = 8000;
/** After the flood: backlogs end, and a deposed leader notices. */
const AFTERMATH_MS = 2000;
/** The default of `silenceMs`. A stretch that is older has ended. */
const SILENCE_MS = 2000;
/** The most that two nodes may be leader at once by presence: half of `silenceMs`. */
const BOUND_MS = SILENCE_MS / 2;

/** What the flooder sends; `null`: nothing. */
function floods(clusterId: string): Readonly<Record<string, Flood | null>> {
  const reply = `cluster_${clusterId}.reply.flood`;
  return {
    nothing: null,
    "ping requests": { subject: pingSubject(clusterId, "a"), reply, bytes: 0, connections: 1 },
    "ping requests, 4 connections": { subject: pingSubject(clusterId, "a"), reply, bytes: 0, connections: 4 },
    "ping requests without a reply": {
      subject: pingSubject(clusterId, "a"),
      reply: "",
      bytes: 0,
      connections: 1,
    },
    "ping requests of 64 KiB": { subject: pingSubject(clusterId, "a"), reply, bytes: 65_536, connections: 2 },
    "status requests": { subject: statusSubject(clusterId, "a"), reply, bytes: 0, connections: 1 },
    "$SRV.STATS": { subject: "$SRV.STATS", reply, bytes: 0, connections: 1 },
    "messages of the application": { subject: APP_SUBJECT, reply: "", bytes: 16, connections: 1 },
    "messages of the application, 1 KiB": { subject: APP_SUBJECT, reply: "", bytes: 1024, connections: 2 },
  };
}
const APP_SUBJECT = "stress.app";

/** The beats of one connection, as its process reported them. */
class Lane {
  readonly sent = new Map<number, number>();
  readonly echoedMs: number[] = [];
  readonly #echoed: { readonly beat: number; readonly at: number }[] = [];
  #proven: number | null = null;
  /** The greatest age that the newest proven beat has reached. */
  oldestMs = 0;

  take({ what, beat, at }: BeatReport): void {
    if (what === "sent") return void this.sent.set(beat, at);
    const sentAt = this.sent.get(beat);
    if (sentAt === undefined) return;
    this.echoedMs.push(at - sentAt);
    // An echo proves the newest beat whose echo had arrived before it was sent.
    const proven = this.#echoed.findLast((earlier) => earlier.at < sentAt);
    this.#echoed.push({ beat, at });
    const provenAt = proven === undefined ? undefined : this.sent.get(proven.beat);
    if (provenAt === undefined || provenAt <= (this.#proven ?? 0)) return;
    this.grow(at);
    this.#proven = provenAt;
  }

  grow(now: number): void {
    if (this.#proven !== null) this.oldestMs = Math.max(this.oldestMs, now - this.#proven);
  }

  report() {
    const times = [...this.sent.values()];
    const gaps = times.slice(1).map((at, index) => at - (times[index] ?? at));
    return {
      sent: times.length,
      lost: times.length - this.echoedMs.length,
      echoMs: summaryOf(this.echoedMs),
      /** Between two beats that should be 250 ms apart. */
      longestGapMs: Math.max(0, ...gaps),
      oldestProofMs: this.oldestMs,
      ended: this.oldestMs >= SILENCE_MS,
    };
  }
}

/** A leader with beats and a follower, each in a process of its own. */
class Pair {
  readonly ledger: HeldLedger = new HeldLedger();
  readonly lanes = { lease: new Lane(), own: new Lane() };
  becomes = 0;
  downs = 0;
  /** `null` until the flooder has begun. */
  flooded: number | null = null;
  readonly #server: NatsServer;
  readonly #clusterId: string;
  readonly #children: BenchChild<ChildTask>[] = [];
  readonly #ready = new Set<string>();
  #failure: string | null = null;

  constructor(server: NatsServer, clusterId: string) {
    this.#server = server;
    this.#clusterId = clusterId;
  }

  async start(): Promise<void> {
    for (const [id, more] of [
      ["a", { appSubject: APP_SUBJECT }],
      ["b", {}],
    ] as const) {
      this.#spawn(id, more);
      await until(() => {
        if (this.#failure !== null) throw new Error(this.#failure);
        return this.#ready.has(id) || undefined;
      }, `node ${id}`);
    }
    await until(() => this.lanes.lease.echoedMs.length > 4 || undefined, "beats");
  }

  /** Resolves with when the flood began and when it ended. */
  async flood(flood: Flood | null): Promise<{ readonly from: number; readonly to: number }> {
    const flooder = flood === null ? null : this.#spawn("flooder", { role: "flooder", flood });
    if (flooder !== null) await until(() => this.flooded ?? undefined, "the flood");
    const from = hostNowMs();
    await pause(FLOOD_MS);
    flooder?.signal("SIGINT");
    await flooder?.exited;
    return { from, to: hostNowMs() };
  }

  async end(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.end()));
  }

  #spawn(id: string, more: Partial<ChildTask>): BenchChild<ChildTask> {
    const task: ChildTask = {
      role: "sampler",
      url: this.#server.url,
      clusterId: this.#clusterId,
      nodeIds: [id],
      leaseTtlMs: LEASE_TTL_MS,
      ...more,
    };
    const child = startChild(id, task, (report) => this.#take(id, report));
    this.#children.push(child);
    return child;
  }

  #take(id: string, report: ChildReport | BeatReport | DownReport | FloodReport): void {
    if (report.type === "beat") this.lanes[report.lane].take(report);
    if (report.type === "down") this.downs += 1;
    if (report.type === "flooded") this.flooded = report.messages;
    if (report.type === "failed") this.#failure = report.message;
    if (report.type === "ready") this.#ready.add(id);
    if (report.type === "become") this.becomes += 1;
    if (report.type === "held") this.ledger.hold(id, report.epoch, report.at);
    if (report.type === "unheld") this.ledger.release(id, report.at);
  }
}

async function slowConsumers(server: NatsServer): Promise<number> {
  const varz = await fetch(`${server.monitorUrl}/varz`, { headers: { connection: "close" } });
  return ((await varz.json()) as { readonly slow_consumers: number }).slow_consumers;
}

async function once(server: NatsServer, operator: Operator, clusterId: string, flood: Flood | null) {
  const pair = new Pair(server, clusterId);
  try {
    await pair.start();
    const renewals: number[] = [];
    await operator.attempts(clusterId, (nodeId) => {
      if (nodeId === "a") renewals.push(hostNowMs());
    });
    const before = await slowConsumers(server);
    const { from, to } = await pair.flood(flood);
    await pause(AFTERMATH_MS);
    for (const lane of Object.values(pair.lanes)) lane.grow(to);
    const times = [from, ...renewals.filter((at) => at > from && at < to), to];
    return {
      messagesPerSecond: Math.round(((pair.flooded ?? 0) / (to - from)) * 1000),
      slowConsumers: (await slowConsumers(server)) - before,
      disconnects: pair.downs,
      leaderChanges: pair.becomes - 1,
      overlapMs: largestOverlap(pair.ledger.intervals(hostNowMs())),
      longestWithoutRenewalMs: Math.max(...times.slice(1).map((at, index) => at - (times[index] ?? at))),
      lease: pair.lanes.lease.report(),
      own: pair.lanes.own.report(),
    };
  } finally {
    await pair.end();
  }
}

export const runFlood: Mode = async ({ server, rounds, progress }) => {
  const operator = await Operator.at(server);
  const found: Record<string, unknown>[] = [];
  const violations: string[] = [];
  try {
    for (let round = 1; round <= rounds; round += 1) {
      for (const name of Object.keys(floods(""))) {
        const clusterId = `flood${found.length}`;
        const one = await once(server, operator, clusterId, floods(clusterId)[name] ?? null);
        found.push({ flood: name, ...one });
        progress(`${name}: ${JSON.stringify(one)}`);
        if (one.overlapMs > BOUND_MS)
          violations.push(`${name}: two leaders for ${one.overlapMs.toFixed(0)} ms`);
      }
    }
  } finally {
    await operator.connection.close();
  }
  return { floodMs: FLOOD_MS, silenceMs: SILENCE_MS, floods: found, violations };
};
