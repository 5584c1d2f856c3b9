/** The faults after which a leader may be replaced while its own process still calls itself leader. */
import type { Member } from "../../src/bench/fleet.ts";
import { hostNowMs } from "../../src/bench/messages.ts";
import { DEFAULTS } from "../../src/config/resolve.ts";
import { pingSubject } from "../../src/nats/names.ts";
import { Flood } from "../shared/flood.ts";
import { app, type BlockCommand, CLUSTER_ID } from "./messages.ts";
import type { Scene, SceneOptions } from "./scene.ts";

export interface Strike {
  /** The fault had the effect that the case is about. */
  readonly hit: boolean;
  /** The leader's connection was closed by the server. Otherwise the leader stays connected. */
  readonly closed: boolean;
  /** `count-lags`: for how long the server's count of messages lagged the echo of one of them. */
  readonly lagMs?: number;
}

export interface Round {
  /** From 1 on. */
  readonly number: number;
  /** F of the nodes. 0: none. */
  readonly silenceMs: number;
}

export interface Case extends Pick<SceneOptions, "shared" | "crowd" | "serverConfig"> {
  /** What a hit is, for people. */
  readonly hit: string;
  /** Inflicts the fault on the leader. Resolves when the server has done its part. */
  strike(scene: Scene, leader: Member, round: Round): Promise<Strike>;
}

export const CASE_NAMES = ["service-flood", "shared-flood", "one-sided-reset", "count-lags"] as const;
export type CaseName = (typeof CASE_NAMES)[number];

export const CASES: Readonly<Record<CaseName, Case>> = {
  "service-flood": {
    shared: false,
    crowd: 0,
    serverConfig: "max_pending: 4MB",
    hit: "the server dropped the leader as a slow consumer",
    strike: (scene, leader, round) =>
      floodUntilDropped(scene, leader, pingSubject(CLUSTER_ID, leader.id), round),
  },
  "shared-flood": {
    shared: true,
    crowd: 0,
    serverConfig: "max_pending: 4MB",
    hit: "the server dropped the leader as a slow consumer",
    strike: (scene, leader, round) => floodUntilDropped(scene, leader, app.feed(leader.id), round),
  },
  "one-sided-reset": {
    shared: false,
    crowd: 0,
    serverConfig: "",
    hit: "the server's side of the leader's connection was reset, the leader's side was not",
    strike: resetServerSide,
  },
  "count-lags": {
    shared: true,
    crowd: 3_000,
    // The crowd does not answer pings.
    serverConfig: 'max_pending: 512MB\nping_interval: "1h"',
    hit: "in_msgs of the leader's connection lagged the echo of one of its messages by more than 250 ms",
    strike: countLags,
  },
};

/** Enough to fill the sockets and what the server keeps for a slow client. */
const MAX_BYTES = 120e6;
/** Several, because the server reads each of them on a thread of its own. */
const FLOODERS = 3;
/** Payload of the messages, in turn. Large ones fill the backlog sooner; small ones take the leader longer to read. */
const SIZES = [0, 100, 1_000];

/** Publishes to the subject as fast as the server reads, until it has dropped the leader's connection. */
async function floodUntilDropped(
  scene: Scene,
  leader: Member,
  subject: string,
  { number }: Round,
): Promise<Strike> {
  const before = await scene.leaderConnection(leader);
  const { login, server } = scene;
  const flood = Flood.start({
    server,
    login,
    subject,
    payloadBytes: SIZES[number % SIZES.length] ?? 0,
    maxBytes: MAX_BYTES,
    sockets: FLOODERS,
  });
  try {
    const closed = await scene.poll(
      () => "the flood to end",
      async () => {
        if (flood.failure !== null) throw flood.failure;
        // Asked after the flood has ended: the server may have dropped the connection since the answer before.
        const wasDone = flood.isDone;
        const isOpen = (await scene.connectionOf(leader))?.cid === before.cid;
        return !isOpen || wasDone ? !isOpen : undefined;
      },
    );
    return { hit: closed, closed };
  } finally {
    flood.stop();
  }
}

async function resetServerSide(scene: Scene, leader: Member): Promise<Strike> {
  const before = await scene.leaderConnection(leader);
  scene.proxyOf(leader).resetServerSide();
  await scene.poll(
    () => "the server to notice the reset",
    async () => {
      return (await scene.connectionOf(leader))?.cid === before.cid ? undefined : true;
    },
  );
  return { hit: true, closed: true };
}

/** Part of F for which the leader's event loop stands still. Without F, as with the default one. */
const BLOCKED = 0.85;
const NEWS = 1_500;
const LAG_MS = 250;

/**
 * The leader's loop is blocked; then a beat and the news reach the server in one read buffer. The beat is delivered at once, and counted
 * when the crowd has been sent all the news.
 */
async function countLags(scene: Scene, leader: Member, { silenceMs }: Round): Promise<Strike> {
  const { fleet } = scene;
  await scene.leaderConnection(leader);
  const proxy = scene.proxyOf(leader);
  const blocking = fleet.report(leader, "blocking", 30_000);
  const command: BlockCommand = {
    do: "block",
    blockMs: BLOCKED * (silenceMs || DEFAULTS.silenceMs),
    publishes: NEWS,
  };
  leader.child.send(command);
  await blocking;
  proxy.toServer("hold");
  try {
    let echoAt: number | null = null;
    proxy.filterToClient(({ subject }) => {
      if (subject === app.mark(leader.id)) echoAt ??= hostNowMs();
      return true;
    });
    const end = await proxy.takeNextToServer(({ subject }) => subject === app.end(leader.id), 60_000);
    const before = await scene.connectionOf(leader);
    if (before === undefined) throw new Error(`the server has no connection of ${leader.id}`);
    proxy.toServer("pass");
    end.release();
    let oldAt = 0;
    const counted = await scene.poll(
      () => "the server to count the news",
      async () => {
        const askedAt = hostNowMs();
        const now = await scene.connectionOf(leader);
        // On a busy machine the server may process the news for so long that the client gives the connection up.
        if (now?.cid !== before.cid) return false;
        // Counted for the first time: the buffer is through.
        if (now.inMsgs - before.inMsgs >= NEWS) return true;
        if (now.inMsgs === before.inMsgs) oldAt = askedAt;
        return undefined;
      },
    );
    const lagMs = echoAt === null ? 0 : Math.max(0, oldAt - echoAt);
    return { hit: lagMs > LAG_MS, closed: !counted, lagMs };
  } finally {
    proxy.toServer("pass");
    proxy.filterToClient(null);
  }
}
