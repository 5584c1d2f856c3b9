/** Streams of all kinds for a migration, and their content, read in another way than the script does. */
import { createHash, randomBytes } from "node:crypto";
import { AckPolicy, jetstream, jetstreamManager, RetentionPolicy, StorageType } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { connect, headers, type NatsConnection } from "@nats-io/transport-node";
import { waitFor } from "../../../scripts/shared/wait.ts";
import { atEnd } from "../at-end.ts";

const CHUNK_BYTES = 128 * 1024;

export interface Kept {
  readonly first: number;
  readonly last: number;
  /** Sequence, subject, time, header and digest of each message. */
  readonly messages: readonly string[];
}

/** Creates one stream of every kind with file storage; the largest has this many chunks of 128 KiB. Resolves with their names. */
export async function fillStreams(nats: NatsConnection, chunks: number): Promise<string[]> {
  const [js, jsm] = [jetstream(nats), await jetstreamManager(nats)];
  await jsm.streams.add({ name: "ORDERS", subjects: ["orders.>"] });
  for (let order = 1; order <= 60; order++) {
    const extra = headers();
    extra.set("Order", `${order}`);
    await js.publish(`orders.${order % 7}`, `order ${order}`, { headers: extra });
  }
  for (const gone of [1, 2, 3, 20, 21, 40, 60]) await jsm.streams.deleteMessage("ORDERS", gone);
  await jsm.consumers.add("ORDERS", {
    durable_name: "billing",
    ack_policy: AckPolicy.Explicit,
    ack_wait: 3600e9,
  });
  // Takes 10 messages and acknowledges every second one.
  const billing = await js.consumers.get("ORDERS", "billing");
  let taken = 0;
  for await (const message of await billing.fetch({ max_messages: 10, expires: 5000 }))
    if (taken++ % 2 === 0) await message.ackAck();

  await jsm.streams.add({ name: "JOBS", subjects: ["jobs"], retention: RetentionPolicy.Workqueue });
  await jsm.consumers.add("JOBS", {
    durable_name: "worker",
    ack_policy: AckPolicy.Explicit,
    ack_wait: 3600e9,
    num_replicas: 1,
  });
  for (let job = 1; job <= 8; job++) await js.publish("jobs", `job ${job}`);
  const worker = await js.consumers.get("JOBS", "worker");
  for await (const message of await worker.fetch({ max_messages: 3, expires: 5000 })) await message.ackAck();

  await jsm.streams.add({ name: "MIRROR", mirror: { name: "ORDERS" } });
  await jsm.streams.add({ name: "ALL", sources: [{ name: "ORDERS" }] });
  // The server fills these streams by itself; they must be complete before they are compared.
  for (const copy of ["MIRROR", "ALL"]) {
    await waitFor(async () => (await jsm.streams.info(copy)).state.messages === 53, {
      message: `${copy} full`,
    });
  }
  await jsm.streams.add({ name: "RECENT", subjects: ["recent"], max_age: 3600e9 });
  await js.publish("recent", "news");
  const settings = await new Kvm(nats).create("settings", { history: 5 });
  for (let write = 0; write < 20; write++) await settings.put(`key${write % 4}`, `value ${write}`);
  await settings.delete("key1");
  await putObject(nats, chunks);
  return ["ALL", "JOBS", "KV_settings", "MIRROR", "OBJ_files", "ORDERS", "RECENT"];
}

/** An object as the nats command writes it: chunks, then a description that replaces the previous one. */
async function putObject(nats: NatsConnection, chunks: number): Promise<void> {
  const [js, jsm] = [jetstream(nats), await jetstreamManager(nats)];
  await jsm.streams.add({
    name: "OBJ_files",
    subjects: ["$O.files.C.>", "$O.files.M.>"],
    allow_rollup_hdrs: true,
  });
  const rollup = headers();
  rollup.set("Nats-Rollup", "sub");
  const digest = createHash("sha256");
  for (let chunk = 0; chunk < chunks; chunk++) {
    const data = randomBytes(CHUNK_BYTES); // cannot be compressed
    digest.update(data);
    await js.publish("$O.files.C.backup", data);
  }
  const info = { name: "backup.tar", bucket: "files", nuid: "backup", size: chunks * CHUNK_BYTES, chunks };
  const description = JSON.stringify({ ...info, digest: `SHA-256=${digest.digest("base64url")}` });
  await js.publish("$O.files.M.YmFja3VwLnRhcg==", description, { headers: rollup });
}

export async function addMemoryStream(nats: NatsConnection): Promise<void> {
  const jsm = await jetstreamManager(nats);
  await jsm.streams.add({ name: "CACHE", subjects: ["cache"], storage: StorageType.Memory });
  await jetstream(nats).publish("cache", "1");
}

/** Everything in the stream, by a temporary consumer; a work queue by single reads. */
export async function readStream(nats: NatsConnection, name: string): Promise<Kept> {
  const jsm = await jetstreamManager(nats);
  const { state, config } = await jsm.streams.info(name);
  const messages: string[] = [];
  if (config.retention === RetentionPolicy.Workqueue) {
    for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
      const message = await jsm.streams.getMessage(name, { seq });
      if (message !== null)
        messages.push(`${seq} ${message.subject} ${message.time.toISOString()} ${message.string()}`);
    }
  } else if (state.messages > 0) {
    const consumer = await jetstream(nats).consumers.get(name);
    for await (const message of await consumer.consume()) {
      const { seq, subject, time, data, info } = message;
      const digest = createHash("sha256").update(data).digest("hex");
      messages.push(
        `${seq} ${subject} ${time.toISOString()} ${message.headers?.get("Order") ?? ""} ${digest}`,
      );
      if (info.pending === 0) break;
    }
  }
  return { first: state.first_seq, last: state.last_seq, messages };
}

/** Closed at the end of the test. */
export async function connectTo(servers: string | string[]): Promise<NatsConnection> {
  const connection = await connect({ servers });
  atEnd(() => connection.close());
  return connection;
}

export async function readAll(nats: NatsConnection, names: readonly string[]): Promise<Record<string, Kept>> {
  const kept: Record<string, Kept> = {};
  for (const name of names) kept[name] = await readStream(nats, name);
  return kept;
}
