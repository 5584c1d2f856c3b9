/** Encodes messages as an atomic batch, of which one carries the fence's condition, and sends it. */
import { randomBytes } from "node:crypto";
import { headers, type MsgHdrs } from "@nats-io/transport-node";
import { type FenceTerm, natsHeaders } from "../token.ts";
import type { GuardedStream } from "./guarded-stream.ts";
import type { Lane } from "./lanes.ts";
import type { FencedMessage } from "./message.ts";
import type { PendingWrite } from "./pending-write.ts";
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
 * Publishes all parts synchronously, so that no other message of this connection comes between them. The last one gets the answer.
 * Throws what nats.js throws: then the batch has no commit, so the server stores none of it.
 */
export function sendBatch(
  on: Pick<GuardedStream, "monitor" | "mux">,
  term: FenceTerm,
  parts: readonly Part[],
  write: PendingWrite,
): number {
  const id = randomBytes(12).toString("hex");
  const last = parts.length - 1;
  for (const [i, part] of parts.entries()) {
    natsHeaders(term.epoch, part.headers);
    part.headers.set("Nats-Batch-Id", id);
    part.headers.set("Nats-Batch-Sequence", String(i + 1));
    if (i < last) on.monitor.connection.publish(part.subject, part.data, { headers: part.headers });
  }
  const commit = parts[last] as Part;
  commit.headers.set("Nats-Batch-Commit", "1");
  return on.mux.send(commit.subject, commit.data, commit.headers, write.spec.timeoutMs, write);
}
