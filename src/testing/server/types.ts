/** Where a server runs: a child process of this one, or a container started with testcontainers. */
export type NatsBackend = "process" | "testcontainers";

/** Options of {@link startNatsServer}. */
export interface NatsServerOptions {
  /**
   * Exactly this version, such as "2.10.29".
   * @default a current one, see `findNatsServer`
   */
  readonly version?: string;
  /** Path of the nats-server to run, instead of searching for one. Process backend only. */
  readonly binary?: string;
  /**
   * `server_name` of the server.
   * @default "nats-" and eight random letters
   */
  readonly name?: string;
  /**
   * Address to listen on, and the host in `url`.
   * @default "127.0.0.1"
   */
  readonly host?: string;
  /**
   * Client port.
   * @default a free port
   */
  readonly port?: number;
  /**
   * Monitoring port.
   * @default a free port
   */
  readonly monitorPort?: number;
  /**
   * Enables JetStream.
   * @default true
   */
  readonly jetstream?: boolean;
  /**
   * JetStream's folder, which is kept.
   * @default a private folder, kept over `stop()` and `restart()`, deleted when the handle is disposed or this process ends
   * for any reason
   */
  readonly storeDir?: string;
  /**
   * nats-server configuration text (accounts, TLS, limits), appended to the generated part. A key that occurs in both parts
   * is replaced as a whole by this one: a `jetstream {}` block here must contain its own `store_dir`.
   */
  readonly config?: string;
  /** @default the environment variable `NATS_TEST_BACKEND`, or "process" */
  readonly backend?: NatsBackend;
  /**
   * Image for "testcontainers".
   * @default the environment variable `NATS_TEST_IMAGE`, or nats:<version>
   */
  readonly image?: string;
  /** Aborts finding and starting: stops what was started, and rejects with its reason. No effect after the start. */
  readonly signal?: AbortSignal;
  /**
   * Time from spawn to ready, in milliseconds.
   * @default 10000 (30000 in a cluster)
   */
  readonly startTimeoutMs?: number;
  /** Receives progress lines while a server is downloaded or built. */
  readonly onProgress?: (line: string) => void;
}

/** Options of {@link NatsServer.start}. */
export interface StartOptions {
  readonly signal?: AbortSignal;
  /**
   * When the server counts as started. "healthy": INFO on the client port, and `/healthz` answers ok. A cluster member is not
   * healthy before the cluster has a meta leader: use "listening" (INFO only) to start members one by one after all stopped.
   * @default "healthy"
   */
  readonly until?: "healthy" | "listening";
}

/** How a server's process exited. For a container, `signal` is null and `code` is 128 + signal. */
export interface ServerExit {
  readonly code: number | null;
  readonly signal: string | null;
}

/**
 * A nats-server started by this process. It does not keep this process alive, and it is killed when this process ends,
 * also by SIGKILL.
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
  /** Version in the server's INFO, such as "2.15.1". */
  readonly version: string;
  readonly backend: NatsBackend;
  /** Process id; undefined while the server is not running, and for a container. */
  readonly pid: number | undefined;
  /** JetStream's folder; inside the container for "testcontainers" without `storeDir`. */
  readonly storeDir: string;
  /** True from spawn until the process has exited, also while paused. */
  readonly running: boolean;
  readonly paused: boolean;
  /** The last lines of its log (at most 1000), oldest first, over all restarts. */
  logs(): readonly string[];
  /**
   * Sends SIGTERM, after 5 s SIGKILL, and resolves when the process has exited and its ports are free. Keeps the store for
   * `start()`. No effect if the server is not running.
   * @param options `signal`: sends SIGKILL at once when it aborts.
   */
  stop(options?: { readonly signal?: AbortSignal }): Promise<void>;
  /** Sends SIGKILL, as in a crash. Resolves when the process has exited. No effect if the server is not running. */
  kill(): Promise<void>;
  /**
   * Sends SIGSTOP: the server is frozen, its sockets stay open. Resolves when it has stopped.
   * @throws {@link NatsServerError} `not_running`
   */
  pause(): Promise<void>;
  /**
   * Sends SIGCONT.
   * @throws {@link NatsServerError} `not_running`
   */
  resume(): Promise<void>;
  /**
   * Enters lame-duck mode: clients are notified, then disconnected; the server exits by itself, much later.
   * @throws {@link NatsServerError} `not_running`
   */
  lameDuck(): Promise<void>;
  /**
   * Starts the server again with the same ports and store. No effect if it is running.
   * @throws {@link NatsServerError} `start_failed`, `start_timeout`, `port_in_use`, `disposed`
   */
  start(options?: StartOptions): Promise<void>;
  /** `stop()`, then `start()`. */
  restart(options?: StartOptions): Promise<void>;
  /** Resolves when the current process has exited for any reason; at once if the server is not running. */
  exited(): Promise<ServerExit | undefined>;
  /** Stops the server and deletes its private folder. Idempotent. The handle cannot be started again. */
  dispose(): Promise<void>;
}

/** Options of {@link startNatsCluster}. */
export interface NatsClusterOptions
  extends Omit<NatsServerOptions, "port" | "monitorPort" | "name" | "storeDir" | "config"> {
  /**
   * Number of servers, 1 to 9.
   * @default 3
   */
  readonly size?: number;
  /**
   * Cluster name; the servers are "<name>-1" and so on.
   * @default "cluster-" and eight random letters
   */
  readonly name?: string;
  /** Additional configuration: one text for all servers, or a function of the server's index (from 0). */
  readonly config?: string | ((index: number) => string);
  /**
   * Parent of the servers' JetStream folders, which is kept.
   * @default a private folder for each server
   */
  readonly storeDir?: string;
}

/** A full mesh of servers started by {@link startNatsCluster}. */
export interface NatsCluster extends AsyncDisposable {
  readonly name: string;
  readonly servers: readonly NatsServer[];
  /** The URLs in the order of `servers`: pass all of them to `connect({ servers })`. */
  readonly urls: string[];
  /** The server that reports itself as JetStream's meta leader; undefined while there is none. */
  metaLeader(): Promise<NatsServer | undefined>;
  /**
   * Resolves when every running server has routes to all others and is healthy, and all agree on a meta leader.
   * @throws {@link NatsServerError} `start_timeout`; the message names what was missing
   */
  ready(options?: { readonly signal?: AbortSignal; readonly timeoutMs?: number }): Promise<void>;
  /** Stops all servers at the same time; keeps their stores. */
  stop(): Promise<void>;
  /** Stops all servers and deletes the private folders. Idempotent. */
  dispose(): Promise<void>;
}
