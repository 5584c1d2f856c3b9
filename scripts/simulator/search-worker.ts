/** One thread of `npm run sim`: plays the batches it is given. */
import { parentPort } from "node:worker_threads";
import { type SearchOptions, search } from "./search.ts";

parentPort?.on("message", (options: SearchOptions) => {
  void search(options).then((findings) => parentPort?.postMessage(findings));
});
