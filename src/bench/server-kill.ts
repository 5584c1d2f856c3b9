/** Mode `server-kill`: servers of a cluster go down one at a time; the leader is expected to stay the same. */
import { setTimeout as pause } from "node:timers/promises";
import type { ConnectionOptions, NatsConnection } from "@nats-io/transport-node";
import { bucketName } from "../nats/names.ts";
import { untilAborted } from "../runtime/waiting.ts";
import { readMonitor } from "../testing/server/run/probe.ts";
import type { NatsServer } from "../testing/server/types.ts";
import { dial } from "./dial.ts";
import type { Fleet, Member } from "./fleet.ts";
import { moveStreamLeader, waitForReplicas } from "./lease-stream.ts";
import { hostNowMs } from "./messages.ts";
import type { Blow } from "./options.ts";
import { CLUSTER_ID, type Found, type Stage } from "./stage.ts";
import { round } from "./stats.ts";

const PAUSED_MS = 20_000;
const PROBE_EVERY_MS = 25;
const CURRENT_TIMEOUT_MS = 60_000;
const MONITOR_TIMEOUT_MS = 1_000;

/** The same settings as a node's connection: a frozen server is detected within 3 s. */
const PATIENT: ConnectionOptions = {
  maxReconnectAttempts: -1,
  reconnectTimeWait: 100,
  pingInterval: 1_000,
  maxPingOut: 2,
  timeout: 1_000, // a frozen server accepts connections without sending anything
};

export async function runServerKill(stage: Stage): Promise<Found> {
  const { options, fleet, servers } = stage;
  if (stage.cluster === null) throw new Error("mode server-kill needs a cluster of three servers");
  const urls = servers.map(({ url }) => url);
  const connection = await dial(urls, options.signal, PATIENT);
  const probe = new WriteProbe(connection);
  const blows: Blow[] = [];
  try {
    for (let number = 0; number < options.rounds; number++) {
      await stage.cluster.ready({ signal: options.signal, timeoutMs: CURRENT_TIMEOUT_MS });
      if (options.target === "leader-server") await moveToLeader(stage, connection);
      const streamLeader = await waitForReplicas(connection, CLUSTER_ID, options.signal);
      const blow = await strike(stage, streamLeader, probe, number);
      blows.push(blow);
      options.onProgress(`${options.how} ${number + 1}/${options.rounds}: ${inWords(blow)}`);
    }
  } finally {
    probe.close();
    await connection.close();
  }
  await fleet.settled();
  const sample = "how long the leader was suspended, 0 if it was not";
  return { samplesMs: blows.map(({ suspendedMs }) => suspendedMs), sample, blows };
}

function inWords(blow: Blow): string {
  const was = [
    blow.streamLeader ? "led the stream" : "",
    blow.leaderConnected ? "had the leader's connection" : "",
  ].filter((text) => text !== "");
  return [
    `${blow.server} (${was.join(", ") || "neither stream leader nor the leader's server"})`,
    `suspended ${blow.suspendedMs} ms`,
    `writes stalled ${blow.writeStallMs} ms`,
    `${blow.leaderChanges} leader changes`,
  ].join(", ");
}

/** Makes the server that the leading node is connected to the stream's leader. */
async function moveToLeader({ options, fleet, servers }: Stage, connection: NatsConnection): Promise<void> {
  const leader = fleet.leader();
  const { signal } = options;
  for (const server of servers) {
    if (await untilAborted(hasConnectionOf(server, leader), signal))
      return moveStreamLeader(connection, CLUSTER_ID, [server.name], signal);
  }
  throw new Error(`no server has the connection of ${leader.id}`);
}

