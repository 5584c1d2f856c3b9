/**
 * Stops servers while an election and a stream are in use: the first server, the second one, and then all of them one after
 * another. With three replicas the leader keeps its term, and no acknowledged message is lost.
 */
import type { ConnectionOptions } from "@nats-io/transport-node";
import type { Running, Say } from "../deployment.ts";
import { DeployError } from "../errors.ts";
import { Interrupted } from "../interrupt.ts";
import { connectDeployed, loginOf } from "../migrate/source.ts";
import type { PlannedServer } from "../plan.ts";
import type { StateDir } from "../state.ts";
import { CLUSTER_ID, Election, type ElectionCounts } from "./election.ts";
import type { Counts } from "./ledger.ts";
import { STREAM, Traffic } from "./traffic.ts";

const REPLICAS = 3;
/** A client that outlives its server, and notices within seconds that a server has vanished. */
const LASTING: ConnectionOptions = {
  maxReconnectAttempts: -1,
  reconnectTimeWait: 100,
  pingInterval: 2_000,
  maxPingOut: 2,
};

export interface FailoverResult extends ElectionCounts, Counts {
  /** No leader change, no term that ended, and no message that was lost. */
  readonly passed: boolean;
  readonly rounds: number;
  /** Number of times that a server was stopped. */
  readonly stops: number;
  /** Longest time between two acknowledgements. */
  readonly longestPauseMs: number;
}

/**
 * Deletes its stream and its election in any case. On abort it first starts a server again that it has stopped; then it rejects
 * with {@link Interrupted}.
 */
export async function failoverTest(
  state: StateDir,
  running: Running,
  rounds: number,
  { say, signal }: { readonly say: Say; readonly signal: AbortSignal },
): Promise<FailoverResult> {
  const [first, second] = nearServers(running);
  if (first === undefined || second === undefined)
    throw new DeployError(
      "the failover test needs a cluster of at least three servers: with fewer, JetStream has no quorum while one is stopped",
    );
  await running.refuseIncomplete();
  const connections = [
    await connectDeployed(state, running, LASTING),
    await connectDeployed(state, running, LASTING),
  ] as const;
  const [publisher, subscriber] = connections;
  const test = async (): Promise<FailoverResult> => {
    const election = await Election.start(await loginOf(state, running), signal);
    const traffic = await Traffic.start(publisher, subscriber, REPLICAS).catch(async (error: unknown) => {
      await election.stop();
      throw error;
    });
    const works = async (): Promise<void> => {
      await traffic.progress(signal);
      await election.held(signal);
    };
    let stops = 0;
    let failure: unknown;
    try {
      await works();
      for (let round = 1; round <= rounds; round++) {
        for (const server of [first, second]) {
          await running.without(server, works);
          await works();
        }
        await running.restart(works);
        stops += 2 + running.servers.length;
        const { leaderChanges } = election.counts;
        say(`round ${round} of ${rounds}: ${stops} stops, ${leaderChanges} leader changes`);
      }
    } catch (error) {
      failure = error;
    }
    const messages = await traffic.stop(signal.aborted ? 0 : undefined);
    const terms = await election.stop();
    if (failure !== undefined) throw failure;
    const passed = terms.leaderChanges === 0 && terms.termsLost === 0 && messages.lost === 0;
    return { passed, rounds, stops, ...terms, ...messages };
  };
  try {
    await Election.remove(publisher);
    return await test().finally(async () => {
      await Traffic.remove(publisher);
      await Election.remove(publisher);
    });
  } catch (error) {
    // `without` has resolved or rejected for another reason: no server is stopped at this point.
    if (signal.aborted && error === signal.reason)
      throw new Interrupted(
        signal,
        `every server runs again; stream ${STREAM} and the election ${CLUSTER_ID} were deleted`,
      );
    throw error;
  } finally {
    await Promise.all(connections.map((one) => one.close()));
  }
}

/** The first two servers of a NATS cluster of three or more; otherwise nothing. */
function nearServers({ servers }: Running): readonly PlannedServer[] {
  const [first] = servers;
  const near = servers.filter(({ cluster }) => cluster === first?.cluster);
  return near.length >= REPLICAS ? near.slice(0, 2) : [];
}

export function failoverLines(result: FailoverResult): string[] {
  const { rounds, stops, leaderChanges, termsLost, suspensions } = result;
  const { acknowledged, received, repeated, lost, longestPauseMs } = result;
  return [
    `failover test ${result.passed ? "passed" : "FAILED"}: ${rounds} rounds, ${stops} times a server was stopped`,
    `  election: ${leaderChanges} leader changes, ${termsLost} terms lost, ${suspensions} suspensions`,
    `  messages: ${acknowledged} acknowledged, ${received} received, ${lost} lost, ${repeated} repeated; longest pause ${longestPauseMs} ms`,
  ];
}
