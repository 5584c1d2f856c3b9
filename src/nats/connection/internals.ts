/**
 * The fields of nats.js that are not part of its public interface, read nowhere else. Checked against
 * `@nats-io/transport-node` 3.4.0 (nats-core 3.4.0) and `@nats-io/services` 3.0.0-25; `test/nats/internals.test.ts` fails if an
 * upgrade removes one. A connection that an application passes in may come from any version, so every field is
 * optional here, and its type is checked.
 */
import type { Endpoint as ServiceEndpoint, Svcm } from "@nats-io/services";
import type { Msg, MsgCallback, NatsConnection, Status, Subscription } from "@nats-io/transport-node";
import { takesResponses } from "../names.ts";

/** Options that a connection was made with. */
export interface ConnectedWith {
  readonly inboxPrefix: string | undefined;
  readonly pingIntervalMs: number | undefined;
  readonly maxPingsOut: number | undefined;
  /** Attempts to reconnect to one server before it is given up; -1: no limit. 0 without reconnecting. */
  readonly maxReconnectAttempts: number | undefined;
  /** The server delivers to the connection what it publishes itself. The default of nats.js. */
  readonly echo: boolean;
}

/**
 * Whether the protocol handler is connected; `undefined` if it cannot be read. `nc.info` does not show it: it keeps its value
 * after a disconnect until the next dial, and is set again before a dial has succeeded.
 */
export function isProtocolConnected(connection: NatsConnection): boolean | undefined {
  const { protocol } = connection as unknown as { readonly protocol?: { readonly connected?: unknown } };
  return typeof protocol?.connected === "boolean" ? protocol.connected : undefined;
}

/**
 * Sends what has been published and not sent yet. Without it, nats.js sends when the present event has been handled completely: on
 * the way to a takeover, the rest of that event is as long as the round trip.
 */
export function sendNow(connection: NatsConnection): void {
  const { protocol } = connection as unknown as { readonly protocol?: { readonly flushPending?: unknown } };
  const flushPending = protocol?.flushPending;
  if (typeof flushPending === "function") flushPending.call(protocol);
}

/** nats.js has no getter for the options of a connection. */
export function connectedWith(connection: NatsConnection): ConnectedWith {
  const { options } = connection as unknown as { readonly options?: Readonly<Record<string, unknown>> };
  const inboxPrefix = options?.["inboxPrefix"];
  const pingIntervalMs = options?.["pingInterval"];
  const maxPingsOut = options?.["maxPingOut"];
  const noEcho = options?.["noEcho"];
  const maxReconnectAttempts = options?.["reconnect"] === false ? 0 : options?.["maxReconnectAttempts"];
  return {
    inboxPrefix: typeof inboxPrefix === "string" ? inboxPrefix : undefined,
    pingIntervalMs: typeof pingIntervalMs === "number" ? pingIntervalMs : undefined,
    maxPingsOut: typeof maxPingsOut === "number" ? maxPingsOut : undefined,
    maxReconnectAttempts: typeof maxReconnectAttempts === "number" ? maxReconnectAttempts : undefined,
    echo: noEcho !== true,
  };
}

/**
 * Ends the loop over `connection.status()`, and the connection forgets it. Public means take effect at the next status only: until
 * then the connection keeps everything that the loop refers to.
 */
export function endStatuses(statuses: AsyncIterable<Status>): void {
  const { stop } = statuses as AsyncIterable<Status> & { readonly stop?: unknown };
  if (typeof stop === "function") stop.call(statuses);
}

/** The counters that the library renders into an endpoint's entry of a STATS response. Times in nanoseconds. */
export interface RenderedStats {
  num_errors: number;
  last_error?: string;
  processing_time: number;
  average_processing_time: number;
}

/** The library has no way to set these counters. */
export function renderedStatsOf(endpoint: ServiceEndpoint): RenderedStats | undefined {
  const { stats } = endpoint as ServiceEndpoint & { readonly stats?: RenderedStats };
  return typeof stats === "object" && stats !== null ? stats : undefined;
}

/** The subscription to the answers of a request then ends with the error if the server denies the request. */
export function failsIfDenied(answers: Subscription, requestSubject: string): void {
  Object.assign(answers, { requestSubject });
}

/** The library answers on every reply subject. */
function asked(callback: MsgCallback<Msg>): MsgCallback<Msg> {
  return (error, message) => {
    if (error === null && !takesResponses(message.reply ?? "")) return;
    callback(error, message);
  };
}

/**
 * The connection as `@nats-io/services` types it: it depends on another version of nats-core, compatible at run time.
 *
 * @param closed - Replaces the promise of the connection, from which the library never removes its reaction: the connection would
 * keep every service that ran on it, and the service its node. Requests with a reply subject that takes no responses are dropped.
 */
export function forServices(
  connection: NatsConnection,
  closed: Promise<void>,
): ConstructorParameters<typeof Svcm>[0] {
  const subscribe: NatsConnection["subscribe"] = (subject, { callback, ...options } = {}) =>
    connection.subscribe(
      subject,
      callback === undefined ? options : { ...options, callback: asked(callback) },
    );
  const facade = new Proxy(connection, {
    get(target, name) {
      if (name === "closed") return () => closed;
      if (name === "subscribe") return subscribe;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return facade as unknown as ConstructorParameters<typeof Svcm>[0];
}