/** Takes one server down and observes the election until the failure can have no further effect. */
async function strike(stage: Stage, streamLeader: string, probe: WriteProbe, number: number): Promise<Blow> {
  const { options, fleet, servers, cluster } = stage;
  const named = servers.find((server) => server.name === streamLeader);
  const server = options.target !== "turn" && named !== undefined ? named : servers[number % servers.length];
  if (server === undefined) throw new Error("no server to take down");
  const leader = fleet.leader();
  const leaderConnected = await untilAborted(hasConnectionOf(server, leader), options.signal);
  const termsBefore = fleet.terms.length;
  const suspension = new SuspensionMeter(fleet, leader);
  probe.startRound();
  await takeDown(stage, server);
  // A failed renewal ends the term at its deadline at the latest, so one TTL covers every effect of the failure.
  await pause(options.ttlMs, undefined, { signal: options.signal });
  await probe.written(options.signal);
  const writeStallMs = round(probe.longestGap());
  await server.start({ signal: options.signal });
  await cluster?.ready({ signal: options.signal, timeoutMs: CURRENT_TIMEOUT_MS });
  await fleet.settled();
  return {
    server: server.name,
    streamLeader: server.name === streamLeader,
    leaderConnected,
    suspendedMs: round(suspension.end()),
    writeStallMs,
    leaderChanges: fleet.terms.length - termsBefore,
  };
}

async function takeDown({ options }: Stage, server: NatsServer): Promise<void> {
  const { how, signal } = options;
  switch (how) {
    case "kill":
      return server.kill();
    case "pause":
      await server.pause();
      try {
        await pause(PAUSED_MS, undefined, { signal });
      } finally {
        await server.resume();
      }
      return;
    case "lame-duck":
      await server.lameDuck();
      await untilAborted(server.exited(), signal);
      return;
    default:
      return how satisfies never;
  }
}

/** Adds up how long one node was suspended. */
class SuspensionMeter {
  readonly #unlisten: () => void;
  #since: number | null = null;
  #total = 0;

  constructor(fleet: Fleet, leader: Member) {
    this.#unlisten = fleet.listen((report, member) => {
      if (member !== leader) return;
      if (report.type === "unheld" && report.by === "suspended") this.#since ??= report.at;
      // Held again, or the term has ended: no longer suspended.
      else if (report.type === "held" || report.type === "unheld") this.#stop(report.at);
    });
  }

  end(): number {
    this.#unlisten();
    this.#stop(hostNowMs());
    return this.#total;
  }

  #stop(at: number): void {
    if (this.#since !== null) this.#total += at - this.#since;
    this.#since = null;
  }
}

/** Writes a separate key of the lease's stream at a fixed rate and records the longest gap between acks. */
class WriteProbe {
  readonly #timer: NodeJS.Timeout;
  #lastAck = hostNowMs();
  #longest = 0;
  #onAck: (() => void) | null = null;

  constructor(connection: NatsConnection) {
    const inbox = `_INBOX.bench_probe_${process.pid}`;
    connection.subscribe(inbox, {
      callback: (_error, message) => {
        // Neither a 503 nor an error answer carries a sequence.
        if (!message.string().includes('"seq"')) return;
        const now = hostNowMs();
        this.#longest = Math.max(this.#longest, now - this.#lastAck);
        this.#lastAck = now;
        this.#onAck?.();
        this.#onAck = null;
      },
    });
    this.#timer = setInterval(() => {
      if (connection.isClosed()) return;
      connection.publish(`$KV.${bucketName(CLUSTER_ID)}.bench_probe`, undefined, { reply: inbox });
    }, PROBE_EVERY_MS);
  }

  startRound(): void {
    this.#longest = 0;
  }

  /** Resolves on the next ack. */
  async written(signal: AbortSignal): Promise<void> {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(CURRENT_TIMEOUT_MS)]);
    const ack = new Promise<void>((resolve) => {
      this.#onAck = resolve;
    });
    await untilAborted(ack, limit);
  }

  longestGap(): number {
    return this.#longest;
  }

  close(): void {
    clearInterval(this.#timer);
  }
}

/** Whether the server's `/connz` lists a connection of this node. */
async function hasConnectionOf(server: NatsServer, member: Member): Promise<boolean> {
  const answer = await readMonitor(`${server.monitorUrl}/connz?limit=1000`, MONITOR_TIMEOUT_MS);
  const { connections } = (answer?.body ?? {}) as { connections?: { name?: string }[] };
  return connections?.some(({ name }) => name === `nats-leader/${CLUSTER_ID}/${member.id}`) ?? false;
}
