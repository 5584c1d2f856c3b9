/** Acts on the bucket as an operator, a Go node or an attacker: with plain NATS, outside of this library's rules. */
import { connect, headers, type NatsConnection } from "@nats-io/transport-node";
import { bucketName, leaseSubject, republishSubject, streamName } from "../../../src/nats/names.ts";
import { atEnd } from "../at-end.ts";
import { Recorder } from "../recorder.ts";

/** The key's last message. */
export interface Stored {
  readonly seq: number;
  readonly value: string;
  readonly headers: string;
}

/** A committed write of the lease, as the republish reported it. */
export interface HeardWrite {
  readonly atMs: number;
  readonly revision: number;
  /** `null`: a delete marker, or not JSON. */
  readonly record: Readonly<Record<string, unknown>> | null;
}

type Json = Record<string, unknown>;

export class Operator {
  readonly connection: NatsConnection;
  readonly clusterId: string;

  constructor(connection: NatsConnection, clusterId: string) {
    this.connection = connection;
    this.clusterId = clusterId;
  }

  /** A call of the JetStream API. Rejects when the answer is an error. */
  async api(name: string, body: unknown = {}): Promise<Json> {
    const answer = await this.connection.request(`$JS.API.${name}`, JSON.stringify(body), { timeout: 5000 });
    const json = answer.json<Json>();
    if (json["error"] !== undefined) throw new Error(`${name}: ${JSON.stringify(json["error"])}`);
    return json;
  }

  /** Overwrites the key without a condition. Returns the revision. */
  async put(value: string | object): Promise<number> {
    const data = typeof value === "string" ? value : JSON.stringify(value);
    return this.#publish(data);
  }

  /** Writes a delete marker without headers of this library, as go-cluster's step-down and `nats kv del` do. */
  async del(operation: "DEL" | "PURGE" = "DEL"): Promise<number> {
    const extra: [string, string][] = [["KV-Operation", operation]];
    if (operation === "PURGE") extra.push(["Nats-Rollup", "sub"]);
    return this.#publish("", extra);
  }

  async #publish(data: string, extra: readonly [string, string][] = []): Promise<number> {
    const hdrs = headers();
    for (const [name, value] of extra) hdrs.set(name, value);
    const options = { timeout: 5000, ...(extra.length === 0 ? {} : { headers: hdrs }) };
    const answer = (await this.connection.request(leaseSubject(this.clusterId), data, options)).json<Json>();
    if (typeof answer["seq"] !== "number") throw new Error(`put: ${JSON.stringify(answer)}`);
    return answer["seq"];
  }

  /** `null`: no message on the key. */
  async stored(): Promise<Stored | null> {
    const subject = leaseSubject(this.clusterId);
    try {
      const answer = await this.api(`STREAM.MSG.GET.${streamName(this.clusterId)}`, {
        last_by_subj: subject,
      });
      const message = answer["message"] as { seq: number; data?: string; hdrs?: string };
      const text = (base64 = ""): string => Buffer.from(base64, "base64").toString();
      return { seq: message.seq, value: text(message.data), headers: text(message.hdrs) };
    } catch (error) {
      if (String(error).includes("10037")) return null;
      throw error;
    }
  }

  /** The record under the key. */
  async record(): Promise<Json> {
    const stored = await this.stored();
    if (stored === null || stored.value === "") throw new Error("there is no record");
    return JSON.parse(stored.value) as Json;
  }

  async lastSequence(): Promise<number> {
    const info = await this.api(`STREAM.INFO.${streamName(this.clusterId)}`);
    return (info["state"] as { last_seq: number }).last_seq;
  }

  async config(): Promise<Json> {
    return (await this.api(`STREAM.INFO.${streamName(this.clusterId)}`))["config"] as Json;
  }

  /** Creates the bucket as go-cluster's `CreateKeyValue(KeyValueConfig{Bucket, TTL, History: 1})` does. */
  async createBucket(maxAgeMs: number, over: object = {}): Promise<void> {
    const nanos = 1_000_000;
    const windowMs = maxAgeMs > 0 ? Math.min(maxAgeMs, 120_000) : 120_000;
    await this.api(`STREAM.CREATE.${streamName(this.clusterId)}`, {
      name: streamName(this.clusterId),
      description: "",
      subjects: [`$KV.${bucketName(this.clusterId)}.>`],
      retention: "limits",
      storage: "file",
      discard: "new",
      num_replicas: 1,
      max_msgs_per_subject: 1,
      max_msgs: -1,
      max_bytes: -1,
      max_msg_size: -1,
      max_consumers: -1,
      max_age: maxAgeMs * nanos,
      duplicate_window: windowMs * nanos,
      allow_rollup_hdrs: true,
      allow_direct: true,
      deny_delete: true,
      ...over,
    });
  }

  async deleteBucket(): Promise<void> {
    await this.api(`STREAM.DELETE.${streamName(this.clusterId)}`);
  }

  async purgeBucket(): Promise<void> {
    await this.api(`STREAM.PURGE.${streamName(this.clusterId)}`);
  }

  async consumers(): Promise<string[]> {
    const answer = await this.api(`CONSUMER.NAMES.${streamName(this.clusterId)}`);
    return (answer["consumers"] ?? []) as string[];
  }

  /** Records every committed write from now on. Needs a bucket with republish, which nodes of this library create. */
  async hear(): Promise<Recorder<HeardWrite>> {
    const heard = new Recorder<HeardWrite>();
    this.connection.subscribe(republishSubject(this.clusterId), {
      callback: (error, message) => {
        if (error !== null) throw error;
        let record: HeardWrite["record"] = null;
        try {
          record = message.json<Json>();
        } catch {
          // a marker
        }
        const revision = Number(message.headers?.get("Nats-Sequence"));
        heard.push({ atMs: performance.now(), revision, record });
      },
    });
    await this.connection.flush();
    return heard;
  }
}

/** An operator of this cluster. Its connection is closed when the test ends. */
export async function operatorOf(
  server: { readonly url: string | string[] },
  clusterId: string,
  options: object = {},
): Promise<Operator> {
  const connection = await connect({ servers: server.url, ...options });
  atEnd(() => connection.close());
  return new Operator(connection, clusterId);
}

/** A record as go-cluster writes it. */
export function goRecord(nodeId: string, epoch: number): object {
  return { node_id: nodeId, epoch, acquired_at: Date.now() };
}
