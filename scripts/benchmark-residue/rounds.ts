/** The rounds of one case, and what they add up to. */
import { setTimeout as pause } from "node:timers/promises";
import type { Begun } from "../../src/bench/fleet.ts";
import { hostNowMs } from "../../src/bench/messages.ts";
import { round, summarize } from "../../src/bench/stats.ts";
import { roundTripMs } from "../../src/election/silence.ts";
import type { CrashDetection } from "../../src/election/types.ts";
import { CASES, type CaseName, type Strike } from "./cases.ts";
import { Scene, type SceneOptions } from "./scene.ts";

export interface ResidueOptions extends Omit<SceneOptions, "shared" | "crowd" | "serverConfig"> {
  readonly rounds: number;
}

/** The largest sample and the median. */
interface Spread {
  readonly max: number;
  readonly p50: number;
}

/** Result of one case. Milliseconds. */
export interface Row {
  readonly case: CaseName;
  /** Version of the nats-server. */
  readonly server: string;
  readonly crashDetection: CrashDetection;
  readonly rounds: number;
  /** Rounds in which the fault had the effect that the case is about. */
  readonly hits: number;
  /** Rounds after which another node led. */
  readonly takeovers: number;
  /** How long two nodes answered `isLeader()` with true at once, over all rounds. */
  readonly twoLeadersMs: Spread;
  /** What `twoLeadersMs.max` may be. */
  readonly bound: number;
  /** `count-lags`: how long the count lagged the echo. */
  readonly lagMs?: Spread;
}

/** The residue that the crash detection has by design: in `presence` B, none otherwise. */
export function boundMs(crashDetection: CrashDetection, silenceMs: number): number {
  return crashDetection === "presence" ? roundTripMs(silenceMs) : 0;
}

/** False if two nodes led for longer than the bound, or the case had no effect and so shows nothing. */
export function isSound({ twoLeadersMs, bound, hits }: Row): boolean {
  return twoLeadersMs.max <= bound && hits > 0;
}

export interface RoundResult extends Strike {
  readonly takeover: boolean;
  readonly twoLeadersMs: number;
}

type Conditions = Pick<ResidueOptions, "crashDetection" | "silenceMs"> & Pick<Row, "server">;

export function rowOf(
  name: CaseName,
  { server, crashDetection, silenceMs }: Conditions,
  results: readonly RoundResult[],
): Row {
  const lags = results.flatMap(({ lagMs }) => (lagMs === undefined ? [] : [lagMs]));
  return {
    case: name,
    server,
    crashDetection,
    rounds: results.length,
    hits: results.filter(({ hit }) => hit).length,
    takeovers: results.filter(({ takeover }) => takeover).length,
    twoLeadersMs: spread(results.map(({ twoLeadersMs }) => twoLeadersMs)),
    bound: boundMs(crashDetection, silenceMs),
    ...(lags.length === 0 ? {} : { lagMs: spread(lags) }),
  };
}

function spread(samples: readonly number[]): Spread {
  const { max, p50 } = summarize(samples);
  return { max, p50 };
}

export async function runCase(name: CaseName, options: ResidueOptions): Promise<Row> {
  const { shared, crowd, serverConfig } = CASES[name];
  await using scene = await Scene.start({ ...options, shared, crowd, serverConfig });
  const results: RoundResult[] = [];
  for (let number = 1; number <= options.rounds; number++) {
    const result = await oneRound(name, scene, options, number);
    results.push(result);
    options.onProgress(`${name} ${number}/${options.rounds}: ${inWords(result)}`);
  }
  return rowOf(name, { ...options, server: scene.server.version }, results);
}

function inWords({ hit, takeover, twoLeadersMs, lagMs }: RoundResult): string {
  return [
    hit ? "hit" : "NO EFFECT",
    takeover ? "taken over" : "same leader",
    `two leaders for ${twoLeadersMs} ms`,
    ...(lagMs === undefined ? [] : [`count lagged ${round(lagMs)} ms`]),
  ].join(", ");
}

async function oneRound(
  name: CaseName,
  scene: Scene,
  options: ResidueOptions,
  number: number,
): Promise<RoundResult> {
  const { fleet } = scene;
  await fleet.settled();
  const leader = fleet.leader();
  const from = hostNowMs();
  const { epoch } = fleet.terms.at(-1) ?? { epoch: 0 };
  const next = (): Begun | undefined => fleet.terms.find((term) => term.epoch > epoch);
  const before = await scene.leaderConnection(leader);
  const strike = await CASES[name].strike(scene, leader, { number, silenceMs: options.silenceMs });
  // The leader is connected all the time: what its silence leads to has happened by then.
  if (!strike.closed) await pause(2 * options.silenceMs, undefined, { signal: options.signal });
  else {
    await scene.poll(
      () => `another leader, or ${leader.id} to be back`,
      async () => {
        if (next() !== undefined) return true;
        const seen = await scene.connectionOf(leader);
        return seen !== undefined && seen.cid !== before.cid && fleet.isHeld(leader) ? true : undefined;
      },
    );
  }
  // A leader that has not read its backlog yet reports late. With the leader of the newest term known to all, it has.
  await fleet.settled();
  if (next() !== undefined) {
    await fleet.until(
      () => (fleet.isHeld(leader) && fleet.leader() !== leader ? undefined : true),
      options.ttlMs,
      () => `${leader.id}, which was replaced, to answer isLeader() with false`,
    );
  }
  const twoLeadersMs = round(Math.max(0, fleet.overlapMs(from)));
  return { ...strike, takeover: next() !== undefined, twoLeadersMs };
}
