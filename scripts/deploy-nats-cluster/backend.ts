/** What runs the servers: the only part in which processes and containers differ. */
import type { PlannedServer } from "./plan.ts";

export interface Backend {
  /** Starts it, if it does not run; returns before it is ready. True: it did not run. */
  start(server: PlannedServer): Promise<boolean>;
  /** Ends it the clean way and waits for that; data stay. True: it ran. */
  stop(server: PlannedServer): Promise<boolean>;
  isRunning(server: PlannedServer): Promise<boolean>;
  /** Where it runs, for a person: a pid, a container. */
  describe(server: PlannedServer): Promise<string>;
  /** The last lines it said. */
  logTail(server: PlannedServer): Promise<string>;
  /** After the last `stop`: removes what is not data; with `deleteData` the data, too. */
  remove(options: { readonly deleteData: boolean }): Promise<void>;
}
