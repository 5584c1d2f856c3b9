/** Encodes messages as an atomic batch, of which one carries the fence's condition, and sends it. */
import { randomBytes } from "node:crypto";
import { headers, type MsgHdrs, type NatsConnection } from "@nats-io/transport-node";
import { ClusterError, messageOf } from "../../errors.ts";
import { type FenceTerm, natsHeaders } from "../token.ts";
import type { AckOptions } from "./ack-mux.ts";
import type { GuardedStream } from "./guarded-stream.ts";
import type { Lane } from "./lanes.ts";
import type { FencedMessage } from "./message.ts";
import { EXPECTED_ON_SUBJECT } from "./take-fence.ts";
import { ownHeaders } from "./write-headers.ts";

/** Most messages in a batch: the server's default limit. */
export const BATCH_LIMIT = 1000;

export interface Part {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly headers: MsgHdrs;
}

/**
 * The server checks the conditions of all parts when the last one arrives, so one part with the fence's condition guards the
 * batch. A message can carry one condition on a subject only. If every message has its own, an empty guard message carries the
 * fence's. It goes first, because the answer contains the sequence of the last part.
 */
export function encodeBatch(
  messages: readonly FencedMessage[],
  lane: Lane,
  guard: string,
  rollup: boolean,
): readonly Part[] {
  const carrier = messages.findIndex((message) => message.options?.expectLast === undefined);
  const parts = messages.map((message, i) => part(message, i === carrier ? lane : null));
  return carrier >= 0 ? parts : [guardPart(guard, lane, rollup), ...parts];
}

function part(message: FencedMessage, lane: Lane | null): Part {
  const { subject, data = "", options = {} } = message;
  const hdrs = ownHeaders(options.headers, lane);
  if (options.expectLast !== undefined) hdrs.set(EXPECTED_ON_SUBJECT, String(options.expectLast));
  return { subject, data: typeof data === "string" ? new TextEncoder().encode(data) : data, headers: hdrs };
}

function guardPart(subject: string, lane: Lane, rollup: boolean): Part {
  const hdrs = ownHeaders(headers(), lane);
  if (rollup) hdrs.set("Nats-Rollup", "sub");
  return { subject, data: new Uint8Array(0), headers: hdrs };
}

/**
 * Publishes all parts synchronously, so that no other message of this connection comes between them. Resolves with the answer to
 * the last one.
 */
export function sendBatch(
  on: Pick<GuardedStream, "monitor" | "mux">,
  term: FenceTerm,
  parts: readonly Part[],
  options: Omit<AckOptions, "headers">,
): Promise<Uint8Array> {
  const id = randomBytes(12).toString("hex");
  const last = parts.length - 1;
  for (const [i, part] of parts.entries()) {
    natsHeaders(term, part.headers);
    part.headers.set("Nats-Batch-Id", id);
    part.headers.set("Nats-Batch-Sequence", String(i + 1));
    if (i < last) publishPart(on.monitor.connection, part);
  }
  const commit = parts[last] as Part;
  commit.headers.set("Nats-Batch-Commit", "1");
  return on.mux.request(commit.subject, commit.data, { ...options, headers: commit.headers });
}

/** If nats.js refuses a part, the batch never gets its commit, so the server stores none of it. */
function publishPart(connection: NatsConnection, part: Part): void {
  try {
    connection.publish(part.subject, part.data, { headers: part.headers });
  } catch (thrown) {
    const text = `cannot write to ${part.subject}: ${messageOf(thrown)}; nothing was written`;
    throw new ClusterError("INVALID_CONFIG", text, { cause: thrown });
  }
}
