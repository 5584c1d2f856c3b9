/** One thread of `npm run sim:group`: searches the batches of seeds that it receives. */
import { parentPort } from "node:worker_threads";
import { type GroupSearchOptions, search } from "./search.ts";

parentPort?.on("message", (options: GroupSearchOptions) => {
  void search(options).then((result) => parentPort?.postMessage(result));
});
