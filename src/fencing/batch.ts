/** How messages become an atomic batch: which of them carries the fence's condition. */
import { headers, type MsgHdrs } from "@nats-io/transport-node";
import type { FencedMessage } from "./fenced-writer.ts";
import type { Lane } from "./lanes.ts";
import { EXPECTED_ON_SUBJECT } from "./take-fence.ts";
import { ownHeaders } from "./write-headers.ts";

/** The server's own limit. */
export const BATCH_LIMIT = 1000;

export interface Part {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly headers: MsgHdrs;
}

/**
 * The server checks the conditions of all parts when the last one arrives, so one part with the fence's condition
 * guards all of them. A message has room for one condition on a subject: where all have their own, a guard is put in
 * front. In front, because the answer names the sequence of the last part.
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
