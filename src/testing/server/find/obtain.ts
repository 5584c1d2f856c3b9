import type { RunCommand } from "../../../system/run-command.ts";
import type { FetchBytes } from "./fetch-bytes.ts";
import type { Wheels } from "./wheels.ts";

/** The finder's access to the machine and the network; tests pass fakes. */
export interface FinderPorts {
  readonly env: NodeJS.ProcessEnv;
  readonly platform: string;
  readonly arch: string;
  /** Whether this process may update the system's package lists. */
  readonly isRoot: boolean;
  readonly wheels: Wheels;
  readonly fetchBytes: FetchBytes;
  readonly run: RunCommand;
}

/** One request to a source. */
export interface ObtainRequest {
  readonly version: string;
  readonly ports: FinderPorts;
  /** A new folder on the file system of the cache; removed afterwards. */
  readonly dir: string;
  readonly progress: (line: string) => void;
  readonly signal: AbortSignal | undefined;
}

/** Puts a nats-server into `dir` and resolves to its path. Rejects with the reason on one line. */
export type Obtain = (request: ObtainRequest) => Promise<string>;
