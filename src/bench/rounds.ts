/** The rounds of a mode, one after the other. */
import type { Fleet } from "./fleet.ts";
import { hostNowMs } from "./messages.ts";
import type { FailoverOptions } from "./options.ts";
import { round } from "./stats.ts";

/** What the rounds of a mode need of its `Stage`. */
export interface Rounds {
  readonly options: Pick<FailoverOptions, "rounds" | "signal" | "onProgress">;
  readonly fleet: Fleet;
  /** How long to wait for the next leader. */
  readonly patienceMs: number;
}

/**
 * Runs `one` for each round, reports progress, and waits until all nodes have settled before the next.
 * @param what The beginning of each line of progress.
 */
export async function everyRound(
  { options, fleet }: Omit<Rounds, "patienceMs">,
  what: string,
  one: () => Promise<number>,
): Promise<number[]> {
  const samplesMs: number[] = [];
  for (let number = 1; number <= options.rounds; number++) {
    options.signal.throwIfAborted();
    const sample = await one();
    samplesMs.push(sample);
    options.onProgress(`${what} ${number}/${options.rounds}: ${round(sample)} ms`);
    await fleet.settled();
  }
  return samplesMs;
}

export function newestEpoch(fleet: Fleet): number {
  return fleet.terms.at(-1)?.epoch ?? 0;
}

/** Kills the leader in every round, and starts another member in its place. Milliseconds from the kill to the next term. */
export function killRounds(rounds: Rounds, what: string): Promise<number[]> {
  const { fleet, patienceMs } = rounds;
  return everyRound(rounds, what, async () => {
    const leader = fleet.leader();
    const epoch = newestEpoch(fleet);
    const start = hostNowMs();
    leader.child.signal("SIGKILL");
    fleet.markDead(leader, hostNowMs());
    const next = await fleet.nextTerm(epoch, patienceMs);
    fleet.add();
    return next.at - start;
  });
}
