/** Stored messages and publish acknowledgements, as this folder needs them. */

import { parseHeaders } from "../../nats/api/headers.ts";
import {
  asObject,
  type CallOptions,
  callApi,
  isJsError,
  JsCode,
  parseAnswer,
} from "../../nats/api/js-api.ts";
import { RequestFailure } from "../../nats/api/request.ts";
import type { ConnectionMonitor } from "../../nats/connection/connection-monitor.ts";

/** JetStream error 10164: another write under the same condition is in flight. Nothing was written by this one. */
export const IN_FLIGHT = 10164;

export interface StoredMessage {
  readonly sequence: number;
  readonly data: Uint8Array;
  readonly headers: ReadonlyMap<string, string>;
}

/** What JetStream says of a write that it stored. */
export interface PubAck {
  readonly sequence: number;
  readonly duplicate: boolean;
  /** Of an atomic batch. */
  readonly count: number;
}

/** The newest message of a subject, asked of the stream's leader; `null` when there is none. Rejects like `callApi`. */
export async function readLast(
  monitor: ConnectionMonitor,
  stream: string,
  subject: string,
  options: CallOptions,
): Promise<StoredMessage | null> {
  try {
    const answer = await callApi(monitor, `STREAM.MSG.GET.${stream}`, { last_by_subj: subject }, options);
    const message = asObject(answer["message"]);
    const sequence = message?.["seq"];
    if (typeof sequence !== "number")
      throw new RequestFailure("failed", subject, "the answer is not a message");
    return { sequence, data: base64(message?.["data"]), headers: parseHeaders(base64(message?.["hdrs"])) };
  } catch (thrown) {
    if (isJsError(thrown, JsCode.noMessageFound)) return null;
    throw thrown;
  }
}

const decoder = new TextDecoder();

/** Throws `JsApiError` for a refusal, `RequestFailure` for an answer of somebody else. */
export function parsePubAck(data: Uint8Array, stream: string, subject: string): PubAck {
  const answer = parseJson(data);
  const { seq } = answer ?? {};
  if (answer?.stream !== stream || typeof seq !== "number" || seq < 1 || answer.error !== undefined) {
    parseAnswer(data, subject); // throws what the server says is wrong
    throw new RequestFailure(
      "failed",
      subject,
      `the answer is not stream ${stream}'s: ${decoder.decode(data)}`,
    );
  }
  const { count } = answer;
  return {
    sequence: seq,
    duplicate: answer.duplicate === true,
    count: typeof count === "number" ? count : 1,
  };
}

interface Answer {
  readonly stream?: unknown;
  readonly seq?: unknown;
  readonly duplicate?: unknown;
  readonly count?: unknown;
  readonly error?: unknown;
}

function parseJson(data: Uint8Array): Answer | null {
  try {
    return JSON.parse(decoder.decode(data)) as Answer | null;
  } catch {
    return null;
  }
}

function base64(value: unknown): Uint8Array {
  return typeof value === "string" ? Buffer.from(value, "base64") : new Uint8Array(0);
}
