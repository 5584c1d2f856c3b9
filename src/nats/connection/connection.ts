/** Connecting to NATS as an election needs it: unlimited reconnects, and a dead server detected within about 2 s. */
import type { ConnectionOptions, NatsConnection } from "@nats-io/transport-node";
import { asError, ClusterError } from "../../errors.ts";
import { untilAborted } from "../../runtime/waiting.ts";
import { isRefusal, isUp } from "./connection-monitor.ts";
import { authenticatorOf, type Credentials } from "./credentials.ts";
import { startDial } from "./dials.ts";
import { dialFirst } from "./first-dial.ts";
import { connectedWith } from "./internals.ts";
import { type TlsOptions, tlsOptions } from "./tls.ts";

/** Client pings, of which two may be outstanding, limit how long a half-open connection goes undetected. */
export const PING_INTERVAL_MS = 1000;
export const MAX_PINGS_OUT = 2;

/** What to do about refused credentials. */
export const CHECK_CREDENTIALS = "check user and password, token, nkey or creds file";

const FLUSH_TIMEOUT_MS = 500;

/** How to reach NATS. */
export interface NatsOptions extends Credentials {
  /** `nats://host:port` or `tls://host:port`, without credentials (see `config/servers.ts`). Required without `connection`. */
  readonly servers?: readonly string[];
  readonly tls?: TlsOptions;
  /** JetStream domain of the bucket, for requests (`ConnectionMonitor`); a connection has none. */
  readonly domain?: string;
  /** An open connection to use instead. The options for connecting are then ignored, and the connection is never closed. */
  readonly connection?: NatsConnection;
  /**
   * Longest wait for one server.
   * @default 2000
   */
  readonly connectTimeoutMs?: number;
  /**
   * Pause before the same server is dialled again; up to the same time is added at random.
   * @default 100
   */
  readonly reconnectWaitMs?: number;
  /**
   * Prefix of reply subjects, for users that may not subscribe to `_INBOX.>`.
   * @default "_INBOX"
   */
  readonly inboxPrefix?: string;
}

/** The node that connects. */
export interface ConnectContext {
  readonly clusterId: string;
  readonly nodeId: string;
  readonly signal?: AbortSignal;
}

/** A connection and who closes it. */
export interface NatsLink {
  readonly connection: NatsConnection;
  /** False for a connection that was passed in. */
  readonly owned: boolean;
  /** Flushes (briefly) and closes an owned connection; leaves any other alone. Idempotent. */
  close(): Promise<void>;
}

/**
 * Connects, or uses the connection that was passed in.
 * @throws ClusterError `NO_CONNECTION` (recoverable, except for TLS errors and a closed connection that was passed in),
 * `AUTHORIZATION`, `INVALID_CONFIG`, `ABORTED`
 */
