/** One thread of `npm run mutants`: plays seeds on the copy of the library it was given. */
import { parentPort, workerData } from "node:worker_threads";
import type { search as Search, SearchOptions } from "../../src/sim/search.ts";

const { search } = (await import(workerData as string)) as { search: typeof Search };
parentPort?.on("message", (options: SearchOptions) => {
  void search(options).then((findings) => parentPort?.postMessage(findings));
});
