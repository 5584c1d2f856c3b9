/** The connections on which scripts run one after another. Opened once, they serve thousands of scripts. */
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { messageOf } from "../../src/errors.ts";
import { MAX_PINGS_OUT, PING_INTERVAL_MS } from "../../src/nats/connection/connection.ts";
import { ConnectionMonitor } from "../../src/nats/connection/connection-monitor.ts";
import type { NatsServer } from "../../src/testing/server/types.ts";
import type { TcpProxy } from "../shared/proxy-types.ts";
import { startProxy } from "../shared/tcp-proxy.ts";
import { waitFor, within } from "../shared/wait.ts";
import type { NodeName } from "./bucket/operations.ts";

/** The server or cluster that the fakes are compared with. */
export interface CalibrationTarget {
  /** A single server, or the members of a cluster. */
  readonly servers: readonly NatsServer[];
  readonly version: string;
  /** Of the buckets. */
  readonly replicas: number;
  /** Ends and starts the server. Missing if other lanes use it, too. */
  readonly restart?: (how: "stop" | "kill") => Promise<void>;
}

/** `operator`: any client that is no node. `w`: only watches. `c` connects through the proxy. */
export type Client = NodeName | "w" | "operator";
const CLIENTS: readonly Client[] = ["a", "b", "c", "w", "operator"];
const API_TIMEOUT_MS = 20_000;
const SUBSCRIBED_TIMEOUT_MS = 10_000;

/** Long, so that a busy machine does not break connections whose pings are not part of the comparison. */
const LONG_PING_MS = 60_000;

/** A connection with the library's options, except that it ignores advertised addresses, which would bypass the proxy. */
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
  readonly target: CalibrationTarget;
  readonly proxy: TcpProxy;
  readonly #links: Readonly<Record<Client, NatsConnection>>;
  readonly monitors: Readonly<Record<Client, ConnectionMonitor>>;

  private constructor(
    target: CalibrationTarget,
    proxy: TcpProxy,
    links: Readonly<Record<Client, NatsConnection>>,
  ) {
    this.target = target;
    this.proxy = proxy;
    this.#links = links;
    this.monitors = mapped((client) => ConnectionMonitor.acquire(links[client]));
  }

  static async open(target: CalibrationTarget): Promise<Lane> {
    const at = (index: number): NatsServer => {
      const server = target.servers[index % target.servers.length];
      if (server === undefined) throw new Error("a calibration target needs a server");
      return server;
    };
    const proxy = await startProxy({ target: { port: at(1).port } });
    const urls = { a: at(0).url, b: at(1).url, c: proxy.url, w: at(2).url, operator: at(0).url };
    const made = await Promise.all(CLIENTS.map((client) => dial(urls[client], LONG_PING_MS)));
    return new Lane(
      target,
      proxy,
      mapped((client) => made[CLIENTS.indexOf(client)] as NatsConnection),
    );
  }

  get operator(): NatsConnection {
    return this.#links.operator;
  }

  /** Calls the JetStream API as an operator. */
  async api(name: string, body: object = {}): Promise<Record<string, unknown>> {
    const subject = `$JS.API.${name}`;
    const request = this.operator.request(subject, JSON.stringify(body), { timeout: API_TIMEOUT_MS });
    const answer = await request.catch((thrown: unknown) => {
      throw new Error(`${subject}: ${messageOf(thrown)}`, { cause: thrown });
    });
    return answer.json<Record<string, unknown>>();
  }

  /** Waits until every server has every subscription that was made before. */
  async subscribed(): Promise<void> {
    const watchers = (["a", "w"] as const).map((client) => this.#links[client]);
    const probed = watchers.map((connection) => {
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
            for (const { subject, from } of probed)
              if (!from.has(client)) connection.publish(subject, client);
          return probed.every(({ from }) => from.size === probes.length);
        },
        {
          timeoutMs: SUBSCRIBED_TIMEOUT_MS,
          intervalMs: 2,
          message: "the subscriptions to reach all servers",
        },
      );
    } finally {
      for (const { subscription } of probed) subscription.unsubscribe();
    }
  }

  /** Waits until all connections are open. */
  async connected(): Promise<void> {
    const all = Object.values(this.monitors);
    await waitFor(() => all.every((monitor) => monitor.connected), {
      timeoutMs: 30_000,
      message: "every connection to reconnect",
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
