/** One thread of `npm run mutants`: plays seeds on the copy of the library it was given, and cuts down what failed. */
import { parentPort, workerData } from "node:worker_threads";
import type { Plan, planOf as PlanOf, PlanOptions } from "../simulator/plan.ts";
import type { Findings, search as Search, SearchOptions } from "../simulator/search.ts";
import type { shrink as Shrink } from "../simulator/shrink.ts";

/** Either the findings of a search or, for a seed that failed, the least that fails in the same way. */
export type Task = SearchOptions | (PlanOptions & { readonly shrink: number });
export type Answer = { readonly findings: Findings } | { readonly plan: Plan };

/** Folder with the compiled `src` and `scripts/simulator`, ending in a slash. */
const copy = workerData as string;
const { search } = (await import(`${copy}scripts/simulator/search.js`)) as { search: typeof Search };
const { shrink } = (await import(`${copy}scripts/simulator/shrink.js`)) as { shrink: typeof Shrink };
const { planOf } = (await import(`${copy}scripts/simulator/plan.js`)) as { planOf: typeof PlanOf };

async function answer(task: Task): Promise<Answer> {
  if ("shrink" in task) return { plan: await shrink(planOf(task.shrink, task)) };
  return { findings: await search(task) };
}

parentPort?.on("message", (task: Task) => {
  void answer(task).then((result) => parentPort?.postMessage(result));
});
