/** One thread of `npm run mutants`: plays seeds on the mutated copy of the library, and shrinks failures. */
import { parentPort, workerData } from "node:worker_threads";
import type { Plan, planOf as PlanOf, PlanOptions } from "../simulator/plan.ts";
import type { search as Search, SearchOptions, SearchResult } from "../simulator/search.ts";
import type { shrink as Shrink } from "../simulator/shrink.ts";

/** A search, answered with its result, or a failed seed to shrink, answered with the shrunk plan. */
export type WorkerTask = SearchOptions | (PlanOptions & { readonly shrink: number });
export type WorkerAnswer = { readonly result: SearchResult } | { readonly plan: Plan };
/** Sent while a search goes on. */
export type Progress = "progress";

/** Folder with the compiled parts (`COPIED_PARTS`), ending in a slash. */
const copy = workerData as string;
const { search } = (await import(`${copy}scripts/simulator/search.js`)) as { search: typeof Search };
const { shrink } = (await import(`${copy}scripts/simulator/shrink.js`)) as { shrink: typeof Shrink };
const { planOf } = (await import(`${copy}scripts/simulator/plan.js`)) as { planOf: typeof PlanOf };

async function answer(task: WorkerTask): Promise<WorkerAnswer> {
  if ("shrink" in task) return { plan: await shrink(planOf(task.shrink, task)) };
  const progress: Progress = "progress";
  return { result: await search({ ...task, onProgress: () => parentPort?.postMessage(progress) }) };
}

parentPort?.on("message", (task: WorkerTask) => {
  void answer(task).then((result) => parentPort?.postMessage(result));
});
