/**
 * Saves a stream to a folder and restores it, through JetStream's snapshot API. Sequences, headers, times and consumers on
 * disk are kept. The folder has the format of `nats stream backup` and `nats stream restore`.
 */
import { createReadStream } from "node:fs";
import { mkdir, open, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInbox, type NatsConnection, type Subscription } from "@nats-io/transport-node";
import { poll, settleWithin } from "../../../src/testing/server/run/wait.ts";
import { DeployError } from "../errors.ts";
import { ApiRefusal, call, type Json, NoResponders, objectOf, pages } from "./api.ts";
import { isInMemory } from "./stream-info.ts";

export const INFO_FILE = "backup.json";
export const DATA_FILE = "stream.tar.s2";
/** Names of presence consumers begin with this. They are in memory. */
const PRESENCE = "presence_";
const CHUNK_BYTES = 128 * 1024;
/** Timeout for each chunk, including the first: the server reads, checks and compresses. */
const CHUNK_MS = 60_000;
/** Timeout for the propagation of a subscription between servers. */
const SUBSCRIBED_MS = 10_000;
/** Timeout after the last chunk: the server unpacks, and the cluster agrees on the stream and its consumers. */
const RESTORED_MS = 300_000;

interface Saved {
  readonly config: Json & { readonly name: string };
  readonly state: Json;
}

/**
 * Writes a snapshot of the stream to `dir`, after the server has checked every message. Resolves with its size. Rejects with the signal's
 * reason on abort.
 */
export async function saveStream(
  nats: NatsConnection,
  stream: string,
  dir: string,
  signal?: AbortSignal,
): Promise<number> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const inbox = createInbox();
  const chunks = nats.subscribe(inbox);
  const file = await open(join(dir, DATA_FILE), "w", 0o600);
  try {
    const no_consumers = !(await hasConsumersOnDisk(nats, stream));
    const request = { deliver_subject: inbox, no_consumers, jsck: true, chunk_size: CHUNK_BYTES };
    const { config, state } = await call(nats, `$JS.API.STREAM.SNAPSHOT.${stream}`, request, CHUNK_MS);
    let bytes = 0;
    for await (const chunk of chunksOf(chunks, stream)) {
      signal?.throwIfAborted();
      await file.writeFile(chunk); // at the file's position: each call appends
      bytes += chunk.length;
    }
    await file.sync();
    await writeFile(join(dir, INFO_FILE), `${JSON.stringify({ config, state }, null, 2)}\n`, { mode: 0o600 });
    return bytes;
  } catch (cause) {
    if (!(cause instanceof DeployError)) throw cause;
    throw new DeployError(`${cause.message}${await lostConsumers(nats, stream)}`, { cause });
  } finally {
    chunks.unsubscribe();
    await file.close();
  }
}

/**
 * A snapshot has no consumer in memory. It fails as a whole, however, if the state of a consumer cannot be read: such as that of
 * a presence consumer, which has one replica, on a server that was lost.
 */
async function hasConsumersOnDisk(nats: NatsConnection, stream: string): Promise<boolean> {
  const { listed, lost } = await consumersOf(nats, stream);
  return listed.some((one) => !isInMemory(one)) || lost.some((name) => !name.startsWith(PRESENCE));
}

/** The consumers, and the names of those that no server describes: that with their only replica is down. */
async function consumersOf(
  nats: NatsConnection,
  stream: string,
): Promise<{ readonly listed: readonly Json[]; readonly lost: readonly string[] }> {
  const listed = (await pages(nats, `$JS.API.CONSUMER.LIST.${stream}`, "consumers")).map(objectOf);
  const names = (await pages(nats, `$JS.API.CONSUMER.NAMES.${stream}`, "consumers")) as string[];
  const known = new Set(listed.map(({ name }) => name));
  return { listed, lost: names.filter((name) => !known.has(name)) };
}

/** The consumers of the stream that make its snapshot fail, and what to do about them; empty if there are none. */
async function lostConsumers(nats: NatsConnection, stream: string): Promise<string> {
  const { lost } = await consumersOf(nats, stream).catch(() => ({ lost: [] }));
  if (lost.length === 0) return "";
  const commands = lost.map((name) => `nats consumer rm ${stream} ${name} --force`).join("; ");
  return `. The server with the only replica of ${lost.join(", ")} does not answer: start it, or delete what can be created again (the request times out, and is carried out): ${commands}`;
}

/** What the snapshot in `dir` contains. */
export async function readSavedState(
  dir: string,
): Promise<{ readonly messages: number; readonly firstSequence: number; readonly lastSequence: number }> {
  const { state } = JSON.parse(await readFile(join(dir, INFO_FILE), "utf8")) as Saved;
  const [messages, lastSequence] = [Number(state["messages"]), Number(state["last_seq"])];
  const firstSequence = messages === 0 ? lastSequence + 1 : Number(state["first_seq"]);
  return { messages, firstSequence, lastSequence };
}

/** The server sends the next chunks as earlier ones are acknowledged; an empty message ends the snapshot. */
async function* chunksOf(chunks: Subscription, stream: string): AsyncGenerator<Uint8Array> {
  const iterator = chunks[Symbol.asyncIterator]();
  for (;;) {
    const next = await settleWithin(iterator.next(), CHUNK_MS);
    if (next === undefined || next.done === true)
      throw new DeployError(`the snapshot of ${stream} is incomplete: no data for ${CHUNK_MS / 1000} s`);
    const message = next.value;
    const code = message.headers?.code ?? 0;
    if (code >= 400)
      throw new DeployError(`the snapshot of ${stream} failed: ${code} ${message.headers?.description}`);
    if (message.data.length === 0) return;
    yield message.data;
    message.respond();
  }
}

/**
 * Creates the stream from the snapshot in `dir`. Awaits `begun` before the request to the server, and `refused` if the server
 * refuses it, in which case nothing of the stream exists. Rejects with the signal's reason on abort, before the stream is complete.
 */
export async function restoreStream(
  nats: NatsConnection,
  { dir, config, signal }: { readonly dir: string; readonly config: Json; readonly signal?: AbortSignal },
  journal: { readonly begun: () => Promise<void>; readonly refused: () => Promise<void> },
): Promise<void> {
  const saved = JSON.parse(await readFile(join(dir, INFO_FILE), "utf8")) as Saved;
  const { name } = saved.config;
  const request = { config, state: saved.state };
  await journal.begun();
  const { deliver_subject: subject } = await call(nats, `$JS.API.STREAM.RESTORE.${name}`, request).catch(
    async (error: unknown) => {
      if (error instanceof ApiRefusal) await journal.refused();
      throw error;
    },
  );
  if (typeof subject !== "string") throw new DeployError(`the server did not start the restore of ${name}`);
  const chunks = createReadStream(join(dir, DATA_FILE), { highWaterMark: CHUNK_BYTES });
  let first = true;
  for await (const chunk of chunks) {
    signal?.throwIfAborted();
    const send = (): Promise<unknown> => call(nats, subject, chunk as Uint8Array, CHUNK_MS);
    await (first ? whenSubscribed(send) : send());
    first = false;
  }
  await call(nats, subject, new Uint8Array(), RESTORED_MS);
}

/** Retries while no server subscribes: the answer with the subject may arrive before its subscription has propagated. */
async function whenSubscribed(send: () => Promise<unknown>): Promise<void> {
  const sent = await poll(
    () =>
      send().then(
        () => true,
        (error: unknown) => {
          if (!(error instanceof NoResponders)) throw error;
          return undefined;
        },
      ),
    { timeoutMs: SUBSCRIBED_MS },
  );
  if (!sent) await send();
}
