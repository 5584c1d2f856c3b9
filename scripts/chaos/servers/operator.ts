/** Somebody with a connection to the servers who is no node: an operator, another user of the account, a stranger. */
import { setTimeout as pause } from "node:timers/promises";
import { connect, headers, type Msg, type NatsConnection } from "@nats-io/transport-node";
import { parseObject } from "../../../src/nats/api/js-api.ts";
import { bucketName, leaseSubject, republishSubject, streamName } from "../../../src/nats/names.ts";
import { CLUSTER_ID } from "../node/messages.ts";

const TIMEOUT_MS = 1500;
const PATIENCE_MS = 60_000;
const EVENTS_KEPT = 20;

type Json = Record<string, unknown>;

export class Operator {
  readonly connection: NatsConnection;
  /** The newest notices of committed writes. */
  readonly events: Msg[] = [];

  private constructor(connection: NatsConnection) {
    this.connection = connection;
  }

  static async at(servers: string[], user: { user?: string; pass?: string } = {}): Promise<Operator> {
    const options = { servers, ...user, maxReconnectAttempts: -1, reconnectTimeWait: 50, timeout: 1000 };
    const connection = await connect({ ...options, noAsyncTraces: true, waitOnFirstConnect: true });
    const operator = new Operator(connection);
    connection.subscribe(republishSubject(CLUSTER_ID), {
      callback: (error, message) => {
        if (error !== null) return;
        operator.events.push(message);
        if (operator.events.length > EVENTS_KEPT) operator.events.shift();
      },
    });
    return operator;
  }

  /** A call of the JetStream API, again until it is answered. Throws when the answer is an error. */
  api(name: string, body: unknown = {}): Promise<Json> {
    return patiently(() => this.#call(name, body));
  }

  async #call(name: string, body: unknown): Promise<Json> {
    const data = JSON.stringify(body);
    const answer = await this.connection.request(`$JS.API.${name}`, data, { timeout: TIMEOUT_MS });
    const json = answer.json<Json>();
    const error = json["error"] as { code?: number } | undefined;
    if (error === undefined) return json;
    // Asked again, because the first answer was late.
    if (name.startsWith("STREAM.DELETE.") && error.code === 404) return json;
    // A server's own trouble, or a cluster without a leader: it may be over the next time.
    if ((error.code ?? 0) >= 500) throw new Error(`${name}: ${JSON.stringify(error)}`);
    throw new RefusedError(`${name}: ${JSON.stringify(error)}`);
  }

  /** Writes over the lease, whatever is there; again until it is answered. */
  async put(data: string | Uint8Array, extra: Readonly<Record<string, string>> = {}): Promise<void> {
    const hdrs = headers();
    for (const [name, value] of Object.entries(extra)) hdrs.set(name, value);
    const options = { timeout: TIMEOUT_MS, headers: hdrs };
    await patiently(() => this.connection.request(leaseSubject(CLUSTER_ID), data, options));
  }

  /** Writes to another key of the bucket, which may fail. */
  async putBeside(data: string): Promise<void> {
    const subject = `$KV.${bucketName(CLUSTER_ID)}.beside`;
    await this.connection.request(subject, data, { timeout: TIMEOUT_MS }).catch(() => {});
  }

  async bucketConfig(): Promise<Json> {
    return (await this.api(`STREAM.INFO.${streamName(CLUSTER_ID)}`))["config"] as Json;
  }

  /** The name of the server that leads a stream, if it is known. */
  async streamLeader(stream: string): Promise<string | undefined> {
    const info = await this.#call(`STREAM.INFO.${stream}`, {}).catch(() => null);
    return (info?.["cluster"] as { leader?: string } | undefined)?.leader;
  }

  /** The presence that the record names. */
  async presence(): Promise<string | undefined> {
    const answer = await this.api(`STREAM.MSG.GET.${streamName(CLUSTER_ID)}`, {
      last_by_subj: leaseSubject(CLUSTER_ID),
    });
    const { data = "" } = answer["message"] as { data?: string };
    const record = parseObject(Buffer.from(data, "base64"));
    return (record?.["session"] as { presence?: string } | undefined)?.presence;
  }

  async close(): Promise<void> {
    await this.connection.close();
  }
}

async function patiently<T>(attempt: () => Promise<T>): Promise<T> {
  const giveUpAt = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (error instanceof RefusedError || performance.now() > giveUpAt) throw error;
      await pause(50);
    }
  }
}

/** The server has said no. */
export class RefusedError extends Error {}
