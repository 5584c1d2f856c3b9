/** Creates the stream of the two registers, reads it at the end of a run, and counts stale writes. */
import { writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { FencedStream, tokenFromNats } from "../../../src/fencing.ts";
import { FENCE, REGISTER, SHADOW, STREAM } from "../node/messages.ts";

const CREATE_TRIES = 120;
const RETRY_MS = 250;

/** A message of an older term, stored after a message of a newer one. */
export interface StaleWrite {
  readonly subject: string;
  readonly epoch: number;
  readonly newest: number;
  readonly sequence: number;
  readonly atMs: number;
}

export interface RegisterContents {
  readonly fenced: number;
  readonly shadow: number;
  readonly takeOvers: number;
  readonly stale: readonly StaleWrite[];
  readonly shadowStale: readonly StaleWrite[];
}

export const EMPTY_REGISTER: RegisterContents = {
  fenced: 0,
  shadow: 0,
  takeOvers: 0,
  stale: [],
  shadowStale: [],
};

export async function createRegister(servers: string[], replicas: number): Promise<void> {
  const nats = await connect({ servers, waitOnFirstConnect: true });
  for (let tries = 0; ; tries++) {
    try {
      const options = { stream: STREAM, subjects: ["register.>"], replicas, timeoutMs: 5000 };
      (await FencedStream.connect(nats, options)).close();
      break;
    } catch (error) {
      if (tries === CREATE_TRIES) throw error;
      await pause(RETRY_MS); // a cluster that has just started
    }
  }
  await nats.close();
}

/** Lists the messages of the stream in the file `log`, for `--keep`, and counts the stale writes. */
export async function readRegister(servers: string[], log: string): Promise<RegisterContents> {
  const messages = await readStream(servers);
  const contents = contentsOf(messages);
  writeFileSync(log, messages.map((message) => JSON.stringify(message)).join("\n"));
  return contents;
}

/** A message of the stream. */
export interface RegisterMessage {
  readonly subject: string;
  readonly sequence: number;
  readonly epoch: number;
  readonly atMs: number;
  readonly data: string;
}

async function readStream(servers: string[]): Promise<RegisterMessage[]> {
  const nats = await connect({ servers, waitOnFirstConnect: true });
  try {
    const consumer = await jetstream(nats).consumers.get(STREAM);
    let left = (await consumer.info()).num_pending;
    const messages: RegisterMessage[] = [];
    if (left === 0) return messages;
    for await (const message of await consumer.consume()) {
      const { subject, seq: sequence, headers, timestamp } = message;
      // The consumer may begin again while it is read. The order of the stream is that of its sequences.
      if (sequence <= (messages.at(-1)?.sequence ?? 0)) continue;
      const epoch = tokenFromNats(headers) ?? 0;
      messages.push({ subject, sequence, epoch, atMs: Date.parse(timestamp), data: message.string() });
      left -= 1;
      if (left === 0) break;
    }
    return messages;
  } finally {
    await nats.close();
  }
}

/**
 * A term has the fence when all lanes have moved to it: no older write may follow. A lane keeps only its last message, so of the lanes
 * only the last move is known. Of earlier terms, the first fenced write shows that they had the fence.
 */
export function contentsOf(messages: readonly RegisterMessage[]): RegisterContents {
  const contents = { ...EMPTY_REGISTER, stale: [] as StaleWrite[], shadowStale: [] as StaleWrite[] };
  const fence = lastMove(messages);
  let newest = 0;
  for (const { subject, sequence, epoch, atMs } of messages) {
    if (sequence > fence.sequence) newest = Math.max(newest, fence.epoch);
    if (subject === `${FENCE}.0`) contents.takeOvers += 1;
    const isFenced = subject === REGISTER;
    if (isFenced) contents.fenced += 1;
    else if (subject === SHADOW) contents.shadow += 1;
    else continue;
    if (epoch < newest)
      (isFenced ? contents.stale : contents.shadowStale).push({ subject, epoch, newest, sequence, atMs });
    if (isFenced) newest = Math.max(newest, epoch);
  }
  return contents;
}

/**
 * All lanes, also those that an interrupted takeover has left behind: these move first, and a write of the term before is still accepted
 * on the others.
 */
function lastMove(messages: readonly RegisterMessage[]): Pick<RegisterMessage, "sequence" | "epoch"> {
  const lanes = new Map<string, RegisterMessage>();
  for (const message of messages) if (isLane(message.subject)) lanes.set(message.subject, message);
  const all = [...lanes.values()];
  if (all.length === 0) return { sequence: Number.POSITIVE_INFINITY, epoch: 0 };
  return {
    sequence: Math.max(...all.map(({ sequence }) => sequence)),
    epoch: Math.min(...all.map(({ epoch }) => epoch)),
  };
}

/** `FENCE.ID.INDEX`; the root and the guard have one token after the fence. */
function isLane(subject: string): boolean {
  return subject.startsWith(`${FENCE}.`) && subject.slice(FENCE.length + 1).includes(".");
}
