/** A NATS connection in memory, for the rehearsal: a server with one bucket, whose leader has just lost its connection. */
import {
  headers,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  type RequestOptions,
  type SubscriptionOptions,
} from "@nats-io/transport-node";
import { encodeRecord } from "../nats/lease/record-codec.ts";
import { newStreamConfig } from "../nats/lease/stream-config.ts";
import { CONNECTIONS_PING, consumerDeletedAdvisory, republishSubject, streamName } from "../nats/names.ts";
import { presenceName } from "../nats/presence/confirmation.ts";
import { GLOBAL_ACCOUNT, tagOf } from "../nats/presence/connz-answer.ts";
import { deferred } from "../runtime/waiting.ts";

const CREATED = "2000-01-01T00:00:00Z";
const SERVER = "server";
const OWN_CLIENT = 2;
const HOLDERS_CLIENT = 1;
const EXPECTED_LAST = "Nats-Expected-Last-Subject-Sequence";

type Callback = NonNullable<SubscriptionOptions["callback"]>;

/** What this package uses of a connection. Every answer arrives in a later microtask. */
export class RehearsalConnection {
  readonly info: { readonly server_id: string; readonly client_id: number; readonly version: string } = {
    server_id: SERVER,
    client_id: OWN_CLIENT,
    version: "2.10.0",
  };
  readonly options: object = {};
  readonly protocol: object = { connected: true, flushPending(): void {} };
  readonly #clusterId: string;
  readonly #holdersPresence: string;
  readonly #ended = deferred<void>();
  readonly #callbacks = new Map<string, Callback>();
  #revision = 1;
  #data: Uint8Array;
  #headers: MsgHdrs = headers();

  constructor(clusterId: string) {
    this.#clusterId = clusterId;
    this.#holdersPresence = `${streamName(clusterId)}.${presenceName(tagOf(GLOBAL_ACCOUNT), "holder", 1)}`;
    this.#data = encodeRecord({
      nodeId: "holder",
      incarnation: "holder",
      epoch: 1,
      acquiredAt: 0,
      nonce: 1,
      ttlMs: 3_600_000,
      session: { serverId: SERVER, clientId: HOLDERS_CLIENT, presence: this.#holdersPresence },
    });
  }

  /** The class has the fields and methods of a connection that the rehearsed code uses, and no others. */
  asConnection(): NatsConnection {
    return this as unknown as NatsConnection;
  }

  /** The server announces that the leader's connection has ended. */
  loseHolder(): void {
    this.#deliver(consumerDeletedAdvisory(this.#holdersPresence), "{}");
  }

  isClosed(): boolean {
    return false;
  }

  getServer(): string {
    return "rehearsal:4222";
  }

  closed(): Promise<void> {
    return this.#ended.promise;
  }

  /** Ends what waits for the end. */
  end(): void {
    this.#ended.resolve();
  }

  /** Nothing happens to it. */
  status(): AsyncIterable<never> {
    const next = async (): Promise<IteratorResult<never>> => {
      await this.#ended.promise;
      return { done: true, value: undefined };
    };
    return { [Symbol.asyncIterator]: () => ({ next }) };
  }

  async flush(): Promise<void> {}

  subscribe(subject: string, { callback }: SubscriptionOptions): { unsubscribe(): void } {
    if (callback !== undefined) this.#callbacks.set(subject, callback);
    return { unsubscribe: () => void this.#callbacks.delete(subject) };
  }

  publish(subject: string, data: Uint8Array | string, { reply }: { readonly reply?: string } = {}): void {
    if (subject === CONNECTIONS_PING && reply !== undefined) this.#deliver(reply, connections([]));
    else this.#deliver(subject, data);
  }

  async *requestMany(subject: string): AsyncIterable<Msg> {
    yield messageOf(subject, connections([{ cid: OWN_CLIENT, in_msgs: 1 }]));
  }

  async request(subject: string, data: Uint8Array, options: RequestOptions): Promise<Msg> {
    if (subject.includes(".STREAM.INFO.")) return messageOf(subject, this.#stream());
    if (subject.includes(".STREAM.MSG.GET.")) return messageOf(subject, this.#message());
    return messageOf(subject, this.#write(data, options.headers ?? headers()));
  }

  #stream(): string {
    const config = newStreamConfig(this.#clusterId, 1, 0);
    return JSON.stringify({ config, created: CREATED, state: { last_seq: this.#revision } });
  }

  #message(): string {
    const lines = this.#headers.keys().map((name) => `${name}: ${this.#headers.get(name)}\r\n`);
    return JSON.stringify({
      message: {
        seq: this.#revision,
        hdrs: Buffer.from(`NATS/1.0\r\n${lines.join("")}\r\n`).toString("base64"),
        data: Buffer.from(this.#data).toString("base64"),
        time: CREATED,
      },
    });
  }

  #write(data: Uint8Array, written: MsgHdrs): string {
    if (written.get(EXPECTED_LAST) !== String(this.#revision))
      return JSON.stringify({ error: { code: 400, err_code: 10071, description: "wrong last sequence" } });
    this.#revision += 1;
    this.#data = data;
    this.#headers = written;
    const republished = headers();
    for (const name of written.keys()) republished.set(name, written.get(name));
    republished.set("Nats-Sequence", String(this.#revision));
    this.#deliver(republishSubject(this.#clusterId), data, republished);
    return JSON.stringify({ stream: streamName(this.#clusterId), seq: this.#revision });
  }

  #deliver(subject: string, data: Uint8Array | string, of?: MsgHdrs): void {
    queueMicrotask(() => {
      const wildcard = subject.replace(/[^.]*$/, "*");
      const callback = this.#callbacks.get(subject) ?? this.#callbacks.get(wildcard);
      void callback?.(null, messageOf(subject, data, of));
    });
  }
}

function connections(list: readonly object[]): string {
  return JSON.stringify({ server: { id: SERVER }, data: { server_id: SERVER, connections: list } });
}

function messageOf(subject: string, content: Uint8Array | string, of?: MsgHdrs): Msg {
  const data = typeof content === "string" ? new TextEncoder().encode(content) : content;
  const message = { subject, data, headers: of, string: () => new TextDecoder().decode(data) };
  return message as unknown as Msg;
}
