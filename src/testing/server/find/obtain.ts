import type { FetchBytes } from "./fetch-bytes.ts";
import type { RunCommand } from "./run-command.ts";

/** What the finder touches of the world; tests bring their own. */
export interface FinderPorts {
  readonly env: NodeJS.ProcessEnv;
  readonly platform: string;
  readonly arch: string;
  /** Whether this process may change the system's package lists. */
  readonly isRoot: boolean;
  readonly fetchBytes: FetchBytes;
  readonly run: RunCommand;
}

/** One order to a source. */
export interface ObtainRequest {
  readonly version: string;
  readonly ports: FinderPorts;
  /** A new folder, on the cache's file system; removed afterwards. */
  readonly dir: string;
  readonly progress: (line: string) => void;
  readonly signal: AbortSignal | undefined;
}

/** Puts a nats-server into `dir` and resolves to its path. Rejects with one line that says why it could not. */
export type Obtain = (request: ObtainRequest) => Promise<string>;