export async function connectNats(options: NatsOptions, context: ConnectContext): Promise<NatsLink> {
  const { signal } = context;
  if (signal?.aborted === true) throw abortedConnect(signal.reason);
  const { connection } = options;
  if (connection !== undefined) {
    if (connection.isClosed()) throw new ClusterError("NO_CONNECTION", "the given NATS connection is closed");
    return { connection, owned: false, close: async () => {} };
  }
  const addresses = (options.servers ?? []).map((url) => url.replace(/^(nats|tls):\/\//, ""));
  if (addresses.length === 0) throw new ClusterError("INVALID_CONFIG", "servers must not be empty");
  const dial = startDial(() => dialFirst(connectionOptions(options, addresses, context), addresses.length));
  const dialling = dial.result.catch((error: unknown) => {
    throw connectError(error, addresses, options.tls !== undefined);
  });
  // nats.js cannot abort a dial: its sockets are ended, and a connection that it opens after the abort is closed.
  const abandoned = (reason: unknown): ClusterError => {
    dial.abandon();
    dialling.then(
      (late) => void late.close(),
      () => {},
    );
    return abortedConnect(reason);
  };
  return link(await untilAborted(dialling, signal, abandoned));
}

function link(connection: NatsConnection): NatsLink {
  return {
    connection,
    owned: true,
    async close() {
      if (connection.isClosed()) return;
      await flushed(connection);
      await connection.close();
    },
  };
}

function connectionOptions(
  options: NatsOptions,
  addresses: readonly string[],
  context: ConnectContext,
): ConnectionOptions & { readonly reconnectTimeWait: number } {
  const authenticator = authenticatorOf(options);
  const { user, pass, token, tls } = options;
  const wait = options.reconnectWaitMs ?? 100;
  return {
    servers: [...addresses],
    name: `nats-leader/${context.clusterId}/${context.nodeId}`,
    timeout: options.connectTimeoutMs ?? 2000,
    waitOnFirstConnect: false,
    reconnect: true,
    maxReconnectAttempts: -1,
    // Refused credentials may be accepted later: an account is restored, a creds file is rotated.
    ignoreAuthErrorAbort: true,
    reconnectTimeWait: wait,
    reconnectJitter: wait,
    reconnectJitterTLS: wait,
    pingInterval: PING_INTERVAL_MS,
    maxPingOut: MAX_PINGS_OUT,
    noAsyncTraces: true,
    ...(authenticator === null ? {} : { authenticator }),
    ...(user === undefined ? {} : { user }),
    ...(pass === undefined ? {} : { pass }),
    ...(token === undefined ? {} : { token }),
    ...(options.inboxPrefix === undefined ? {} : { inboxPrefix: options.inboxPrefix }),
    ...(tls === undefined ? {} : { tls: tlsOptions(tls) }),
  };
}

function connectError(thrown: unknown, addresses: readonly string[], tls: boolean): ClusterError {
  if (thrown instanceof ClusterError) return thrown;
  const error = asError(thrown ?? new Error("the connection was closed"));
  const where = addresses.join(", ");
  const cause = error;
  if (isRefusal(error)) {
    const todo = CHECK_CREDENTIALS;
    return new ClusterError(
      "AUTHORIZATION",
      `NATS at ${where} refused the credentials: ${error.message}; ${todo}`,
      {
        cause,
      },
    );
  }
  if (isTlsProblem(error)) {
    // Without the option, nats.js follows a server that uses TLS, but not with all checks of this library.
    const asked = tls ? "" : "ask for TLS with tls:// in servers or the option tls; ";
    const todo = `${asked}check tls.ca, tls.cert and tls.key, and the host name in servers`;
    return new ClusterError(
      "NO_CONNECTION",
      `no TLS connection to NATS at ${where}: ${error.message}; ${todo}`,
      {
        cause,
      },
    );
  }
  const why = whyUnreachable(error);
  return new ClusterError("NO_CONNECTION", `no connection to NATS at ${where}: ${why}`, {
    cause,
    recoverable: true,
  });
}

function whyUnreachable({ message, name }: Error): string {
  // ENOTFOUND: there is no such name. EAI_AGAIN: no name server answers.
  const [, code, host] = /^getaddrinfo (ENOTFOUND|EAI_AGAIN) (\S+)/.exec(message) ?? [];
  if (host !== undefined)
    return `host name "${host}" cannot be resolved (${code}); check the name, and the name service of this host`;
  const why = message === "" ? name : message;
  return `${why}; check that a server is running there and can be reached from here`;
}

function isTlsProblem(error: Error): boolean {
  const { code } = error as Error & { code?: unknown };
  if (typeof code === "string" && /CERT|SELF_SIGNED|UNABLE_TO|ERR_TLS|ERR_SSL|ERR_OSSL/.test(code))
    return true;
  // Errors of nats.js: only one side wants TLS, a file does not exist, a file is not PEM.
  return /'tls'|^\/.* doesn't exist$|\bPEM\b/.test(error.message);
}

function abortedConnect(cause: unknown): ClusterError {
  return new ClusterError("ABORTED", "connecting to NATS was aborted", { cause, recoverable: true });
}

/** Resolves when the server has processed everything sent so far, at the latest after 500 ms. */
export async function flushed(connection: NatsConnection): Promise<void> {
  if (isUp(connection)) await settledWithin(connection.flush(), FLUSH_TIMEOUT_MS);
}

/** Resolves when the promise settles, either way, at the latest after `timeoutMs`. */
export async function settledWithin(promise: Promise<unknown>, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs);
  });
  try {
    await Promise.race([promise.then(ignore, ignore), timeout]);
  } finally {
    clearTimeout(timer);
  }
}

function ignore(): void {}

/**
 * How a connection that was passed in gives up, or `null` if it never does or the limit is unknown. A connection that has given up
 * is closed, and its nodes stop.
 */
export function reconnectLimit(connection: NatsConnection): string | null {
  const { maxReconnectAttempts } = connectedWith(connection);
  if (maxReconnectAttempts === undefined || maxReconnectAttempts === -1) return null;
  if (maxReconnectAttempts <= 0) return "it does not reconnect";
  return `it gives up a server after ${maxReconnectAttempts} attempts to reconnect (maxReconnectAttempts)`;
}

/**
 * Why a connection that was passed in cannot carry presence, or `null`. A leader with presence has to detect a dead server
 * within seconds.
 */
export function slowPings(connection: NatsConnection): string | null {
  const { pingIntervalMs, maxPingsOut } = connectedWith(connection);
  if (pingIntervalMs === undefined || maxPingsOut === undefined) return "its ping interval is unknown";
  const worstMs = pingIntervalMs * (maxPingsOut + 1);
  if (worstMs <= PING_INTERVAL_MS * (MAX_PINGS_OUT + 1)) return null;
  return `it detects a dead server only after ${worstMs} ms (pingInterval ${pingIntervalMs}, maxPingOut ${maxPingsOut})`;
}
