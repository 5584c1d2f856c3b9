/** The rounds of a mode, one after the other. */
import type { Fleet } from "./fleet.ts";
import type { Stage } from "./stage.ts";
import { round } from "./stats.ts";

/** Runs `one` for each round, reports progress, and waits until all nodes have settled before the next. */
export async function everyRound(stage: Stage, one: () => Promise<number>): Promise<number[]> {
  const { options, fleet } = stage;
  const samplesMs: number[] = [];
  for (let number = 1; number <= options.rounds; number++) {
    options.signal.throwIfAborted();
    const sample = await one();
    samplesMs.push(sample);
    options.onProgress(`${options.mode} ${number}/${options.rounds}: ${round(sample)} ms`);
    await fleet.settled();
  }
  return samplesMs;
}

export function newestEpoch(fleet: Fleet): number {
  return fleet.terms.at(-1)?.epoch ?? 0;
}
