/** One thread of `npm run mutants`: plays seeds on the mutated copy of the library, and shrinks failures. */
import { parentPort, workerData } from "node:worker_threads";
import type { GroupPlan } from "../group-simulator/plan.ts";
import type { GroupSearchResult } from "../group-simulator/search.ts";
import type { Plan, planOf as PlanOf, PlanOptions } from "../simulator/plan.ts";
import type { search as Search, SearchOptions, SearchResult } from "../simulator/search.ts";
import type { shrink as Shrink } from "../simulator/shrink.ts";

/** A search, answered with its result, or a failed seed to shrink, answered with the shrunk plan. */
export type WorkerTask = SearchOptions | (PlanOptions & { readonly shrink: number });
export type WorkerAnswer =
  | { readonly result: SearchResult | GroupSearchResult }
  | { readonly plan: Plan | GroupPlan };
/** Sent while a search goes on. */
export type Progress = "progress";

/** Where the simulator is that plays the mutant. Those of `simulator/` and of `group-simulator/` have the same functions. */
export interface WorkerData {
  /** Folder with the compiled parts (`COPIED_PARTS`), ending in a slash. */
  readonly copy: string;
  readonly simulator: "simulator" | "group-simulator";
}

const { copy, simulator } = workerData as WorkerData;
const folder = `${copy}scripts/${simulator}`;
const { search } = (await import(`${folder}/search.js`)) as { search: typeof Search };
const { shrink } = (await import(`${folder}/shrink.js`)) as { shrink: typeof Shrink };
const { planOf } = (await import(`${folder}/plan.js`)) as { planOf: typeof PlanOf };

async function answer(task: WorkerTask): Promise<WorkerAnswer> {
  if ("shrink" in task) return { plan: await shrink(planOf(task.shrink, task)) };
  const progress: Progress = "progress";
  return { result: await search({ ...task, onProgress: () => parentPort?.postMessage(progress) }) };
}

parentPort?.on("message", (task: WorkerTask) => {
  void answer(task).then((result) => parentPort?.postMessage(result));
});
