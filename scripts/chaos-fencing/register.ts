/** Reads the registers when all is over, and counts what should not be there. */
import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { tokenFromNats } from "../../src/fencing.ts";
import { FENCE, REGISTER, SHADOW, STREAM } from "./messages.ts";

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

/** In the order of the stream: once a fence of epoch e is stored, nothing below e may follow. */
export async function readRegister(url: string): Promise<RegisterContents> {
  const nats = await connect({ servers: url });
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
    for await (const message of await consumer.consume()) {
      const { subject, seq: sequence } = message;
      const epoch = tokenFromNats(message.headers) ?? 0;
      const violation = { subject, epoch, newest, sequence, atMs: Date.parse(message.timestamp) };
      if (subject === REGISTER) found.fenced += 1;
      else if (subject === SHADOW) found.shadow += 1;
      else if (subject === `${FENCE}.0`) found.takeOvers += 1;
      if (epoch < newest) (subject === SHADOW ? found.shadowStale : found.stale).push(violation);
      // The shadow tells nothing about who leads: only fences and fenced writes do.
      if (subject !== SHADOW) newest = Math.max(newest, epoch);
      left -= 1;
      if (left === 0) break;
    }
    return found;
  } finally {
    await nats.close();
  }
}
