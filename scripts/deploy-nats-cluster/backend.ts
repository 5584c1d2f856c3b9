/** The port that runs the servers: processes and containers differ only here. */
import type { PlannedServer } from "./plan.ts";

export interface Backend {
  /** Starts the server if it is not running; resolves before it is ready, with true if it was started. */
  start(server: PlannedServer): Promise<boolean>;
  /** Shuts the server down in order and waits for its exit; keeps its data. Resolves with true if it was running. */
  stop(server: PlannedServer): Promise<boolean>;
  isRunning(server: PlannedServer): Promise<boolean>;
  /** Rejects if the server could not be started again: called before it is stopped for a restart. */
  refuseUnstartable(server: PlannedServer): Promise<void>;
  /** Whether the server runs with passwords that have been replaced since. False where that is not known. */
  hasOldPasswords(server: PlannedServer): Promise<boolean>;
  /** False only if the data of the server, which does not run, have no stream. */
  mayHaveStreams(server: PlannedServer): Promise<boolean>;
  /** Where the server runs, as text: a pid, a container. */
  describe(server: PlannedServer): Promise<string>;
  /** The last lines of its log. */
  logTail(server: PlannedServer): Promise<string>;
  /** Deletes the data of one server, which does not run and is not to be started again. */
  discard(server: PlannedServer): Promise<void>;
  /** Called after the last `stop`: removes everything except data; with `deleteData` also the data. */
  remove(options: { readonly deleteData: boolean }): Promise<void>;
}
