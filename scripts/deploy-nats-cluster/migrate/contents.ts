/** The contents of a stream, in a form that can be compared between two servers. */
import { createHash } from "node:crypto";
import type { NatsConnection } from "@nats-io/transport-node";
import { ApiRefusal, call, type Json, objectOf } from "./api.ts";
import { maxAgeOf, progressOf, type StreamInfo } from "./stream-info.ts";

const NO_MESSAGE = 10037;
/** Concurrent requests. */
const LANES = 64;
/** The lanes share a connection: one answer may wait for 63 large ones. */
const MESSAGE_MS = 60_000;

export interface Contents {
  readonly messages: number;
  readonly firstSequence: number;
  readonly lastSequence: number;
  /** Digest of sequence, subject, time, headers and data of every message. */
  readonly digest: string;
  /** Digest of each message by sequence, if messages expire: some may have expired before the comparison. */
  readonly aging: ReadonlyMap<number, AgingMessage> | null;
  readonly consumers: Readonly<Record<string, string>>;
}

interface AgingMessage {
  readonly digest: string;
  /** Unix time in milliseconds. */
  readonly goesAtMs: number;
}

/** Rejects with the signal's reason on abort. */
export async function readContents(
  nats: NatsConnection,
  info: StreamInfo,
  signal?: AbortSignal,
): Promise<Contents> {
  const { name, firstSequence, lastSequence } = info;
  const maxAgeMs = maxAgeOf(info);
  const aging = maxAgeMs === null ? null : new Map<number, AgingMessage>();
  // Lanes have equal width, so that they are the same for both servers. Single reads work for every kind of stream and
  // leave nothing behind; a work queue would refuse a consumer.
  const width = Math.max(1, Math.ceil((lastSequence - firstSequence + 1) / LANES));
  const lanes = await Promise.all(
    Array.from({ length: LANES }, async (_, index) => {
      const from = firstSequence + index * width;
      const hash = createHash("sha256");
      let messages = 0;
      for await (const message of messagesIn(nats, name, from, Math.min(lastSequence, from + width - 1))) {
        signal?.throwIfAborted();
        const digest = digestOf(message);
        hash.update(digest);
        messages++;
        aging?.set(Number(message["seq"]), { digest, goesAtMs: goesAt(message, maxAgeMs ?? 0) });
      }
      return { messages, digest: hash.digest("hex") };
    }),
  );
  return {
    messages: lanes.reduce((sum, lane) => sum + lane.messages, 0),
    firstSequence,
    lastSequence,
    digest: createHash("sha256")
      .update(lanes.map(({ digest }) => digest).join())
      .digest("hex"),
    aging,
    consumers: progressOf(info),
  };
}

async function* messagesIn(
  nats: NatsConnection,
  stream: string,
  from: number,
  to: number,
): AsyncGenerator<Json> {
  for (let next = from; next <= to; ) {
    const message = await messageFrom(nats, stream, next);
    const sequence = Number(message?.["seq"]);
    if (message === undefined || sequence > to) return; // the remaining messages were deleted
    yield message;
    next = sequence + 1;
  }
}

/** The first message at or after `sequence`. */
async function messageFrom(
  nats: NatsConnection,
  stream: string,
  sequence: number,
): Promise<Json | undefined> {
  const request = { seq: sequence, next_by_subj: ">" };
  try {
    const subject = `$JS.API.STREAM.MSG.GET.${stream}`;
    return objectOf((await call(nats, subject, request, MESSAGE_MS))["message"]);
  } catch (error) {
    if (error instanceof ApiRefusal && error.code === NO_MESSAGE) return undefined;
    throw error;
  }
}

function digestOf({ subject, seq, time, hdrs, data }: Json): string {
  const fields = JSON.stringify([subject, seq, time, hdrs ?? "", data ?? ""]);
  return createHash("sha256").update(fields).digest("base64");
}

function goesAt({ time, hdrs }: Json, maxAgeMs: number): number {
  const headers = Buffer.from(String(hdrs ?? ""), "base64").toString();
  // A message with its own TTL may expire earlier; 0 means that it may already be gone.
  return /^Nats-TTL:/m.test(headers) ? 0 : Date.parse(String(time)) + maxAgeMs;
}

/** The first difference, as text; undefined if there is none. */
export function differenceOf(was: Contents, is: Contents): string | undefined {
  if (was.lastSequence !== is.lastSequence)
    return `last sequence ${was.lastSequence}, now ${is.lastSequence}`;
  const messages = was.aging === null ? messagesDiffer(was, is) : agingDiffer(was.aging, is.aging);
  if (messages !== undefined) return messages;
  const names = [...new Set([...Object.keys(was.consumers), ...Object.keys(is.consumers)])];
  const name = names.find((one) => was.consumers[one] !== is.consumers[one]);
  if (name === undefined) return undefined;
  return `consumer ${name}: ${was.consumers[name] ?? "missing"}; now ${is.consumers[name] ?? "missing"}`;
}

function messagesDiffer(was: Contents, is: Contents): string | undefined {
  if (was.messages !== is.messages) return `${was.messages} messages, now ${is.messages}`;
  if (was.firstSequence !== is.firstSequence)
    return `first sequence ${was.firstSequence}, now ${is.firstSequence}`;
  return was.digest === is.digest ? undefined : "the same number of messages, with different contents";
}

function agingDiffer(was: ReadonlyMap<number, AgingMessage>, is: Contents["aging"]): string | undefined {
  for (const [sequence, { digest, goesAtMs }] of was) {
    const found = is?.get(sequence);
    if (found === undefined && goesAtMs > Date.now()) return `message ${sequence} is missing`;
    if (found !== undefined && found.digest !== digest) return `message ${sequence} is different`;
  }
  const more = [...(is?.keys() ?? [])].find((sequence) => !was.has(sequence));
  return more === undefined ? undefined : `message ${more} is new`;
}
