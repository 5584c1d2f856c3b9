/** Where a server runs: a child process of this one, or a container made with testcontainers. */
export type NatsBackend = "process" | "testcontainers";

/** What {@link startNatsServer} takes. Every field may be left out. */
export interface NatsServerOptions {
  /** Exactly this version, like "2.10.29". Default: a current one, see `findNatsServer`. */
  readonly version?: string;
  /** Path of the nats-server to run; nothing is looked for then. Process backend only. */
  readonly binary?: string;
  /** `server_name`. Default: "nats-" and eight random letters. */
  readonly name?: string;
  /** Address to listen on, and the host in `url`. Default "127.0.0.1". */
  readonly host?: string;
  /** Client port. Default: a free one. */
  readonly port?: number;
  /** Monitoring port. Default: a free one. */
  readonly monitorPort?: number;
  /** Whether JetStream is on. Default true. */
  readonly jetstream?: boolean;
  /**
   * JetStream's folder. A folder given here is kept. Default: a private one, kept over `stop()` and `restart()`,
   * removed when the handle is disposed or this process ends, however it ends.
   */
  readonly storeDir?: string;
  /**
   * nats-server configuration text (accounts, TLS, limits), put after the generated part. A key that both name
   * counts as written here, whole: a `jetstream {}` block must then bring its own `store_dir`.
   */
  readonly config?: string;
  /** Default: the `NATS_TEST_BACKEND` environment variable, or "process". */
  readonly backend?: NatsBackend;
  /** Image for "testcontainers". Default: the `NATS_TEST_IMAGE` environment variable, or nats:<version>. */
  readonly image?: string;
  /** Gives up finding and starting, ends what was begun and rejects with its reason. Nothing after the start. */
  readonly signal?: AbortSignal;
  /** From spawn to ready, in milliseconds. Default 10000 (30000 in a cluster). */
  readonly startTimeoutMs?: number;
  /** A line of progress while a server is being downloaded or built. Default: silence. */
  readonly onProgress?: (line: string) => void;
}

/** How {@link NatsServer.start} decides that the server is up. */
export interface StartOptions {
  readonly signal?: AbortSignal;
  /**
   * "healthy" (default): TCP INFO on the client port and `/healthz` answering ok. A cluster member is not healthy
   * before the cluster has a meta leader: use "listening" (INFO only) to start members one by one after all stopped.
   */
  readonly until?: "healthy" | "listening";
}

/** How a server's process ended. For a container `signal` is null and `code` is 128 + signal. */
export interface ServerExit {
  readonly code: number | null;
  readonly signal: string | null;
}

/**
 * A nats-server started here. It does not keep this process alive, and it ends with it, also when this process
 * is killed with SIGKILL.
 */
export interface NatsServer extends AsyncDisposable {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly monitorPort: number;
  /** "nats://host:port"; the same after a restart. */
  readonly url: string;
  /** "http://host:port" of the monitoring endpoints. */
  readonly monitorUrl: string;
  /** As the server itself says, like "2.15.1". */
  readonly version: string;
  readonly backend: NatsBackend;
  /** Of the process; undefined while it isn't running, and for a container. */
  readonly pid: number | undefined;
  /** JetStream's folder; inside the container for "testcontainers" without `storeDir`. */
  readonly storeDir: string;
  /** True from spawn until the process has ended, also while paused. */
  readonly running: boolean;
  readonly paused: boolean;
  /** The last lines of its log (at most 1000), oldest first, over all restarts. */
  logs(): readonly string[];
  /**
   * Ends it with SIGTERM, with SIGKILL after 5 s, and resolves once the process is gone and its ports are free.
   * The store stays, for `start()`. Does nothing when it isn't running. Aborting `signal` means SIGKILL at once.
   */
  stop(options?: { readonly signal?: AbortSignal }): Promise<void>;
  /** SIGKILL: as a crash. Resolves when the process is gone. Does nothing when it isn't running. */
  kill(): Promise<void>;
  /** SIGSTOP: frozen, its sockets stay open. Resolves when it has stopped. Error `not_running`. */
  pause(): Promise<void>;
  /** SIGCONT. Error `not_running`. */
  resume(): Promise<void>;
  /** Lame duck mode: clients are told, then disconnected; the server ends by itself, much later. Error `not_running`. */
  lameDuck(): Promise<void>;
  /**
   * Starts it again on the same ports and store. Does nothing when it runs.
   * Errors: `start_failed`, `start_timeout`, `port_in_use`, `disposed`.
   */
  start(options?: StartOptions): Promise<void>;
  /** `stop()`, then `start()`. */
  restart(options?: StartOptions): Promise<void>;
  /** Resolves when the current process has ended, by whatever cause; at once when it isn't running. */
  exited(): Promise<ServerExit | undefined>;
  /** Stops it and removes its private folder. Idempotent. The handle can't be started again. */
  dispose(): Promise<void>;
}

/** What {@link startNatsCluster} takes. */
export interface NatsClusterOptions
  extends Omit<NatsServerOptions, "port" | "monitorPort" | "name" | "storeDir" | "config"> {
  /** Number of servers. Default 3. */
  readonly size?: number;
  /** Cluster name; the servers are "<name>-1" and so on. Default: "cluster-" and eight random letters. */
  readonly name?: string;
  /** Extra configuration, the same for each server or made per server (index from 0). */
  readonly config?: string | ((index: number) => string);
  /** Parent of the servers' JetStream folders, kept. Default: a private one for each server. */
  readonly storeDir?: string;
}

/** A full mesh of servers started by {@link startNatsCluster}. */
export interface NatsCluster extends AsyncDisposable {
  readonly name: string;
  readonly servers: readonly NatsServer[];
  /** One url for each server, in the order of `servers`: pass them all to `connect({ servers })`. */
  readonly urls: string[];
  /** The server that leads JetStream's meta group, as it says itself; undefined while there is none. */
  metaLeader(): Promise<NatsServer | undefined>;
  /**
   * Resolves when every running server sees every other one, is healthy, and all agree on a meta leader.
   * Error `start_timeout`, which says what was missing.
   */
  ready(options?: { readonly signal?: AbortSignal; readonly timeoutMs?: number }): Promise<void>;
  /** Stops every server, at the same time; stores stay. */
  stop(): Promise<void>;
  /** Stops every server and removes the private folders. Idempotent. */
  dispose(): Promise<void>;
}
