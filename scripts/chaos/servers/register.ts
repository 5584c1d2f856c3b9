/** Creates the stream of the two registers, reads it at the end of a run, and counts stale writes. */
import { writeFileSync } from "node:fs";
import { FencedStream } from "../../../src/fencing.ts";
import { readStream, type StoredMessage, untilCreated } from "../harness/streams.ts";
import { FENCE, REGISTER, SHADOW, STREAM } from "../node/messages.ts";
import { connectPatiently } from "./connect.ts";

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
  const nats = await connectPatiently({ servers });
  try {
    const options = { stream: STREAM, subjects: ["register.>"], replicas, timeoutMs: 5000 };
    await untilCreated(async () => (await FencedStream.connect(nats, options)).close());
  } finally {
    await nats.close();
  }
}

/** Lists the messages of the stream in the file `log`, for `--keep`, and counts the stale writes. */
export async function readRegister(servers: string[], log: string): Promise<RegisterContents> {
  const nats = await connectPatiently({ servers });
  try {
    const messages = await readStream(nats, STREAM);
    writeFileSync(log, messages.map((message) => JSON.stringify(message)).join("\n"));
    return contentsOf(messages);
  } finally {
    await nats.close();
  }
}

/**
 * A term has the fence when all lanes have moved to it: no older write may follow. A lane keeps only its last message, so of the lanes
 * only the last move is known. Of earlier terms, the first fenced write shows that they had the fence.
 */
export function contentsOf(messages: readonly StoredMessage[]): RegisterContents {
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
function lastMove(messages: readonly StoredMessage[]): Pick<StoredMessage, "sequence" | "epoch"> {
  const lanes = new Map<string, StoredMessage>();
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
