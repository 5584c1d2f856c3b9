/**
 * A stream into a folder and back, by JetStream's snapshot API: sequences, headers, times and consumers on disk stay.
 * The folder has the form of the nats command's backups (`nats stream backup`, `nats stream restore`).
 */
import { createReadStream } from "node:fs";
import { mkdir, open, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInbox, type NatsConnection, type Subscription } from "@nats-io/transport-node";
import { poll, settleWithin } from "../../../src/testing/server/run/wait.ts";
import { DeployError } from "../errors.ts";
import { ApiRefusal, call, type Json, Unheard } from "./api.ts";

const INFO_FILE = "backup.json";
const DATA_FILE = "stream.tar.s2";
const CHUNK_BYTES = 128 * 1024;
/** Between two chunks, and until the first: the server reads, checks and compresses meanwhile. */
const CHUNK_MS = 60_000;
/** Until servers know of each other's subscriptions. */
const HEARD_MS = 10_000;
/** After the last chunk: the server unpacks, and a cluster agrees on the stream and its consumers. */
const RESTORED_MS = 300_000;

interface Saved {
  readonly config: Json & { readonly name: string };
  readonly state: Json;
}

/** Writes a snapshot of the stream into `dir`. The server checks every message of it first. Resolves to its size. */
export async function saveStream(nats: NatsConnection, stream: string, dir: string): Promise<number> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const inbox = createInbox();
  const chunks = nats.subscribe(inbox);
  const file = await open(join(dir, DATA_FILE), "w", 0o600);
  try {
    const request = { deliver_subject: inbox, no_consumers: false, jsck: true, chunk_size: CHUNK_BYTES };
    const { config, state } = await call(nats, `$JS.API.STREAM.SNAPSHOT.${stream}`, request, CHUNK_MS);
    let bytes = 0;
    for await (const chunk of chunksOf(chunks, stream)) {
      await file.writeFile(chunk); // at the file's position: each call appends
      bytes += chunk.length;
    }
    await file.sync();
    await writeFile(join(dir, INFO_FILE), `${JSON.stringify({ config, state }, null, 2)}\n`, { mode: 0o600 });
    return bytes;
  } finally {
    chunks.unsubscribe();
    await file.close();
  }
}

/** The server sends on as chunks are acknowledged; an empty message is the end. */
async function* chunksOf(chunks: Subscription, stream: string): AsyncGenerator<Uint8Array> {
  const iterator = chunks[Symbol.asyncIterator]();
  for (;;) {
    const next = await settleWithin(iterator.next(), CHUNK_MS);
    if (next === undefined || next.done === true)
      throw new DeployError(`the snapshot of ${stream} stopped short: nothing for ${CHUNK_MS / 1000} s`);
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
 * Makes the stream from the snapshot in `dir`. `begun` is called, and awaited, before the server is asked; `refused` when the
 * server would not begin, so that nothing of the stream is there.
 */
export async function restoreStream(
  nats: NatsConnection,
  { dir, config }: { readonly dir: string; readonly config: Json },
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
  if (typeof subject !== "string") throw new DeployError(`the restore of ${name} was not begun`);
  const chunks = createReadStream(join(dir, DATA_FILE), { highWaterMark: CHUNK_BYTES });
  let first = true;
  for await (const chunk of chunks) {
    const send = (): Promise<unknown> => call(nats, subject, chunk as Uint8Array, CHUNK_MS);
    await (first ? whenHeard(send) : send());
    first = false;
  }
  await call(nats, subject, new Uint8Array(), RESTORED_MS);
}

/** Between servers an answer may overtake the news that somebody listens where it says. What nobody heard may be said again. */
async function whenHeard(send: () => Promise<unknown>): Promise<void> {
  const sent = await poll(
    () =>
      send().then(
        () => true,
        (error: unknown) => {
          if (!(error instanceof Unheard)) throw error;
          return undefined;
        },
      ),
    { timeoutMs: HEARD_MS },
  );
  if (!sent) await send();
}
