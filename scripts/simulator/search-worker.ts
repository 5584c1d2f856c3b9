/** One thread of `npm run sim`: searches the batches of seeds that it receives. */
import { parentPort } from "node:worker_threads";
import { type SearchOptions, search } from "./search.ts";

parentPort?.on("message", (options: SearchOptions) => {
  void search(options).then((result) => parentPort?.postMessage(result));
});
