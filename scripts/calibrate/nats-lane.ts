/** The connections on which scripts run, one script after the other: made once, they serve thousands. */
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { messageOf } from "../../src/errors.ts";
import { MAX_PINGS_OUT, PING_INTERVAL_MS } from "../../src/nats/connection/connection.ts";
import { ConnectionMonitor } from "../../src/nats/connection/connection-monitor.ts";
import type { NatsServer } from "../../src/testing/server/types.ts";
import { startProxy, type TcpProxy } from "../shared/tcp-proxy.ts";
import { waitFor, within } from "../shared/wait.ts";
import type { Node } from "./bucket/operations.ts";

/** Where a lane's connections go. */
export interface Place {
  /** One, or the members of a cluster. */
  readonly servers: readonly NatsServer[];
  readonly version: string;
  /** Of the buckets. */
  readonly replicas: number;
  /** Ends and starts the server; missing where others use it too. */
  readonly restart?: (how: "stop" | "kill") => Promise<void>;
}

/** `operator`: anybody else. `w`: only watches. `c` is reached through the proxy. */
export type Client = Node | "w" | "operator";
const CLIENTS: readonly Client[] = ["a", "b", "c", "w", "operator"];
const API_TIMEOUT_MS = 20_000;
const SUBSCRIBED_TIMEOUT_MS = 10_000;

/** So that a starved machine breaks no connection on which nothing depends on pings. */
const PATIENT_PING_MS = 60_000;

/** A connection as the library makes it, but for one thing: it must not find a way around the proxy. */
export function dial(url: string, pingInterval: number = PING_INTERVAL_MS): Promise<NatsConnection> {
  return connect({
    servers: url,
    ignoreClusterUpdates: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 10,
    reconnectJitter: 0,
    pingInterval,
    maxPingOut: MAX_PINGS_OUT,
    noAsyncTraces: true,
  });
}

export class Lane {
  readonly place: Place;
  readonly proxy: TcpProxy;
  readonly #links: Readonly<Record<Client, NatsConnection>>;
  readonly monitors: Readonly<Record<Client, ConnectionMonitor>>;

  private constructor(place: Place, proxy: TcpProxy, links: Readonly<Record<Client, NatsConnection>>) {
    this.place = place;
    this.proxy = proxy;
    this.#links = links;
    this.monitors = mapped((client) => ConnectionMonitor.acquire(links[client]));
  }

  static async open(place: Place): Promise<Lane> {
    const at = (index: number): NatsServer => {
      const server = place.servers[index % place.servers.length];
      if (server === undefined) throw new Error("a place needs a server");
      return server;
    };
    const proxy = await startProxy({ target: { port: at(1).port } });
    const urls = { a: at(0).url, b: at(1).url, c: proxy.url, w: at(2).url, operator: at(0).url };
    const made = await Promise.all(CLIENTS.map((client) => dial(urls[client], PATIENT_PING_MS)));
    return new Lane(
      place,
      proxy,
      mapped((client) => made[CLIENTS.indexOf(client)] as NatsConnection),
    );
  }

  get operator(): NatsConnection {
    return this.#links.operator;
  }

  /** A call of the JetStream API, as an operator's tool makes it. */
  async api(name: string, body: object = {}): Promise<Record<string, unknown>> {
    const subject = `$JS.API.${name}`;
    const request = this.operator.request(subject, JSON.stringify(body), { timeout: API_TIMEOUT_MS });
    const answer = await request.catch((thrown: unknown) => {
      throw new Error(`${subject}: ${messageOf(thrown)}`, { cause: thrown });
    });
    return answer.json<Record<string, unknown>>();
  }

  /** Every server knows of every subscription that was made here before. */
  async subscribed(): Promise<void> {
    const watchers = (["a", "w"] as const).map((client) => this.#links[client]);
    const heard = watchers.map((connection) => {
      const subject = `calibration.${Math.random().toString(36).slice(2)}`;
      const from = new Set<string>();
      const subscription = connection.subscribe(subject, {
        callback: (_error, message) => void from.add(message.string()),
      });
      return { subject, from, subscription };
    });
    const probes = (["a", "b", "w"] as const).map((client) => [client, this.#links[client]] as const);
    try {
      await waitFor(
        () => {
          for (const [client, connection] of probes)
            for (const { subject, from } of heard) if (!from.has(client)) connection.publish(subject, client);
          return heard.every(({ from }) => from.size === probes.length);
        },
        {
          timeoutMs: SUBSCRIBED_TIMEOUT_MS,
          intervalMs: 2,
          message: "subscriptions to be known to all servers",
        },
      );
    } finally {
      for (const { subscription } of heard) subscription.unsubscribe();
    }
  }

  /** Waits until all connections stand. */
  async connected(): Promise<void> {
    const all = Object.values(this.monitors);
    await waitFor(() => all.every((monitor) => monitor.connected), {
      timeoutMs: 30_000,
      message: "every connection to stand again",
    });
    await Promise.all(all.map((monitor) => within(monitor.connection.flush(), { message: "a flush" })));
  }

  async close(): Promise<void> {
    for (const monitor of Object.values(this.monitors)) monitor.release();
    await Promise.all(Object.values(this.#links).map((connection) => connection.close()));
    await this.proxy.close();
  }
}

function mapped<T>(make: (client: Client) => T): Readonly<Record<Client, T>> {
  return { a: make("a"), b: make("b"), c: make("c"), w: make("w"), operator: make("operator") };
}
