import type { ServerExit } from "../types.ts";

/** Signals that are sent to servers. */
export type ServerSignal = "SIGTERM" | "SIGINT" | "SIGKILL" | "SIGSTOP" | "SIGCONT" | "SIGUSR2";

/** One run of a server, from spawn to exit. */
export interface Launch {
  readonly pid: number | undefined;
  /** Resolves when the process has exited and its log has been read to the end. Never rejects. */
  readonly exited: Promise<ServerExit>;
  /** No effect after the process has exited. */
  signal(name: ServerSignal): Promise<void>;
}

/** The port that runs a server: the backends differ only here. */
export interface Runner {
  /** JetStream's folder in the server's file system. */
  readonly storeDir: string;
  /** Spawns the server. A later launch, after the previous one has exited, uses the same store. */
  launch(onLog: (chunk: string) => void, signal?: AbortSignal): Promise<Launch>;
  /** Deletes everything private to this server. Called only while no launch runs. */
  dispose(): Promise<void>;
}
