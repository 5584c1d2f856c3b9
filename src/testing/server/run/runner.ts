import type { ServerExit } from "../types.ts";

/** The signals that are sent to servers. */
export type ServerSignal = "SIGTERM" | "SIGINT" | "SIGKILL" | "SIGSTOP" | "SIGCONT" | "SIGUSR2";

/** One run of a server: from its spawn to its end. */
export interface Launch {
  readonly pid: number | undefined;
  /** Resolves once, when the process is gone and its log has been read to the end. Never rejects. */
  readonly exited: Promise<ServerExit>;
  /** Does nothing when the process has ended. */
  signal(name: ServerSignal): Promise<void>;
}

/** What runs a server: the only part in which the backends differ. */
export interface Runner {
  /** JetStream's folder, as the server sees it. */
  readonly storeDir: string;
  /** Spawns the server; a second launch, after the first has ended, finds the same store. */
  launch(onLog: (chunk: string) => void, signal?: AbortSignal): Promise<Launch>;
  /** Removes what is private to this server. Only called when nothing runs. */
  dispose(): Promise<void>;
}
