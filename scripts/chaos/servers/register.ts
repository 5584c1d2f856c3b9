/** Reads the registers when all is over, and counts what should not be there. */
import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { tokenFromNats } from "../../../src/fencing.ts";
import { FENCE, REGISTER, SHADOW, STREAM } from "../node/messages.ts";

/** A message that is stored behind a sign of a newer term. */
export interface Violation {
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
  readonly stale: readonly Violation[];
  readonly shadowStale: readonly Violation[];
}

export const EMPTY_REGISTER: RegisterContents = {
  fenced: 0,
  shadow: 0,
  takeOvers: 0,
  stale: [],
  shadowStale: [],
};

/** In the order of the stream: once the fence has moved to epoch e, all of its lanes, nothing below e may follow. */
export async function readRegister(servers: string[]): Promise<RegisterContents> {
  const nats = await connect({ servers, waitOnFirstConnect: true });
  try {
    const consumer = await jetstream(nats).consumers.get(STREAM);
    let left = (await consumer.info()).num_pending;
    const found = {
      fenced: 0,
      shadow: 0,
      takeOvers: 0,
      stale: [] as Violation[],
      shadowStale: [] as Violation[],
    };
    if (left === 0) return found;
    let newest = 0;
    const lanes = new Map<string, number>();
    for await (const message of await consumer.consume()) {
      const { subject, seq: sequence } = message;
      const epoch = tokenFromNats(message.headers) ?? 0;
      const violation = { subject, epoch, newest, sequence, atMs: Date.parse(message.timestamp) };
      if (subject === REGISTER) found.fenced += 1;
      else if (subject === SHADOW) found.shadow += 1;
      else if (subject === `${FENCE}.0`) found.takeOvers += 1;
      const isWrite = subject === REGISTER || subject === SHADOW;
      if (isWrite && epoch < newest) (subject === SHADOW ? found.shadowStale : found.stale).push(violation);
      // The shadow tells nothing about who leads: only fences and fenced writes do.
      if (subject === REGISTER) newest = Math.max(newest, epoch);
      else if (subject.startsWith(`${FENCE}.`)) {
        lanes.set(subject, epoch);
        const { lanes: all } = message.json<{ lanes: number }>();
        if (lanes.size >= all) newest = Math.max(newest, Math.min(...lanes.values()));
      }
      left -= 1;
      if (left === 0) break;
    }
    return found;
  } finally {
    await nats.close();
  }
}
