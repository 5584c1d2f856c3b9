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

/**
 * Reads the stream in order and lists its messages in the file `log`, for `--keep`. Once all lanes of the fence have moved to epoch e, no write below e may follow.
 */
export async function readRegister(servers: string[], log: string): Promise<RegisterContents> {
  const nats = await connect({ servers, waitOnFirstConnect: true });
  try {
    const consumer = await jetstream(nats).consumers.get(STREAM);
    let left = (await consumer.info()).num_pending;
    const found = {
      fenced: 0,
      shadow: 0,
      takeOvers: 0,
      stale: [] as StaleWrite[],
      shadowStale: [] as StaleWrite[],
    };
    if (left === 0) return found;
    const lines: string[] = [];
    let lastSequence = 0;
    let newest = 0;
    let laneCount = Number.POSITIVE_INFINITY;
    const lanes = new Map<string, number>();
    for await (const message of await consumer.consume()) {
      const { subject, seq: sequence } = message;
      // The consumer may begin again while it is read. The order of the stream is that of its sequences.
      if (sequence <= lastSequence) continue;
      lastSequence = sequence;
      const epoch = tokenFromNats(message.headers) ?? 0;
      const write = { subject, epoch, newest, sequence, atMs: Date.parse(message.timestamp) };
      const sent = Object.fromEntries(
        [...(message.headers ?? [])].map(([name, values]) => [name, values[0]]),
      );
      lines.push(JSON.stringify({ ...write, headers: sent, data: message.string() }));
      if (subject === REGISTER) found.fenced += 1;
      else if (subject === SHADOW) found.shadow += 1;
      else if (subject === `${FENCE}.0`) {
        found.takeOvers += 1;
        laneCount = message.json<{ lane_count: number }>().lane_count;
      }
      const isWrite = subject === REGISTER || subject === SHADOW;
      if (isWrite && epoch < newest) (subject === SHADOW ? found.shadowStale : found.stale).push(write);
      // Only fences and fenced writes show which term is the newest; the shadow accepts any write.
      if (subject === REGISTER) newest = Math.max(newest, epoch);
      else if (subject.startsWith(`${FENCE}.`) && subject !== `${FENCE}.0`) {
        lanes.set(subject, epoch);
        if (lanes.size >= laneCount) newest = Math.max(newest, Math.min(...lanes.values()));
      }
      left -= 1;
      if (left === 0) break;
    }
    writeFileSync(log, lines.join("\n"));
    return found;
  } finally {
    await nats.close();
  }
}
