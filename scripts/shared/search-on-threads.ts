/** Hands batches of seeds in order to worker threads, for the simulators. */
import { Worker } from "node:worker_threads";
import { progressBar } from "./progress-bar.ts";
import { resourceLimits } from "./resource-limits.ts";

/** Number of seeds that a thread plays before it reports. */
const BATCH = 100;
const MAX_FAILURES = 5;

export interface SeedRange {
  readonly from: number;
  readonly seeds: number;
}

export interface ThreadSearch {
  /** Answers each `SeedRange` that it is sent with its result. */
  readonly worker: URL;
  readonly range: SeedRange;
  readonly threads: number;
  /** Sent along with every range. */
  readonly options: object;
}

/** Ends early after a few failures. */
export async function searchOnThreads<
  R extends { readonly seeds: number; readonly failures: readonly unknown[] },
>({ worker: script, range, threads, options }: ThreadSearch): Promise<R[]> {
  const bar = progressBar(range.seeds);
  const done: R[] = [];
  const end = range.from + range.seeds;
  let [next, failed] = [range.from, 0];
  const batchOf = (): SeedRange | null => {
    if (next >= end || failed >= MAX_FAILURES) return null;
    const seeds = Math.min(BATCH, end - next);
    next += seeds;
    return { ...options, from: next - seeds, seeds };
  };
  const thread = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const worker = new Worker(script, { resourceLimits });
      const send = (): void => {
        const batch = batchOf();
        if (batch === null) void worker.terminate().then(() => resolve());
        else worker.postMessage(batch);
      };
      worker.on("message", (found: R) => {
        done.push(found);
        failed += found.failures.length;
        bar.advance(found.seeds, failed);
        send();
      });
      worker.on("error", reject);
      send();
    });
  await Promise.all(Array.from({ length: threads }, thread));
  bar.end();
  return done;
}
