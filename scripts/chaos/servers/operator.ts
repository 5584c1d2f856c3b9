/** A connection to the servers that belongs to no node: an operator, another user of the account, or a stranger. */
import { setTimeout as pause } from "node:timers/promises";
import { headers, type Msg, type NatsConnection } from "@nats-io/transport-node";
import type { SessionBinding } from "../../../src/election/types.ts";
import { parseStoredMessage } from "../../../src/nats/api/stored-message.ts";
import { decodeStored } from "../../../src/nats/lease/record-codec.ts";
import { bucketName, leaseSubject, republishSubject, streamName } from "../../../src/nats/names.ts";
import { CLUSTER_ID } from "../node/messages.ts";
import { connectPatiently } from "./connect.ts";

const TIMEOUT_MS = 1500;
const GIVE_UP_MS = 60_000;
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
    const connection = await connectPatiently({ servers, ...user, reconnectTimeWait: 50, timeout: 1000 });
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

  /** Calls the JetStream API, repeatedly until it answers. Throws `RefusedError` when the answer is an error below 500. */
  api(name: string, body: unknown = {}): Promise<Json> {
    return retried(() => this.#call(name, body));
  }

  async #call(name: string, body: unknown): Promise<Json> {
    const data = JSON.stringify(body);
    const answer = await this.connection.request(`$JS.API.${name}`, data, { timeout: TIMEOUT_MS });
    const json = answer.json<Json>();
    const error = json["error"] as { code?: number } | undefined;
    if (error === undefined) return json;
    // A repeated call: the first one deleted the stream, but its answer was late.
    if (name.startsWith("STREAM.DELETE.") && error.code === 404) return json;
    // Errors from 500 on are temporary, for example a cluster without a leader.
    if ((error.code ?? 0) >= 500) throw new Error(`${name}: ${JSON.stringify(error)}`);
    throw new RefusedError(`${name}: ${JSON.stringify(error)}`);
  }

  /** Overwrites the lease without a condition, repeatedly until the write is answered. */
  async put(data: string | Uint8Array, extra: Readonly<Record<string, string>> = {}): Promise<void> {
    const hdrs = headers();
    for (const [name, value] of Object.entries(extra)) hdrs.set(name, value);
    const options = { timeout: TIMEOUT_MS, headers: hdrs };
    await retried(() => this.connection.request(leaseSubject(CLUSTER_ID), data, options));
  }

  /** Writes to another key of the bucket; ignores failures. */
  async putBeside(data: string): Promise<void> {
    const subject = `$KV.${bucketName(CLUSTER_ID)}.beside`;
    await this.connection.request(subject, data, { timeout: TIMEOUT_MS }).catch(() => {});
  }

  async bucketConfig(): Promise<Json> {
    return (await this.api(`STREAM.INFO.${streamName(CLUSTER_ID)}`))["config"] as Json;
  }

  /** Name of the server that leads a stream, `undefined` if there is none or it is unknown. */
  async streamLeader(stream: string): Promise<string | undefined> {
    const info = await this.#call(`STREAM.INFO.${stream}`, {}).catch(() => null);
    return (info?.["cluster"] as { leader?: string } | undefined)?.leader;
  }

  /** The presence consumer that the lease record names. */
  async presence(): Promise<string | undefined> {
    return (await this.#session())?.presence;
  }

  /** Id of the server that holds the connection which the lease record names. */
  async serverOfHolder(): Promise<string | undefined> {
    return (await this.#session())?.serverId;
  }

  async #session(): Promise<SessionBinding | undefined> {
    const answer = await this.api(`STREAM.MSG.GET.${streamName(CLUSTER_ID)}`, {
      last_by_subj: leaseSubject(CLUSTER_ID),
    });
    const stored = parseStoredMessage(answer);
    const entry = stored === null ? null : decodeStored(stored);
    return entry?.kind === "record" ? entry.record.session : undefined;
  }

  async close(): Promise<void> {
    await this.connection.close();
  }
}

async function retried<T>(attempt: () => Promise<T>): Promise<T> {
  const giveUpAt = performance.now() + GIVE_UP_MS;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (error instanceof RefusedError || performance.now() > giveUpAt) throw error;
      await pause(50);
    }
  }
}

/** The server answered with an error below 500: repeating the call would not help. */
export class RefusedError extends Error {}
