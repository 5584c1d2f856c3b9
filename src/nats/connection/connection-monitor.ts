/**
 * What a connection is doing, as it happens. One observer per connection, shared by everything that uses it.
 *
 * "Down" is announced as soon as nats.js knows, also when it only suspects (`staleConnection`): a leader must stop
 * believing early and a write must not wait out its timeout on a dead socket.
 */
import type { NatsConnection, ServerInfo, Status } from "@nats-io/transport-node";
import { asError } from "../../errors.ts";
import { isProtocolConnected } from "./internals.ts";

/** Which connection of which server this is. Another one after every reconnect. */
export interface Endpoint {
  readonly serverId: string;
  readonly clientId: number;
}

export type ConnectionChange =
  | { readonly type: "up"; readonly endpoint: Endpoint }
  | { readonly type: "down"; readonly error: Error | null }
  /** It will not come back. Follows a `down` if it was up. */
  | { readonly type: "closed"; readonly error: Error | null }
  /** The server is about to shut down and asks its clients to leave. */
  | { readonly type: "lame-duck" }
  /** The user may not publish to, or subscribe to, this subject. */
  | { readonly type: "denied"; readonly subject: string; readonly error: Error }
  /** The server refuses the credentials: it ends the connection, or an attempt to connect again. */
  | { readonly type: "refused"; readonly error: Error };

export type ConnectionListener = (change: ConnectionChange) => void;

const monitors = new WeakMap<NatsConnection, ConnectionMonitor>();

/** Observes one connection while anybody holds it. */
export class ConnectionMonitor {
  readonly connection: NatsConnection;
  readonly #listeners = new Set<ConnectionListener>();
  #holders = 0;
  #endpoint: Endpoint | null;
  #closed = false;
  #lastError: Error | null = null;
  #statuses: AsyncIterator<Status> | null = null;

  private constructor(connection: NatsConnection) {
    this.connection = connection;
    this.#endpoint = isUp(connection) ? endpointOf(connection.info) : null;
    this.#closed = connection.isClosed();
  }

  /** The connection's monitor, started if need be. Pair every call with `release()`. */
  static acquire(connection: NatsConnection): ConnectionMonitor {
    let monitor = monitors.get(connection);
    if (monitor === undefined) {
      monitor = new ConnectionMonitor(connection);
      monitors.set(connection, monitor);
      monitor.#start();
    }
    monitor.#holders += 1;
    return monitor;
  }

  release(): void {
    this.#holders -= 1;
    if (this.#holders > 0) return;
    if (monitors.get(this.connection) === this) monitors.delete(this.connection);
    this.#listeners.clear();
    void this.#statuses?.return?.();
  }

  /** True while a write may be handed to the client and be expected to leave at once. */
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

  /** Returns its cancellation. */
  listen(listener: ConnectionListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #start(): void {
    const statuses = this.connection.status()[Symbol.asyncIterator]();
    this.#statuses = statuses;
    void this.#follow(statuses);
    void this.connection.closed().then(
      (error) => this.#onClosed(error ?? null),
      (error) => this.#onClosed(asError(error)),
    );
  }

  async #follow(statuses: AsyncIterator<Status>): Promise<void> {
    for (;;) {
      const next = await statuses.next();
      if (next.done === true) return;
      this.#onStatus(next.value);
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
    // Statuses arrive a few microtasks late: the connection may be gone again, and a `disconnect` is on its way then.
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

/** Runs a listener of somebody else. What it throws is a bug of theirs: reported, and nobody else's problem. */
export function guarded(run: () => void): void {
  try {
    run();
  } catch (thrown) {
    process.emitWarning(asError(thrown));
  }
}

/** By name: a connection that was passed in may come from another copy of nats.js. */
export function isRefusal(error: Error): boolean {
  return /^(AuthorizationError|UserAuthenticationExpiredError)$/.test(error.name);
}

function endpointOf(info: ServerInfo | undefined): Endpoint | null {
  if (info === undefined || !Number.isSafeInteger(info.client_id)) return null;
  return { serverId: info.server_id, clientId: info.client_id };
}

/** Whether the connection is up at this moment, which nats.js does not show publicly. */
export function isUp(connection: NatsConnection): boolean {
  if (connection.isClosed()) return false;
  return isProtocolConnected(connection) ?? connection.info !== undefined;
}
