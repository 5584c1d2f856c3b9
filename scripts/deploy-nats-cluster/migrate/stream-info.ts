/** Reads the description of a stream and its consumers. */
import { createHash } from "node:crypto";
import type { NatsConnection } from "@nats-io/transport-node";
import { call, type Json, objectOf, pages, streamNames } from "./api.ts";

export interface StreamInfo {
  readonly name: string;
  readonly created: string;
  readonly config: Json;
  readonly messages: number;
  /** Of an empty stream: the sequence of its next message. */
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly consumers: readonly Json[];
  /** Progress in the streams that it collects from. */
  readonly sources: readonly Json[];
}

export async function readInfo(nats: NatsConnection, stream: string): Promise<StreamInfo> {
  const info = await call(nats, `$JS.API.STREAM.INFO.${stream}`);
  const state = objectOf(info["state"]);
  const [messages, lastSequence] = [Number(state["messages"]), Number(state["last_seq"])];
  return {
    name: stream,
    created: String(info["created"]),
    config: objectOf(info["config"]),
    messages,
    // A stream that never had a message reports 0, and 1 after its restore.
    firstSequence: messages === 0 ? lastSequence + 1 : Number(state["first_seq"]),
    lastSequence,
    consumers: (await pages(nats, `$JS.API.CONSUMER.LIST.${stream}`, "consumers")) as Json[],
    sources: (info["sources"] as Json[] | undefined) ?? [],
  };
}

export async function readInfos(nats: NatsConnection): Promise<StreamInfo[]> {
  const infos: StreamInfo[] = [];
  for (const name of await streamNames(nats)) infos.push(await readInfo(nats, name));
  return infos;
}

/** Maximum age of messages in milliseconds; Infinity if messages may have their own TTL; null if messages never expire. */
export function maxAgeOf({ config }: Pick<StreamInfo, "config">): number | null {
  const ms = Number(config["max_age"] ?? 0) / 1e6;
  if (ms > 0) return ms;
  return config["allow_msg_ttl"] === true ? Number.POSITIVE_INFINITY : null;
}

/** Durable consumers with state on disk, without those that servers create for streams that follow this one. */
export function durablesOf({ consumers }: StreamInfo): readonly Json[] {
  const own = consumers.filter(({ config }) => objectOf(config)["sourcing"] !== true);
  return own.filter((one) => isDurable(one) && !isInMemory(one));
}

export function isDurable({ config }: Json): boolean {
  return typeof objectOf(config)["durable_name"] === "string";
}

export function isInMemory({ config }: Json): boolean {
  return objectOf(config)["mem_storage"] === true;
}

/** Progress of the durable consumers, by name. */
export function progressOf(info: StreamInfo): Readonly<Record<string, string>> {
  const lines = durablesOf(info).map((one): [string, string] => {
    const { num_replicas: _, metadata: __, ...config } = objectOf(one["config"]);
    const at = ["delivered", "ack_floor"].map((name) => {
      const { consumer_seq, stream_seq } = objectOf(one[name]);
      return `${name} ${consumer_seq}/${stream_seq}`;
    });
    const waiting = `${one["num_ack_pending"]} unacknowledged`;
    return [String(one["name"]), [...at, waiting, `configuration ${sha256(config).slice(0, 8)}`].join(", ")];
  });
  return Object.fromEntries(lines);
}

/** Changes with every write, acknowledgement and configuration change, but not when messages expire. */
export function fingerprintOf(info: StreamInfo): string {
  const { name, created, config, lastSequence, messages, firstSequence } = info;
  const range = maxAgeOf(info) === null ? [messages, firstSequence] : [];
  return sha256([name, created, config, lastSequence, range, progressOf(info)]);
}

/** A digest that does not depend on the order of fields. */
export function sha256(value: unknown): string {
  const text = JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
  return createHash("sha256").update(text).digest("hex");
}
