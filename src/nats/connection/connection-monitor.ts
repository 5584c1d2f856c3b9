/**
 * The state of a NATS connection and its changes. One monitor per connection, shared by all its users.
 *
 * `down` is emitted as soon as nats.js reports a disconnect or suspects one (`staleConnection`): a leader has to suspend its
 * term early, and a write must not wait for its timeout on a dead socket.
 */
import type { NatsConnection, ServerInfo, Status } from "@nats-io/transport-node";
import type { ConnectedServer } from "../../application/types.ts";
import { asError } from "../../errors.ts";
import { printable } from "../../log/printable.ts";
import { withoutLogin } from "../../log/redact.ts";
import { endStatuses, isProtocolConnected } from "./internals.ts";

/** The connection as its server identifies it. Every reconnect makes a new one. */
export interface Endpoint {
  readonly serverId: string;
  readonly clientId: number;
}

export type ConnectionChange =
  | { readonly type: "up"; readonly endpoint: Endpoint }
  | { readonly type: "down"; readonly error: Error | null }
  /** The connection will not be re-established. A connection that was up emits `down` first. */
  | { readonly type: "closed"; readonly error: Error | null }
  /** The server is about to shut down and asks its clients to reconnect elsewhere. */
  | { readonly type: "lame-duck" }
  /** The user may not publish to, or subscribe to, this subject. */
  | { readonly type: "denied"; readonly subject: string; readonly error: Error }
  /** The server refused the credentials, of the connection or of an attempt to reconnect. */
  | { readonly type: "refused"; readonly error: Error };

export type ConnectionListener = (change: ConnectionChange) => void;

/**
 * By connection and domain. A monitor is kept as long as its connection: a reaction on `connection.closed()` cannot be removed, so
 * there is only one for each domain.
 */
const monitors = new WeakMap<NatsConnection, Map<string | null, ConnectionMonitor>>();

/** Observes one connection while it is acquired. */
export class ConnectionMonitor {
  readonly connection: NatsConnection;
  /** JetStream domain of all requests with this monitor. `null`: that of the server. */
  readonly domain: string | null;
  readonly #listeners = new Set<ConnectionListener>();
  #holders = 0;
  #endpoint: Endpoint | null = null;
  #closed = false;
  #lastError: Error | null = null;
  #statuses: AsyncIterable<Status> | null = null;

  private constructor(connection: NatsConnection, domain: string | null) {
    this.connection = connection;
    this.domain = domain;
    void connection.closed().then(
      (error) => this.#onClosed(error ?? null),
      (error) => this.#onClosed(asError(error)),
    );
  }

  /** The monitor of the connection. Pair every call with `release()`. */
  static acquire(connection: NatsConnection, domain: string | null = null): ConnectionMonitor {
    const ofConnection = monitors.get(connection) ?? new Map<string | null, ConnectionMonitor>();
    monitors.set(connection, ofConnection);
    const monitor = ofConnection.get(domain) ?? new ConnectionMonitor(connection, domain);
    ofConnection.set(domain, monitor);
    if (monitor.#holders === 0) monitor.#start();
    monitor.#holders += 1;
    return monitor;
  }

  release(): void {
    this.#holders -= 1;
    if (this.#holders > 0) return;
    this.#listeners.clear();
    if (this.#statuses !== null) endStatuses(this.#statuses);
    this.#statuses = null;
  }

  /** True while nats.js would send a message at once instead of buffering it. */
  get connected(): boolean {
    return this.#endpoint !== null && isUp(this.connection);
  }

  get closed(): boolean {
    return this.#closed || this.connection.isClosed();
  }

  /** `null` while disconnected. */
  get endpoint(): Endpoint | null {
    return this.connected ? this.#endpoint : null;
  }

  /** `null` while disconnected. */
  get server(): ConnectedServer | null {
    return this.connected ? serverOf(this.connection) : null;
  }

  /** Returns the function that removes the listener. */
  listen(listener: ConnectionListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #start(): void {
    this.#endpoint = isUp(this.connection) ? endpointOf(this.connection.info) : null;
    this.#closed = this.connection.isClosed();
    this.#lastError = null;
    this.#statuses = this.connection.status();
    void this.#follow(this.#statuses);
  }

  async #follow(statuses: AsyncIterable<Status>): Promise<void> {
    for await (const status of statuses) {
      if (statuses !== this.#statuses) return;
      this.#onStatus(status);
    }
  }

  #onStatus(status: Status): void {
    switch (status.type) {
      case "disconnect":
      case "staleConnection":
      case "forceReconnect":
        this.#onDown();
        return;
      case "reconnect":
        this.#onUp();
        return;
      case "error":
        this.#onError(status.error);
        return;
      case "ldm":
        this.#emit({ type: "lame-duck" });
        return;
      case "reconnecting":
      case "update":
      case "ping":
      case "slowConsumer":
      case "close":
        return;
      default:
        status satisfies never;
    }
  }

  #onError(error: Error): void {
    const { subject } = error as Error & { subject?: unknown };
    if (error.name === "PermissionViolationError") {
      if (typeof subject === "string") this.#emit({ type: "denied", subject, error });
      return;
    }
    this.#lastError = error;
    if (isRefusal(error)) this.#emit({ type: "refused", error });
  }

  #onDown(): void {
    if (this.#endpoint === null) return;
    this.#endpoint = null;
    this.#emit({ type: "down", error: this.#lastError });
  }

  #onUp(): void {
    // A status arrives a few microtasks late. If the connection is down again, a `disconnect` follows.
    const endpoint = isUp(this.connection) ? endpointOf(this.connection.info) : null;
    if (endpoint === null) return;
    this.#lastError = null;
    this.#endpoint = endpoint;
    this.#emit({ type: "up", endpoint });
  }

  #onClosed(error: Error | null): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#onDown();
    this.#emit({ type: "closed", error: error ?? this.#lastError });
  }

  #emit(change: ConnectionChange): void {
    for (const listener of [...this.#listeners]) guarded(() => listener(change));
  }
}

/** Calls a listener. An exception is a bug of the listener: it becomes a process warning, and other listeners still run. */
export function guarded(run: () => void): void {
  try {
    run();
  } catch (thrown) {
    process.emitWarning(asError(thrown));
  }
}

/** By name: a connection that was passed in may come from another installed nats.js. */
export function isRefusal(error: Error): boolean {
  return /^(AuthorizationError|UserAuthenticationExpiredError)$/.test(error.name);
}

function endpointOf(info: ServerInfo | undefined): Endpoint | null {
  if (info === undefined || !Number.isSafeInteger(info.client_id)) return null;
  return { serverId: info.server_id, clientId: info.client_id };
}

const MAX_NAME = 128;

/** A server chooses its name, so that it may be any text. */
function serverOf(connection: NatsConnection): ConnectedServer {
  const { server_name: name, server_id: id, tls_required: tls } = connection.info ?? {};
  const text = typeof name === "string" && name !== "" ? name : String(id ?? "");
  return {
    name: printable(text.slice(0, MAX_NAME)),
    url: withoutLogin(`${tls === true ? "tls" : "nats"}://${printable(connection.getServer())}`),
  };
}

/** Whether the connection is up at this moment, which nats.js does not show publicly. */
export function isUp(connection: NatsConnection): boolean {
  if (connection.isClosed()) return false;
  return isProtocolConnected(connection) ?? connection.info !== undefined;
}
